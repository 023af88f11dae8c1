//! Writing a layout: files appear whole or not at all, and `index.json`
//! changes under a lock.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::contents::{Contents, Files, blob_name};
use super::dir::Dir;
use super::index::LayoutIndex;
use crate::image::Digest;
use crate::store::StoreError;

/// Temporary files stand beside `index.json`, where no reader looks, with
/// this at the beginning of their names.
const TEMPORARY: &str = ".ocisign-";

impl Dir {
    /// A new file in the layout that nobody sees yet.
    pub(super) fn begin(&self) -> Result<NamedTempFile, StoreError> {
        // 0666 as the umask allows: what `open` gives other programs' files.
        tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(self.root())
            .map_err(|e| self.unwritable(e))
    }

    /// Makes `file` appear as `name`, in place of what was there.
    pub(super) fn finish(&self, file: NamedTempFile, name: &str) -> Result<(), StoreError> {
        let path = self.root().join(name);
        let folder = path.parent().unwrap_or(self.root()).to_owned();
        file.as_file().sync_all().map_err(|e| self.failed("writing", &path, e))?;
        file.persist(&path).map_err(|e| self.unwritable(e.error))?;
        sync_folder(&folder).map_err(|e| self.failed("writing", &folder, e))
    }

    /// Makes `file` appear as the blob `digest`.
    pub(super) fn finish_blob(
        &self,
        file: NamedTempFile,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let name = blob_name(digest);
        let folder = format!("blobs/{}", digest.algorithm());
        self.folder(&folder)?;
        self.finish(file, &name)
    }

    pub(super) fn append(&self, file: &mut NamedTempFile, bytes: &[u8]) -> Result<(), StoreError> {
        file.write_all(bytes).map_err(|e| self.failed("writing", file.path(), e))
    }

    /// Makes an empty layout of a folder that is empty or not there. A layout
    /// that is there already stays as it is; two may do this at once.
    pub(super) fn initialise(&self) -> Result<(), StoreError> {
        fs::create_dir_all(self.root()).map_err(|e| self.unwritable(e))?;
        if !self.root().join("oci-layout").exists() {
            self.refuse_foreign()?;
        }
        self.folder("blobs/sha256")?;
        self.write_new("index.json", &LayoutIndex::empty().to_bytes())?;
        self.write_new("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    fn refuse_foreign(&self) -> Result<(), StoreError> {
        let ours = ["blobs", "index.json", "oci-layout"];
        let files = fs::read_dir(self.root()).map_err(|e| self.unwritable(e))?;
        for file in files {
            let name = file.map_err(|e| self.unwritable(e))?.file_name();
            let name = name.to_string_lossy();
            if !ours.contains(&&*name) && !name.starts_with(TEMPORARY) {
                let reason = format!("it holds `{name}` and is no OCI layout; name a new folder");
                return Err(StoreError::ReadOnly { place: self.place(), reason });
            }
        }
        Ok(())
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.begin()?;
        self.append(&mut file, bytes)?;
        let path = self.root().join(name);
        file.as_file().sync_all().map_err(|e| self.failed("writing", &path, e))?;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(self.unwritable(e.error)),
        }
    }

    fn folder(&self, name: &str) -> Result<(), StoreError> {
        // The look refuses symbolic links on the way.
        if self.has_folder(name)? {
            return Ok(());
        }
        fs::create_dir_all(self.root().join(name)).map_err(|e| self.unwritable(e))
    }

    /// Takes the layout's lock, which other processes of ocisign respect,
    /// until the file is dropped.
    ///
    /// It is on `oci-layout`: that file is in every layout and nobody has a
    /// reason to replace it, so no lock file is left behind.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.root().join("oci-layout");
        loop {
            // Network file systems lock only what is open for writing; elsewhere
            // a file that may only be read serves as well.
            let file = match OpenOptions::new().read(true).write(true).open(&path) {
                Err(e) if e.kind() == ErrorKind::PermissionDenied => File::open(&path),
                opened => opened,
            };
            let file = file.map_err(|e| self.unwritable(e))?;
            file.lock().map_err(|e| self.failed("locking", &path, e))?;
            if is_still(&file, &path).map_err(|e| self.failed("locking", &path, e))? {
                return Ok(file);
            }
        }
    }

    /// The error of a layout that cannot be written, with what to do.
    pub(super) fn unwritable(&self, error: io::Error) -> StoreError {
        let reason = match error.kind() {
            ErrorKind::PermissionDenied => "its files belong to somebody else",
            ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only",
            _ => return self.failed("writing", self.root(), error),
        };
        let reason = format!("{reason}; copy it with `ocisign copy` to a folder of yours");
        StoreError::ReadOnly { place: self.place(), reason }
    }
}

impl Contents<Dir> {
    /// Changes `index.json` under the lock, when `edit` says that it did.
    pub(super) fn edit(
        &self,
        edit: impl FnOnce(&mut LayoutIndex) -> bool,
    ) -> Result<(), StoreError> {
        let _held = self.files.lock()?;
        let mut index = self.index()?;
        if !edit(&mut index) {
            return Ok(());
        }
        let bytes = index.to_bytes();
        if bytes.len() as u64 > self.limits.manifest_bytes {
            // Nobody could read it afterwards, ocisign included.
            let limit = self.limits.manifest_bytes;
            return Err(StoreError::TooLarge { what: "the new index.json".to_owned(), limit });
        }
        let mut file = self.files.begin()?;
        self.files.append(&mut file, &bytes)?;
        self.files.finish(file, "index.json")
    }
}

fn is_still(file: &File, path: &PathBuf) -> io::Result<bool> {
    let (held, now) = (file.metadata()?, fs::metadata(path)?);
    Ok((held.dev(), held.ino()) == (now.dev(), now.ino()))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
