//! Signatures in a folder of this machine.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::limits::Limits;
use crate::store::StoreError;

/// Reads a regular file of at most `max` bytes; `None` where there is none.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |source| StoreError::Io { what: format!("reading `{}`", path.display()), source };
    // opening a pipe would wait for a writer, so the kind is known first
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            let place = format!("`{}`", path.display());
            let reason = "it is no regular file; remove it".to_owned();
            return Err(StoreError::Protocol { place, reason });
        }
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > max {
        true => Err(StoreError::TooLarge { what: format!("`{}`", path.display()), limit: max }),
        false => Ok(Some(bytes)),
    }
}

/// Writes a signature under the first free number; gives its path. Nothing is
/// ever written over.
pub(super) fn write(folder: &Path, bytes: &[u8], limits: &Limits) -> Result<PathBuf, StoreError> {
    let failed =
        |source| StoreError::Io { what: format!("writing into `{}`", folder.display()), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // a web server that serves the folder must be able to read it
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(failed)?;
    for number in 1..=limits.lookaside_signatures {
        let path = folder.join(name(number));
        match file.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(failed(error.error)),
        }
    }
    let what = format!("the number of signatures in `{}`", folder.display());
    Err(StoreError::TooLarge { what, limit: limits.lookaside_signatures as u64 })
}

/// `signature-1`, `signature-2`, …
pub(super) fn name(number: usize) -> String {
    format!("signature-{number}")
}
