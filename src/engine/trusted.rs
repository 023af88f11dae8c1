//! Keys that are trusted for images by their names: a folder laid out as
//! rkt's trusted keys (rkt, Documentation/signing-and-verification-guide.md).
//!
//! ```text
//! root.d/FINGERPRINT               for every image
//! prefix.d/example.com/app/FINGERPRINT
//!                                  for example.com/app and what is below it
//! ```
//!
//! A file is named by the fingerprint of the primary key that it has. An
//! empty one takes away what was found before under that fingerprint, so that
//! a folder of the system's can be corrected by one of one's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Access, Error, read_file, write_new};
use crate::crypto::openpgp::Keyring;
use crate::image::aci::is_identifier;
use crate::limits::Limits;
use crate::store::Discovery;

const ROOT: &str = "root.d";
const PREFIX: &str = "prefix.d";

/// For which images a key is trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustScope {
    /// All.
    Root,
    /// The image of this name, and those below it: `a/b` is below `a`, and
    /// `ab` is not.
    Prefix(String),
}

/// A key in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What the file is named: the fingerprint of its primary key, in lower
    /// case.
    pub fingerprint: String,
    /// For which images it is trusted.
    pub scope: TrustScope,
    /// The file.
    pub path: PathBuf,
    /// Whether it is empty and takes a key away.
    pub masks: bool,
}

impl TrustScope {
    /// The scope of a name.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is no name of an image.
    pub fn prefix(name: &str) -> Result<Self, Error> {
        match is_identifier(name) {
            true => Ok(Self::Prefix(name.to_owned())),
            false => Err(Error::Usage(format!(
                "`{}` is no name that keys can be trusted for; write one as example.com/app",
                name.chars().take(80).collect::<String>()
            ))),
        }
    }

    fn folder(&self, keys: &Path) -> PathBuf {
        match self {
            Self::Root => keys.join(ROOT),
            // an identifier has no part that is empty, `.` or `..`
            Self::Prefix(name) => keys.join(PREFIX).join(name),
        }
    }
}

impl std::fmt::Display for TrustScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("every image"),
            Self::Prefix(name) => f.write_str(name),
        }
    }
}

/// The keys that are trusted for the image `name`; without one those for
/// every image. Of several folders the later ones count more: root.d of all
/// of them in their order, then prefix.d, the shorter names first.
///
/// # Errors
/// [`Error::File`] where a folder cannot be read, [`Error::Usage`] where a
/// file in it is none of a key, or there are too many.
pub fn trusted_keys(
    folders: &[PathBuf],
    name: Option<&str>,
    limits: &Limits,
) -> Result<Vec<TrustedKey>, Error> {
    let mut found = BTreeMap::new();
    for folder in folders {
        must_be_keys(folder)?;
    }
    for folder in folders {
        collect(folder, &TrustScope::Root, &mut found, limits)?;
    }
    let scopes: Vec<_> = name.into_iter().flat_map(prefixes).collect();
    for folder in folders {
        scopes.iter().try_for_each(|scope| collect(folder, scope, &mut found, limits))?;
    }
    Ok(found.into_values().collect())
}

/// All keys of a folder, the ones that take away too.
///
/// # Errors
/// As [`trusted_keys`].
pub fn list_keys(folder: &Path, limits: &Limits) -> Result<Vec<TrustedKey>, Error> {
    must_be_keys(folder)?;
    let mut all = read(folder, &TrustScope::Root, limits)?;
    let mut names = vec![String::new()];
    while let Some(name) = names.pop() {
        let below = folder.join(PREFIX).join(&name);
        for entry in entries(&below)? {
            let own = entry.file_name().to_string_lossy().into_owned();
            let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            let own = if name.is_empty() { own } else { format!("{name}/{own}") };
            if is_folder && is_identifier(&own) {
                names.push(own);
            }
        }
        if !name.is_empty() {
            all.extend(read(folder, &TrustScope::Prefix(name), limits)?);
        }
        if all.len() > limits.trusted_keys || names.len() > limits.trusted_keys {
            return Err(too_many(folder, limits));
        }
    }
    all.sort_by(|a, b| (&a.scope, &a.fingerprint).cmp(&(&b.scope, &b.fingerprint)));
    Ok(all)
}

