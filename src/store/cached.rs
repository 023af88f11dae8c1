//! Bytes remembered by their digest, so that they are fetched once.
//!
//! ```text
//! manifest by tag ──────────────► store ─► hashed ─► shelf
//! manifest or blob by digest ─► shelf, hashed again ─► else store ─► hashed ─► shelf
//! referrers, existence, writes ─► store
//! ```
//!
//! What changes is never remembered: no tag, no list of referrers, no
//! absence. What is remembered is what its digest names, so a shelf is
//! trusted with nothing: what it gives is hashed before it is used.

#[cfg(feature = "gate")]
mod memory;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use std::path::PathBuf;

#[cfg(feature = "gate")]
pub use memory::MemoryShelf;

use super::{
    Beside, Blob, Chunk, Loose, RawManifest, Referrers, Store, StoreError, Target, Whole, chunks,
};
use crate::image::aci::AciName;
use crate::image::{Algorithm, Descriptor, Digest, Hasher, manifest_digest};
use crate::limits::Limits;

/// Keeps bytes under keys for as long as it likes: in memory, or on a disk.
///
/// It may forget, refuse, or give other bytes than it was given; what it
/// gives is checked. It is asked on the event loop, so each call must be
/// quick: memory, or one small file.
pub trait Shelf: Send + Sync + fmt::Debug {
    /// What was kept under `key`, if it is still there.
    fn find(&self, key: &Digest) -> Option<Chunk>;

    /// Keeps `bytes` under `key`, or does not: there is no error to report.
    fn keep(&self, key: &Digest, bytes: &[u8]);
}

/// A store whose manifests and small blobs are remembered by their digest.
#[derive(Debug, Clone)]
pub struct Cached {
    store: Arc<dyn Store>,
    shelf: Arc<dyn Shelf>,
    most: u64,
    limits: Limits,
}

impl Cached {
    /// Remembers what `store` gives on `shelf`, where it has `most` bytes at
    /// most (`Limits::remembered_blob_bytes`).
    pub fn new(store: Arc<dyn Store>, shelf: Arc<dyn Shelf>, most: u64) -> Self {
        Self { store, shelf, most, limits: Limits::default() }
    }

    /// Where a manifest stands. The media type under which a place gives it
    /// is that place's word, so no other place's manifests share it.
    fn manifest_key(&self, digest: &Digest) -> Digest {
        key(&["manifest", &self.store.place(), &digest.to_string()])
    }

    /// Whether these are a manifest of this digest; a signed schema 1 is kept
    /// with its signatures, which are not part of its digest.
    fn is(&self, digest: &Digest, media_type: &str, bytes: &[u8]) -> bool {
        let (algorithm, kind) = (digest.algorithm(), Some(media_type));
        manifest_digest(algorithm, kind, bytes, &self.limits) == *digest
    }

    fn known_manifest(&self, digest: &Digest) -> Option<RawManifest> {
        let kept = self.shelf.find(&self.manifest_key(digest))?;
        let end = kept.iter().position(|byte| *byte == b'\n')?;
        let (head, rest) = kept.split_at_checked(end)?;
        let bytes = rest.get(1..)?;
        let media_type = std::str::from_utf8(head).ok()?;
        self.is(digest, media_type, bytes).then(|| RawManifest {
            bytes: bytes.to_vec(),
            media_type: Some(media_type.to_owned()).filter(|kind| !kind.is_empty()),
            claimed: None,
        })
    }

    fn keep_manifest(&self, digest: &Digest, raw: &RawManifest) {
        let media_type = raw.media_type.as_deref().unwrap_or_default();
        let small = raw.bytes.len() as u64 <= self.most;
        if !small || media_type.contains('\n') || !self.is(digest, media_type, &raw.bytes) {
            return;
        }
        let kept = [media_type.as_bytes(), b"\n", &raw.bytes].concat();
        self.shelf.keep(&self.manifest_key(digest), &kept);
    }

    /// Reads a small blob whole. What is longer than it should be is given as
    /// it came, for the reader to refuse.
    async fn small_blob(&self, digest: &Digest, size: u64) -> Result<Chunk, StoreError> {
        let at = blob_key(digest);
        if let Some(kept) = self.shelf.find(&at)
            && kept.len() as u64 == size
            && digest.matches(&kept)
        {
            return Ok(kept);
        }
        let mut bytes = Vec::new();
        let mut stream = chunks(self.store.blob(digest, size).await?);
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > size {
                return Ok(bytes.into());
            }
        }
        if bytes.len() as u64 == size && digest.matches(&bytes) {
            self.shelf.keep(&at, &bytes);
        }
        Ok(bytes.into())
    }
}

/// Where a blob stands: its digest says all there is to say of it.
fn blob_key(digest: &Digest) -> Digest {
    key(&["blob", &digest.to_string()])
}

/// One digest over several texts, none of which can run into the next.
fn key(parts: &[&str]) -> Digest {
    let mut hasher = Hasher::new(crate::image::Algorithm::Sha256);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

#[async_trait]
impl Store for Cached {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        if let Target::Digest(digest) = target
            && let Some(known) = self.known_manifest(digest)
        {
            if known.bytes.len() as u64 > max {
                let what = format!("manifest `{digest}`");
                return Err(StoreError::TooLarge { what, limit: max });
            }
            return Ok(known);
        }
        let raw = self.store.manifest(target, max).await?;
        match target {
            Target::Digest(digest) => self.keep_manifest(digest, &raw),
            Target::Tag(_) => {
                let kind = raw.media_type.as_deref();
                let algorithm = Algorithm::Sha256;
                let digest = manifest_digest(algorithm, kind, &raw.bytes, &self.limits);
                self.keep_manifest(&digest, &raw);
            }
            Target::Only => {}
        }
        Ok(raw)
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        if size > self.most {
            return self.store.blob(digest, size).await;
        }
        let chunk = self.small_blob(digest, size).await?;
        Ok(Blob::Stream(stream::once(std::future::ready(Ok(chunk))).boxed()))
    }

    async fn elsewhere(&self, urls: &[String], size: u64) -> Result<Blob, StoreError> {
        self.store.elsewhere(urls, size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        self.store.referrers(subject).await
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.store.has_blob(digest, size).await
    }

    async fn push_blob(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), StoreError> {
        self.store.push_blob(descriptor, blob).await
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        self.store.push_manifest(descriptor, bytes, tag).await
    }

    fn dependencies(&self) -> &[PathBuf] {
        self.store.dependencies()
    }

    fn asked(&self) -> Option<&AciName> {
        self.store.asked()
    }

    async fn detached(&self) -> Result<Beside, StoreError> {
        self.store.detached().await
    }

    fn whole(&self) -> Option<Whole> {
        self.store.whole()
    }

    async fn beside(&self, subject: &Digest, openpgp: bool) -> Result<Beside, StoreError> {
        self.store.beside(subject, openpgp).await
    }

    async fn push_beside(&self, subject: &Digest, loose: &Loose) -> Result<String, StoreError> {
        self.store.push_beside(subject, loose).await
    }

    async fn list_untagged(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        self.store.list_untagged(descriptor).await
    }
}
