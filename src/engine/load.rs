//! Policies and keys from files: read with a bound, parsed, linked.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Engine, Error, TrustedKey};
use crate::crypto::openpgp::Keyring;
use crate::crypto::{KeyId, PublicKey};
use crate::image::Digest;
use crate::limits::Limits;
use crate::policy::{
    self, Blob, Code, Document, KeyDecl, PgpDecl, Policy, Problem, Resolved, SignerDecl,
};
use crate::trust::Trust;

impl Engine {
    /// Loads a policy and the keys that it names.
    ///
    /// # Errors
    /// [`Error::Invalid`] with line and column where the policy or one of
    /// its keys is wrong; [`Error::File`] where a file cannot be read.
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let bytes = read_file(path, limits.policy_bytes)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        Self::from_text(&path.display().to_string(), &bytes, directory, limits)
    }

    /// Loads a policy from its text; `name` stands in messages, and files
    /// are looked for in `directory`.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn from_text(
        name: &str,
        text: &[u8],
        directory: &Path,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let invalid = |problems: &[policy::Problem]| Error::Invalid(render(problems, text, name));
        let document = policy::parse(text, limits).map_err(|p| invalid(&p))?;
        let read = Keys::read(&document, directory, limits)?;
        if !read.problems.is_empty() {
            return Err(invalid(&read.problems));
        }
        let resolved = Resolved { signers: read.signers };
        let policy = Policy::link(document, resolved).map_err(|p| invalid(&p))?;
        let trust = Trust::new(read.keys).with_keyring(read.keyring);
        Ok(Self::new(policy, trust, limits.clone()))
    }
}

/// Problems of a policy as text, with the lines that they point to.
pub fn render(problems: &[policy::Problem], source: &[u8], name: &str) -> String {
    let rendered: Vec<_> = problems.iter().map(|p| policy::render(p, source, name)).collect();
    format!("the policy is not valid\n{}", rendered.join("\n"))
}

/// The keys of a policy's signers, as they are read.
#[derive(Default)]
struct Keys {
    keys: Vec<PublicKey>,
    keyring: Keyring,
    signers: BTreeMap<String, Vec<KeyId>>,
    /// What is wrong with keys, each pointing to where the policy names it.
    problems: Vec<Problem>,
}

impl Keys {
    /// Reads the keys of every signer.
    fn read(document: &Document, directory: &Path, limits: &Limits) -> Result<Self, Error> {
        let mut keys = Self::default();
        for (name, signer) in &document.signers {
            let ids = match signer {
                SignerDecl::Keys(declared) => keys.of_keys(name, declared, directory, limits)?,
                SignerDecl::Pgp(declared) => keys.of_pgp(name, declared, directory, limits)?,
            };
            keys.signers.insert(name.clone(), ids);
        }
        Ok(keys)
    }

    fn of_keys(
        &mut self,
        name: &str,
        declared: &[KeyDecl],
        directory: &Path,
        limits: &Limits,
    ) -> Result<Vec<KeyId>, Error> {
        let mut ids = Vec::new();
        for (i, declared) in declared.iter().enumerate() {
            let parse = |bytes: &[u8]| {
                PublicKey::from_pem(bytes, limits).map_err(|error| error.to_string())
            };
            match blob(&declared.source, directory, limits.key_bytes, parse)? {
                Ok(key) => {
                    ids.push(key.id());
                    self.keys.push(key);
                }
                Err(wrong) => self.wrong(name, &format!("keys/{i}"), wrong),
            }
        }
        Ok(ids)
    }

    fn of_pgp(
        &mut self,
        name: &str,
        declared: &PgpDecl,
        directory: &Path,
        limits: &Limits,
    ) -> Result<Vec<KeyId>, Error> {
        let parse = |bytes: &[u8]| Keyring::parse(bytes, limits).map_err(|error| error.to_string());
        let read = blob(&declared.keyring, directory, limits.keyring_bytes, parse)?;
        let keyring = match (read, &declared.fingerprint) {
            (Ok(keyring), None) => keyring,
            (Ok(keyring), Some(fingerprint)) => match keyring.only(fingerprint) {
                Some(only) => only,
                None => {
                    let wrong = format!(
                        "the keyring has no primary key {fingerprint}; it has {}",
                        fingerprints(&keyring)
                    );
                    self.wrong(name, "pgp/fingerprint", wrong);
                    return Ok(Vec::new());
                }
            },
            (Err(wrong), _) => {
                self.wrong(name, "pgp/keyring", wrong);
                return Ok(Vec::new());
            }
        };
        let ids = keyring.certificates().map(|certificate| certificate.key().clone()).collect();
        self.keyring.merge(keyring);
        Ok(ids)
    }

    fn wrong(&mut self, signer: &str, place: &str, wrong: String) {
        self.problems.push(Problem::at(Code::Keys, format!("/signers/{signer}/{place}"), wrong));
    }
}

/// The first few, for a message.
fn fingerprints(keyring: &Keyring) -> String {
    let all: Vec<_> = keyring.certificates().take(4).map(|c| c.fingerprint().to_owned()).collect();
    all.join(", ")
}