/// Puts a key into a folder, which is made where there is none. `fingerprint`
/// is the one that it must have.
///
/// # Errors
/// [`Error::Invalid`] where the file has no key, several, or another one;
/// [`Error::Usage`] where the key is there already.
pub fn trust_key(
    folder: &Path,
    scope: &TrustScope,
    bytes: &[u8],
    fingerprint: Option<&str>,
    limits: &Limits,
) -> Result<TrustedKey, Error> {
    let own = primary(bytes, limits)?;
    if let Some(asked) = fingerprint.filter(|asked| !same_fingerprint(asked, &own)) {
        return Err(Error::Invalid(format!("the key is {own}, not {asked}; do not trust it")));
    }
    let into = scope.folder(folder);
    let path = into.join(&own);
    let failed = |source| Error::File { what: format!("write `{}`", into.display()), source };
    fs::create_dir_all(&into).map_err(failed)?;
    // what masks a key makes way for it
    if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        fs::remove_file(&path).map_err(failed)?;
    }
    write_new(&path, bytes)?;
    Ok(TrustedKey { fingerprint: own, scope: scope.clone(), path, masks: false })
}

/// A key that a web server offers for an image. Nothing says that it is the
/// right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedKey {
    /// Where it was.
    pub address: String,
    /// The fingerprint of its primary key.
    pub fingerprint: String,
    /// The key, as it came.
    pub bytes: Vec<u8>,
}

/// The keys that meta discovery offers for an image (discovery.md,
/// `ac-discovery-pubkeys`).
///
/// # Errors
/// [`Error::Store`] where there are none or one cannot be fetched,
/// [`Error::Invalid`] where one is no key.
pub async fn offered_keys(
    name: &str,
    access: &Access,
    limits: &Limits,
) -> Result<Vec<OfferedKey>, Error> {
    let discovery = Discovery::new(access.registries(limits)?);
    let mut offered = Vec::new();
    for address in discovery.keys(name).await? {
        let bytes = discovery.key(&address).await?;
        let fingerprint = primary(&bytes, limits)?;
        offered.push(OfferedKey { address, fingerprint, bytes });
    }
    Ok(offered)
}

