//! A policy as files for other tools: read, exported, put in place.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Engine, Error};
use crate::policy::export::{Export, Options, Unsaid, containers_policy};

/// Where `write_export` puts what belongs into `registries.d`.
const REGISTRIES: &str = "registries.d/ocisign.yaml";

/// What becomes of files that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is written.
    Keep,
    /// They are replaced, each at once.
    Replace,
}

impl Engine {
    /// The policy for podman and CRI-O, as of `now`.
    ///
    /// # Errors
    /// What cannot be said there, all of it.
    pub fn containers_policy(
        &self,
        options: &Options,
        now: Timestamp,
    ) -> Result<Export, Vec<Unsaid>> {
        let pems = self.trust().keys().map(|(id, key)| (id.clone(), key.to_pem())).collect();
        containers_policy(self.policy(), &pems, options, now, self.limits())
    }
}

/// Writes `policy.json` and `registries.d/ocisign.yaml` below `directory`,
/// and says what was written.
///
/// `policy.json` comes last: what asks for signatures is never in place
/// before what finds them.
///
/// # Errors
/// [`Error::Usage`] where a file exists and is to be kept, [`Error::File`]
/// where one cannot be written.
pub fn write_export(
    directory: &Path,
    export: &Export,
    existing: Existing,
) -> Result<Vec<PathBuf>, Error> {
    let files = [(REGISTRIES, &export.registries), ("policy.json", &export.policy)];
    let files = files.map(|(name, text)| (directory.join(name), text));
    if let (Existing::Keep, Some((path, _))) = (existing, files.iter().find(|f| f.0.exists())) {
        return Err(exists(path));
    }
    for (path, text) in &files {
        write(path, text.as_bytes(), existing)?;
    }
    Ok(files.map(|(path, _)| path).into())
}

fn exists(path: &Path) -> Error {
    let path = path.display();
    Error::Usage(format!("`{path}` exists already; replace it with `--force`"))
}

fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Error> {
    let failed = |source| Error::File { what: format!("write `{}`", path.display()), source };
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    // podman reads them as any user
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    let kept = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    match kept {
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        other => other.map(drop).map_err(|error| failed(error.error)),
    }
}