/// What is read from a blob, or what is wrong with it.
fn blob<T>(
    source: &Blob,
    directory: &Path,
    max: u64,
    parse: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Result<T, String>, Error> {
    match source {
        Blob::Pem(text) => Ok(parse(text.as_bytes())),
        Blob::File { path, sha256 } => {
            let bytes = read_file(&directory.join(path), max)?;
            if let Some(want) = sha256.as_ref().filter(|want| !want.matches(&bytes)) {
                return Ok(Err(format!(
                    "`{path}` has {}, the policy pins {want}; if the new content is meant, \
                     change the policy",
                    Digest::sha256(&bytes)
                )));
            }
            Ok(parse(&bytes).map_err(|error| format!("`{path}`: {error}")))
        }
    }
}

/// What `--key` on the command line stands for.
#[derive(Debug, Clone, Copy)]
pub struct Shorthand<'a> {
    /// Public keys; any one of them is enough.
    pub keys: &'a [PublicKey],
    /// Files of OpenPGP keyrings; any key of any of them is enough.
    pub keyrings: &'a [PathBuf],
    /// Keys that are trusted for the name of the image; any of them is
    /// enough, each by its fingerprint.
    pub trusted: &'a [TrustedKey],
    /// Annotations that must be signed.
    pub annotations: &'a BTreeMap<String, String>,
    /// How the signed name must agree with the requested one.
    pub reference: &'a str,
}

/// The policy that a shorthand stands for, as text: one rule on `**`.
pub fn shorthand(shorthand: &Shorthand<'_>) -> String {
    let mut signers = serde_json::Map::new();
    let mut seen = Vec::new();
    for key in shorthand.keys {
        // the same key twice would be two signers that overlap
        if !seen.contains(&key.id()) {
            seen.push(key.id());
            let name = format!("key-{}", seen.len());
            signers.insert(name, serde_json::json!({ "keys": [{ "pem": key.to_pem() }] }));
        }
    }
    for (at, file) in shorthand.keyrings.iter().enumerate() {
        let keyring = serde_json::json!({ "pgp": { "keyring": { "file": file } } });
        signers.insert(format!("keyring-{}", at + 1), keyring);
    }
    for (at, key) in shorthand.trusted.iter().enumerate() {
        let keyring = serde_json::json!({ "file": key.path });
        let pgp = serde_json::json!({
            "pgp": { "keyring": keyring, "fingerprint": key.fingerprint }
        });
        signers.insert(format!("trusted-{}", at + 1), pgp);
    }
    let mut signed = serde_json::json!({
        "by": signers.keys().collect::<Vec<_>>(),
        "atLeast": 1,
        "reference": shorthand.reference,
    });
    if let (false, Some(signed)) = (shorthand.annotations.is_empty(), signed.as_object_mut()) {
        let globs = shorthand.annotations.iter().map(|(key, value)| {
            (key.clone(), serde_json::Value::from(policy::glob::Glob::literal(value).as_str()))
        });
        signed.insert("annotations".to_owned(), globs.collect::<serde_json::Map<_, _>>().into());
    }
    let document = serde_json::json!({
        "ocisign": "policy/1",
        "name": "keys",
        "signers": signers,
        "rules": [{
            "id": "keys",
            "scope": ["**"],
            "require": [{ "id": "signed", "signed": signed }],
        }],
    });
    // ends as a file does, so that what is shown and kept has the same digest
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The text of a first policy for `scope`, its key files pinned by digest.
///
/// # Errors
/// [`Error::Invalid`] for a name, scope or key that is none.
pub fn starter(
    name: &str,
    scope: &str,
    signers: &[(String, String)],
    issued: Timestamp,
    limits: &Limits,
) -> Result<String, Error> {
    let mut starters = Vec::new();
    for (signer, file) in signers {
        let bytes = read_file(Path::new(file), limits.key_bytes)?;
        PublicKey::from_pem(&bytes, limits)
            .map_err(|error| Error::Invalid(format!("`{file}`: {error}")))?;
        starters.push(policy::Starter {
            name: signer.clone(),
            file: file.clone(),
            sha256: Some(Digest::sha256(&bytes)),
        });
    }
    policy::init(name, scope, &starters, Some(issued)).map_err(|problems| {
        let told: Vec<_> = problems.iter().map(|p| p.to_string()).collect();
        Error::Invalid(told.join("\n"))
    })
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// [`Error::File`] where it cannot be read, [`Error::Usage`] where it is
/// larger.
pub fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { what: format!("read `{}`", path.display()), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        let path = path.display();
        return Err(Error::Usage(format!("`{path}` is larger than the {max} bytes that are read")));
    }
    Ok(bytes)
}

/// Puts `bytes` in the place of a file, all at once.
///
/// # Errors
/// [`Error::File`] where it cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { what: format!("write `{}`", path.display()), source };
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let mode = std::fs::metadata(path).map_err(failed)?.permissions();
    file.as_file().set_permissions(mode).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Writes a file that must not exist yet.
///
/// # Errors
/// [`Error::Usage`] where it exists, [`Error::File`] where it cannot be
/// written.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { what: format!("write `{}`", path.display()), source };
    let mut file = match std::fs::File::create_new(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let path = path.display();
            return Err(Error::Usage(format!("`{path}` exists already; choose another name")));
        }
        other => other.map_err(failed)?,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_used_is_shown_where_the_policy_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.pub"), "no key").unwrap();
        let policy = |key: &str| {
            format!(
                r#"{{"ocisign": "policy/1", "name": "p",
  "signers": {{"a": {{"keys": [{key}]}}}},
  "rules": [{{"id": "r", "scope": ["**"],
    "require": [{{"id": "s", "signed": {{"by": ["a"], "reference": "none"}}}}]}}]}}"#
            )
        };
        let pinned = format!(r#"{{"file": "a.pub", "sha256": "{}"}}"#, "0".repeat(64));
        let inline = r#"{"pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}"#;
        for key in [r#"{"file": "a.pub"}"#, &pinned, inline] {
            let text = policy(key);
            let loaded =
                Engine::from_text("p.json", text.as_bytes(), folder.path(), &Limits::default());
            let error = loaded.err().unwrap();
            assert!(error.is_answer() && error.to_string().contains("p.json:2:30"), "{error}");
        }
    }
}
