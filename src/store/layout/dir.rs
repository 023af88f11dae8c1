//! The files of a layout in a directory, opened without leaving it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contents::{Files, Run};
use crate::store::StoreError;

/// A layout's directory. The directory itself may be a symbolic link, as the
/// user named it; below it none is followed.
#[derive(Debug, Clone)]
pub(crate) struct Dir {
    root: PathBuf,
}

impl Dir {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The metadata of `name` when neither it nor a folder above it, up to
    /// the layout's own, is a symbolic link.
    fn look(&self, name: &str) -> Result<Option<(PathBuf, Metadata)>, StoreError> {
        let mut path = self.root.clone();
        let mut found = None;
        for part in name.split('/') {
            path.push(part);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(self.failed("opening", &path, source)),
            };
            if metadata.is_symlink() {
                let why = "is a symbolic link; copy the layout with `cp -rL` to have files";
                return Err(self.refused(format!("{name} {why}")));
            }
            found = Some(metadata);
        }
        Ok(found.map(|metadata| (path, metadata)))
    }

    pub(crate) fn failed(&self, what: &str, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io { what: format!("{what} {}", path.display()), source }
    }

    fn refused(&self, reason: String) -> StoreError {
        StoreError::Protocol { place: self.place(), reason }
    }
}

impl Files for Dir {
    fn place(&self) -> String {
        format!("oci:{}", self.root.display())
    }

    fn open(&self, name: &str) -> Result<Option<Run>, StoreError> {
        let Some((path, seen)) = self.look(name)? else { return Ok(None) };
        // Opening a pipe would wait for a writer, so the kind is known first.
        if !seen.is_file() {
            return Err(self.refused(format!("{name} is no regular file; make the layout again")));
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("opening", &path, source)),
        };
        let opened = file.metadata().map_err(|e| self.failed("opening", &path, e))?;
        if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
            // Replaced by rename between the two: only index.json is meant to.
            return match self.look(name)? {
                Some((_, now)) if (opened.dev(), opened.ino()) == (now.dev(), now.ino()) => {
                    Ok(Some(Run { file: Arc::new(file), offset: 0, len: opened.len() }))
                }
                _ => Err(self.refused(format!("{name} changes while it is read; try again"))),
            };
        }
        Ok(Some(Run { file: Arc::new(file), offset: 0, len: opened.len() }))
    }

    fn has_folder(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.look(name)?.is_some_and(|(_, metadata)| metadata.is_dir()))
    }
}
