//! OCI layouts in a tar: `oci-archive:FILE`.

pub(super) mod scan;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use self::scan::Position;
pub use self::write::write_archive;
use super::chunks::{blocking, is_sound};
use super::layout::contents::{Contents, Files, Run};
use super::{Blob, RawManifest, Referrers, Store, StoreError, Target};
use crate::image::{Descriptor, Digest};
use crate::limits::Limits;

/// An OCI image layout in an uncompressed tar, read where it lies.
///
/// The tar is walked once, when it is opened; blobs are then runs of bytes in
/// the one file. It is read-only: [`write_archive`] makes a new one of a
/// [`super::Layout`].
#[derive(Debug, Clone)]
pub struct Archive {
    contents: Arc<Contents<Tar>>,
}

/// The files of the tar by name.
#[derive(Debug)]
struct Tar {
    path: PathBuf,
    file: Arc<File>,
    names: HashMap<String, Position>,
}

impl Archive {
    /// Opens the archive `file`.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] where it is no tar of a layout of version
    /// 1.0.0, is compressed, was cut, or has names that programs read in
    /// different ways: one name twice, absolute paths, `..`, links.
    pub fn open(file: &Path, limits: Limits) -> Result<Self, StoreError> {
        let failed =
            |source| StoreError::Io { what: format!("opening {}", file.display()), source };
        let place = format!("oci-archive:{}", file.display());
        // Opening a pipe would wait for a writer, so the kind is known first.
        if !std::fs::metadata(file).map_err(failed)?.is_file() {
            let reason = "it is no regular file; name a tar of an OCI layout".to_owned();
            return Err(StoreError::Protocol { place, reason });
        }
        let opened = Arc::new(File::open(file).map_err(failed)?);
        let names = scan::scan(&opened, &place, &limits)?;
        let tar = Tar { path: file.to_owned(), file: opened, names };
        let contents = Contents { files: tar, limits };
        contents.check()?;
        Ok(Self { contents: Arc::new(contents) })
    }

    /// The tags in the order of `index.json`, each once.
    ///
    /// # Errors
    /// As reading `index.json` gives.
    pub fn tags(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.contents.index()?.tags().into_iter().map(str::to_owned).collect())
    }

    fn read_only<T>(&self) -> Result<T, StoreError> {
        let reason = "an archive is only read; copy it to a layout (`oci:DIR`) first".to_owned();
        Err(StoreError::ReadOnly { place: self.place(), reason })
    }
}

impl Files for Tar {
    fn place(&self) -> String {
        format!("oci-archive:{}", self.path.display())
    }

    fn open(&self, name: &str) -> Result<Option<Run>, StoreError> {
        match self.names.get(name) {
            None => Ok(None),
            Some(Position::File { offset, len }) => {
                Ok(Some(Run { file: self.file.clone(), offset: *offset, len: *len }))
            }
            Some(Position::Folder | Position::Link(_)) => Err(StoreError::Protocol {
                place: self.place(),
                reason: format!("{name} is no regular file; make the archive again"),
            }),
        }
    }

    fn has_folder(&self, name: &str) -> Result<bool, StoreError> {
        // A tar need not have entries for folders.
        let below = format!("{name}/");
        Ok(matches!(self.names.get(name), Some(Position::Folder))
            || self.names.keys().any(|n| n.starts_with(&below)))
    }
}

#[async_trait]
impl Store for Archive {
    fn place(&self) -> String {
        self.contents.files.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let (contents, target) = (self.contents.clone(), target.clone());
        blocking(move || contents.manifest(&target, max)).await
    }

    async fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, StoreError> {
        self.contents.blob(digest)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let (contents, subject) = (self.contents.clone(), subject.clone());
        blocking(move || contents.referrers(&subject)).await
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        let run = match self.contents.open_blob(digest)? {
            Some(run) if run.len == size => run,
            _ => return Ok(false),
        };
        is_sound(run.into(), digest).await
    }

    async fn push_blob(&self, _: &Descriptor, _: Blob) -> Result<(), StoreError> {
        self.read_only()
    }

    async fn push_manifest(
        &self,
        _: &Descriptor,
        _: &[u8],
        _: Option<&str>,
    ) -> Result<(), StoreError> {
        self.read_only()
    }

    async fn list_untagged(&self, _: &Descriptor) -> Result<(), StoreError> {
        self.read_only()
    }
}