/// Takes a key out of a folder. With `mask` an empty file stays in its place,
/// which takes the key away from the folders before this one too.
///
/// # Errors
/// [`Error::Usage`] where it is not there, [`Error::File`].
pub fn distrust_key(
    folder: &Path,
    scope: &TrustScope,
    fingerprint: &str,
    mask: bool,
) -> Result<PathBuf, Error> {
    let own = plain(fingerprint);
    if !is_fingerprint(&own) {
        return Err(Error::Usage(format!("`{fingerprint}` is no fingerprint; write all of it")));
    }
    let path = scope.folder(folder).join(own);
    let failed = |source| Error::File { what: format!("change `{}`", path.display()), source };
    match fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !mask => {
            return Err(Error::Usage(format!("`{}` is not there", path.display())));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    if mask {
        fs::create_dir_all(scope.folder(folder)).map_err(failed)?;
        write_new(&path, b"")?;
    }
    Ok(path)
}

/// The fingerprint of the one key in a file.
///
/// # Errors
/// [`Error::Invalid`] where there is none, or more than one.
fn primary(bytes: &[u8], limits: &Limits) -> Result<String, Error> {
    let ring = Keyring::parse(bytes, limits)
        .map_err(|error| Error::Invalid(format!("this is no key to trust: {error}")))?;
    let all: Vec<_> = ring.certificates().map(|key| key.fingerprint().to_owned()).collect();
    match all.as_slice() {
        [one] => Ok(one.clone()),
        all => Err(Error::Invalid(format!(
            "it holds {} keys; trust them one by one: `gpg --armor --export FINGERPRINT`",
            all.len()
        ))),
    }
}

/// `a`, `a/b` and `a/b/c` for `a/b/c`.
fn prefixes(name: &str) -> Vec<TrustScope> {
    if !is_identifier(name) {
        return Vec::new();
    }
    let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
    ends.filter_map(|end| name.get(..end)).map(|n| TrustScope::Prefix(n.to_owned())).collect()
}

fn collect(
    folder: &Path,
    scope: &TrustScope,
    found: &mut BTreeMap<String, TrustedKey>,
    limits: &Limits,
) -> Result<(), Error> {
    for key in read(folder, scope, limits)? {
        match key.masks {
            true => found.remove(&key.fingerprint),
            false => found.insert(key.fingerprint.clone(), key),
        };
    }
    Ok(())
}

/// The files of one scope.
fn read(folder: &Path, scope: &TrustScope, limits: &Limits) -> Result<Vec<TrustedKey>, Error> {
    let mut keys = Vec::new();
    for entry in entries(&scope.folder(folder))? {
        let path = entry.path();
        let failed = |source| Error::File { what: format!("read `{}`", path.display()), source };
        let metadata = fs::metadata(&path).map_err(failed)?;
        if metadata.is_dir() {
            continue;
        }
        let fingerprint = entry.file_name().to_string_lossy().into_owned();
        if !is_fingerprint(&fingerprint) || !metadata.is_file() {
            return Err(Error::Usage(format!(
                "`{}` is no key: a file here is named by a fingerprint in lower case; move it away",
                path.display()
            )));
        }
        if keys.len() >= limits.trusted_keys {
            return Err(too_many(folder, limits));
        }
        let masks = metadata.len() == 0;
        if !masks {
            let own = primary(&read_file(&path, limits.keyring_bytes)?, limits);
            let own = own.map_err(|error| Error::Invalid(format!("`{}`: {error}", path.display())));
            if own? != fingerprint {
                return Err(Error::Invalid(format!(
                    "`{}` has another key than its name says; take it away",
                    path.display()
                )));
            }
        }
        keys.push(TrustedKey { fingerprint, scope: scope.clone(), path, masks });
    }
    Ok(keys)
}

/// What is in a directory; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let failed = |source| Error::File { what: format!("read `{}`", folder.display()), source };
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<Result<_, _>>().map_err(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// A folder that is laid out otherwise would trust nothing, or not what its
/// owner thinks.
fn must_be_keys(folder: &Path) -> Result<(), Error> {
    match folder.join(ROOT).is_dir() || folder.join(PREFIX).is_dir() {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "`{}` has neither root.d nor prefix.d; make it with `ocisign trust add`",
            folder.display()
        ))),
    }
}

fn too_many(folder: &Path, limits: &Limits) -> Error {
    let (folder, most) = (folder.display(), limits.trusted_keys);
    Error::Usage(format!("`{folder}` has more than {most} keys; split it"))
}

/// As people copy it from gpg: with spaces, in either case.
fn plain(fingerprint: &str) -> String {
    fingerprint.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

/// Whether a fingerprint as people write it is this one.
pub fn same_fingerprint(asked: &str, own: &str) -> bool {
    plain(asked) == own
}

fn is_fingerprint(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    matches!(text.len(), 40 | 64) && text.bytes().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_its_whole_parts_only() {
        let names = |name: &str| -> Vec<String> {
            prefixes(name).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            names("example.com/foo/bar"),
            ["example.com", "example.com/foo", "example.com/foo/bar"]
        );
        assert!(!names("example.com/foobar").contains(&"example.com/foo".to_owned()));
        for none in ["../x", "a/../b", "/a", "a//b", ""] {
            assert!(names(none).is_empty(), "{none}");
            assert!(TrustScope::prefix(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_gpg_prints_it() {
        assert_eq!(plain("AB CD  12"), "abcd12");
        assert!(is_fingerprint(&"a".repeat(40)) && is_fingerprint(&"0".repeat(64)));
        assert!(!is_fingerprint(&"A".repeat(40)) && !is_fingerprint("../x"));
    }
}
