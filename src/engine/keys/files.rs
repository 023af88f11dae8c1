//! Key files: written carefully, and looked at for who may read them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::Error;
use crate::crypto::KeyRef;

/// Refuses to go on where one of the files exists, before a password is
/// asked and a key is made.
///
/// # Errors
/// [`Error::Exists`] unless `force` is set; [`Error::File`].
pub fn check_free(paths: &[&Path], force: bool) -> Result<(), Error> {
    for path in paths.iter().filter(|_| !force) {
        match fs::symlink_metadata(path) {
            Ok(_) => return Err(Error::Exists(path.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritten(path, error)),
        }
    }
    Ok(())
}

/// Writes a private key's file, which its owner alone can read. It appears
/// whole or not at all, and replaces another only with `force`.
///
/// # Errors
/// [`Error::Exists`], [`Error::File`].
pub fn write_private(path: &Path, text: &[u8], force: bool) -> Result<(), Error> {
    write(path, text, 0o600, force)
}

/// The same for a public key, which everyone may read.
///
/// # Errors
/// [`Error::Exists`], [`Error::File`].
pub fn write_public(path: &Path, text: &[u8], force: bool) -> Result<(), Error> {
    write(path, text, 0o644, force)
}

/// What to tell the owner of a private key whose file others can read or
/// write.
#[cfg(unix)]
pub fn exposure(reference: &KeyRef) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    const GROUP_OR_OTHERS: u32 = 0o066;
    let KeyRef::File(path) = reference else { return None };
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & GROUP_OR_OTHERS != 0).then(|| {
        let path = path.display();
        format!(
            "the key file `{path}` is open to other users (mode {mode:o}); run `chmod 600 {path}`"
        )
    })
}

/// What to tell the owner of a private key whose file others can read;
/// nothing is known about that here.
#[cfg(not(unix))]
pub fn exposure(_: &KeyRef) -> Option<String> {
    None
}

/// Through a temporary file beside it, which has the mode from its first
/// byte on.
fn write(path: &Path, text: &[u8], mode: u32, force: bool) -> Result<(), Error> {
    let failed = |source| unwritten(path, source);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file =
        builder(mode).tempfile_in(directory.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    let placed = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match placed {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(path.into())),
        Err(e) => Err(unwritten(path, e.error)),
    }
}

fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ocisign-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

fn unwritten(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.into(), did: "written", source }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_key_is_its_owners_alone_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.key");
        write_private(&path, b"one", false).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(exposure(&KeyRef::File(path.clone())), None);

        assert!(matches!(check_free(&[&path], false), Err(Error::Exists(_))));
        assert!(matches!(write_private(&path, b"two", false), Err(Error::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"one");

        write_public(&path, b"two", true).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o644));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_key_that_others_can_read_gets_a_warning_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.key");
        write_public(&path, b"secret", false).unwrap();
        let warning = exposure(&KeyRef::File(path)).unwrap();
        assert!(warning.contains("chmod 600"), "{warning}");
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("k.key"), folder.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(check_free(&[&link], false), Err(Error::Exists(_))));
        assert!(matches!(write_private(&link, b"secret", false), Err(Error::Exists(_))));
        write_private(&link, b"secret", true).unwrap();
        assert!(!target.exists());
    }
}
