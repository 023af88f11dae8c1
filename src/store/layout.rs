//! OCI image layouts in a directory: `oci:DIR`.

pub(crate) mod contents;
mod dir;
pub(crate) mod index;
mod referrers;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use tempfile::NamedTempFile;

use self::contents::{Contents, Files};
use self::dir::Dir;
use super::chunks::{blocking, chunks, is_sound};
use super::{Blob, RawManifest, Referrers, Store, StoreError, Target};
use crate::image::{Descriptor, Digest, media_type};
use crate::limits::Limits;

/// An OCI image layout in a directory (image-spec v1.1.1, image-layout.md).
///
/// Tags are `org.opencontainers.image.ref.name` in `index.json`. A referrer
/// is one more entry of it, with artifact type and annotations and no tag, as
/// oras writes it. Two processes may write at once: blobs appear by rename,
/// and `index.json` is replaced by rename under a lock on `oci-layout`.
#[derive(Debug, Clone)]
pub struct Layout {
    contents: Arc<Contents<Dir>>,
}

impl Layout {
    /// Opens the layout in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] where it is no layout of version 1.0.0.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, StoreError> {
        let contents = Contents { files: Dir::new(dir), limits };
        contents.check()?;
        Ok(Self { contents: Arc::new(contents) })
    }

    /// Makes an empty layout of `dir`, or opens the one that is there.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] where `dir` holds something else or cannot be
    /// written.
    pub fn create(dir: &Path, limits: Limits) -> Result<Self, StoreError> {
        Dir::new(dir).initialise()?;
        Self::open(dir, limits)
    }

    /// A new file in the layout that nobody sees yet.
    pub(crate) fn begin_blob(&self) -> Result<NamedTempFile, StoreError> {
        self.contents.files.begin()
    }

    /// Makes such a file appear as the blob `digest`, which whoever wrote it
    /// vouches for.
    pub(crate) fn finish_blob(
        &self,
        file: NamedTempFile,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        self.contents.files.finish_blob(file, digest)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.contents.files.root()
    }

    /// The tags in the order of `index.json`, each once.
    ///
    /// # Errors
    /// As reading `index.json` gives.
    pub fn tags(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.contents.index()?.tags().into_iter().map(str::to_owned).collect())
    }
}

#[async_trait]
impl Store for Layout {
    fn place(&self) -> String {
        self.contents.files.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let (contents, target) = (self.contents.clone(), target.clone());
        blocking(move || contents.manifest(&target, max)).await
    }

    async fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, StoreError> {
        let (contents, digest) = (self.contents.clone(), digest.clone());
        blocking(move || contents.blob(&digest)).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let (contents, subject) = (self.contents.clone(), subject.clone());
        blocking(move || contents.referrers(&subject)).await
    }

    /// Whether the blob is there and has its digest: one that was cut or
    /// changed counts as absent, so that pushing it again repairs it.
    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        let (contents, wanted) = (self.contents.clone(), digest.clone());
        let run = match blocking(move || contents.open_blob(&wanted)).await? {
            Some(run) if run.len == size => run,
            _ => return Ok(false),
        };
        is_sound(run.into(), digest).await
    }

    async fn push_blob(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), StoreError> {
        let contents = self.contents.clone();
        let mut file = blocking(move || contents.files.begin()).await?;
        let mut stream = chunks(blob);
        let mut length = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            length += chunk.len() as u64;
            if length > descriptor.size {
                break;
            }
            let contents = self.contents.clone();
            file =
                blocking(move || contents.files.append(&mut file, &chunk).map(|()| file)).await?;
        }
        if length != descriptor.size {
            let (digest, size) = (&descriptor.digest, descriptor.size);
            let reason = format!("{digest} has another size than {size}; it is not kept");
            return Err(StoreError::Protocol { place: self.place(), reason });
        }
        let (contents, digest) = (self.contents.clone(), descriptor.digest.clone());
        blocking(move || contents.files.finish_blob(file, &digest)).await
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        if let Some(bad) = tag.filter(|tag| !index::is_ref_name(tag)) {
            let what = "is no ref.name; use letters, digits and single separators";
            let reason = format!("`{}` {what}", bad.chars().take(80).collect::<String>());
            return Err(StoreError::Protocol { place: self.place(), reason });
        }
        if descriptor.media_type == media_type::DOCKER_SCHEMA_1_SIGNED {
            let reason = "a signed manifest of schema 1 does not have the digest of its bytes, by \
                          which a layout keeps them; copy it to a registry";
            return Err(StoreError::Protocol { place: self.place(), reason: reason.to_owned() });
        }
        if !descriptor.digest.matches(bytes) {
            let reason =
                format!("the manifest does not have {}; it is not kept", descriptor.digest);
            return Err(StoreError::Protocol { place: self.place(), reason });
        }
        let (contents, descriptor) = (self.contents.clone(), descriptor.clone());
        let (bytes, tag) = (bytes.to_vec(), tag.map(str::to_owned));
        blocking(move || {
            let mut file = contents.files.begin()?;
            contents.files.append(&mut file, &bytes)?;
            contents.files.finish_blob(file, &descriptor.digest)?;
            contents.list(&descriptor, &bytes, tag.as_deref())
        })
        .await
    }

    async fn list_untagged(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        let (contents, descriptor) = (self.contents.clone(), descriptor.clone());
        blocking(move || contents.edit(|index| index.add(&descriptor))).await
    }
}

impl Contents<Dir> {
    /// Puts a manifest whose blob is written into `index.json`: under its
    /// tag, or, where it names a subject, as a referrer.
    fn list(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        let entry = self.entry(descriptor, bytes);
        match (tag, &entry) {
            (Some(tag), entry) => self.edit(|index| {
                let entry = entry.as_ref().unwrap_or(descriptor);
                index.set_tag(entry, tag, |old| self.is_referrer(old))
            }),
            (None, Some(entry)) => self.edit(|index| index.add(entry)),
            (None, None) => Ok(()),
        }
    }
}
