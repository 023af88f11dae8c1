//! appc images: `aci:FILE`, one file with its signatures beside it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::chunks::blocking;
use super::{
    Beside, Blob, Loose, LooseKind, RawManifest, Referrers, Store, StoreError, Target, Whole,
    WholeFormat, beside,
};
use crate::image::Digest;
use crate::image::aci::AciName;
use crate::limits::Limits;

/// An ACI in a file, read where it lies.
#[derive(Debug, Clone)]
pub struct Aci {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    dependencies: Vec<PathBuf>,
    /// What must be in it, where it was asked for by name.
    asked: Option<AciName>,
    /// Keeps a file that was fetched until nobody reads it any more.
    kept: Option<Arc<tempfile::TempDir>>,
    limits: Limits,
}

impl Aci {
    /// Opens the ACI `file`. In the directories of `dependencies` the images
    /// are looked for that it depends on.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be opened, [`StoreError::Protocol`]
    /// where it is no regular file.
    pub fn open(
        file: &Path,
        dependencies: Vec<PathBuf>,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let failed =
            |source| StoreError::Io { what: format!("opening {}", file.display()), source };
        // opening a pipe would wait for a writer, so the kind is known first
        if !std::fs::metadata(file).map_err(failed)?.is_file() {
            let reason = "it is no regular file; name an ACI".to_owned();
            return Err(StoreError::Protocol { place: format!("aci:{}", file.display()), reason });
        }
        let opened = File::open(file).map_err(failed)?;
        let len = opened.metadata().map_err(failed)?.len();
        Ok(Self {
            path: file.to_owned(),
            file: Arc::new(opened),
            len,
            dependencies,
            asked: None,
            kept: None,
            limits,
        })
    }

    /// The same file as the answer to `name`: its manifest must say so too.
    /// `kept` is the directory that it was fetched to.
    pub fn asked(self, name: AciName, kept: Option<Arc<tempfile::TempDir>>) -> Self {
        Self { asked: Some(name), kept, ..self }
    }

    fn absent<T>(&self, what: &str) -> Result<T, StoreError> {
        Err(StoreError::Absent { what: what.to_owned(), place: self.place() })
    }
}

#[async_trait]
impl Store for Aci {
    fn place(&self) -> String {
        match &self.asked {
            Some(name) => format!("aci:{name}"),
            None => format!("aci:{}", self.path.display()),
        }
    }

    async fn manifest(&self, target: &Target, _: u64) -> Result<RawManifest, StoreError> {
        match target {
            Target::Tag(tag) => self.absent(&format!("tag `{tag}`")),
            Target::Digest(digest) => self.absent(&digest.to_string()),
            Target::Only => self.absent("a manifest with a digest"),
        }
    }

    async fn blob(&self, digest: &Digest, _: u64) -> Result<Blob, StoreError> {
        self.absent(&digest.to_string())
    }

    async fn referrers(&self, _: &Digest) -> Result<Referrers, StoreError> {
        Ok(Referrers::default())
    }

    fn whole(&self) -> Option<Whole> {
        Some(Whole { format: WholeFormat::Aci, file: self.file.clone(), len: self.len })
    }

    fn dependencies(&self) -> &[PathBuf] {
        &self.dependencies
    }

    fn asked(&self) -> Option<&AciName> {
        self.asked.as_ref()
    }

    async fn beside(&self, _: &Digest, _: bool) -> Result<Beside, StoreError> {
        let (path, limits) = (self.path.clone(), self.limits.clone());
        blocking(move || Ok(beside::read(&path, LooseKind::Bundle, &limits))).await
    }

    async fn detached(&self) -> Result<Beside, StoreError> {
        let (path, limits) = (self.path.clone(), self.limits.clone());
        blocking(move || Ok(beside::read(&path, LooseKind::Detached, &limits))).await
    }

    async fn push_beside(&self, _: &Digest, loose: &Loose) -> Result<String, StoreError> {
        if self.kept.is_some() {
            let reason = "it was fetched; save it as a file and sign that".to_owned();
            return Err(StoreError::ReadOnly { place: self.place(), reason });
        }
        let (path, loose, limits) = (self.path.clone(), loose.clone(), self.limits.clone());
        blocking(move || beside::push(&path, &loose, &limits)).await
    }
}
