//! A store in memory: for tests, and for callers that bring their own bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::chunks::chunks;
use super::layout::index::is_companion_tag;
use super::{Blob, Chunk, RawManifest, Referrers, Store, StoreError, Target};
use crate::image::{Algorithm, Descriptor, Digest, json, manifest_digest};
use crate::limits::Limits;

/// One repository in memory. Clones share it.
///
/// Like any store it promises nothing: [`Memory::put_as`] keeps bytes under
/// a digest that they do not have.
#[derive(Debug, Clone)]
pub struct Memory {
    name: String,
    held: Arc<RwLock<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    blobs: BTreeMap<Digest, Chunk>,
    manifests: BTreeMap<Digest, (String, Chunk)>,
    tags: BTreeMap<String, Digest>,
    untagged: BTreeSet<Digest>,
    referrers: BTreeMap<String, Vec<Descriptor>>,
}

/// What decides where a manifest is listed.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Links {
    subject: Option<Pointer>,
    artifact_type: Option<String>,
    config: Option<Pointer>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    digest: Option<String>,
    media_type: Option<String>,
}

impl Memory {
    /// An empty store; `name` is its place in messages.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), held: Arc::default() }
    }

    /// Keeps a blob. Returns its descriptor.
    pub fn put_blob(&self, media_type: &str, bytes: impl Into<Chunk>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.write().blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// Keeps a manifest, under `tag` where one is given; it is listed as a
    /// referrer of its subject. Returns its descriptor.
    pub fn put_manifest(
        &self,
        media_type: &str,
        bytes: impl Into<Chunk>,
        tag: Option<&str>,
    ) -> Descriptor {
        let bytes = bytes.into();
        let kind = Some(media_type);
        let digest = manifest_digest(Algorithm::Sha256, kind, &bytes, &Limits::default());
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        self.write().keep(&descriptor, bytes, tag);
        descriptor
    }

    /// Replaces what is kept under `digest`, whatever the bytes hash to.
    pub fn put_as(&self, digest: &Digest, bytes: impl Into<Chunk>) {
        let bytes = bytes.into();
        let mut held = self.write();
        match held.manifests.get_mut(digest) {
            Some((_, old)) => *old = bytes,
            None => drop(held.blobs.insert(digest.clone(), bytes)),
        }
    }

    /// Adds an entry to a referrers list, true or not.
    pub fn put_referrer(&self, subject: &Digest, entry: Descriptor) {
        self.write().referrers.entry(subject.to_string()).or_default().push(entry);
    }

    /// Forgets a blob or manifest; tags and lists that name it stay.
    pub fn remove(&self, digest: &Digest) {
        let mut held = self.write();
        held.blobs.remove(digest);
        held.manifests.remove(digest);
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn only<'h>(&self, held: &'h Held) -> Result<&'h Digest, StoreError> {
        let mut images = held.images().into_iter();
        match (images.next(), images.len()) {
            (None, _) => Err(self.absent("an image".to_owned())),
            (Some(only), 0) => Ok(only),
            (Some(_), others) => {
                let reason = format!("it holds {} images; name one by tag or digest", others + 1);
                Err(StoreError::Protocol { place: self.name.clone(), reason })
            }
        }
    }

    fn absent(&self, what: String) -> StoreError {
        StoreError::Absent { what, place: self.name.clone() }
    }
}

impl Held {
    fn keep(&mut self, descriptor: &Descriptor, bytes: Chunk, tag: Option<&str>) {
        let digest = descriptor.digest.clone();
        if let Some(tag) = tag {
            self.tags.insert(tag.to_owned(), digest.clone());
        }
        if let Some((subject, entry)) = referral(descriptor, &bytes) {
            let list = self.referrers.entry(subject).or_default();
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        self.manifests.insert(digest, (descriptor.media_type.clone(), bytes));
    }

    /// The images: what has a tag that nobody derived from a digest, or was
    /// made an image without one.
    fn images(&self) -> BTreeSet<&Digest> {
        let tagged = self.tags.iter().filter(|(tag, _)| !is_companion_tag(tag));
        tagged.map(|(_, digest)| digest).chain(&self.untagged).collect()
    }
}

/// The subject of a manifest and the entry of its referrers list.
fn referral(descriptor: &Descriptor, bytes: &[u8]) -> Option<(String, Descriptor)> {
    json::scan(bytes, &[], 64).ok()?;
    let links: Links = serde_json::from_slice(bytes).ok()?;
    let subject = links.subject?.digest?;
    let mut entry =
        Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    entry.artifact_type = links.artifact_type.or(links.config.and_then(|c| c.media_type));
    entry.annotations = links.annotations.unwrap_or_default();
    Some((subject, entry))
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        self.name.clone()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let held = self.read();
        let digest = match target {
            Target::Digest(digest) => digest,
            Target::Tag(tag) => {
                held.tags.get(tag).ok_or_else(|| self.absent(format!("tag `{tag}`")))?
            }
            Target::Only => self.only(&held)?,
        };
        let (media_type, bytes) =
            held.manifests.get(digest).ok_or_else(|| self.absent(format!("manifest {digest}")))?;
        if bytes.len() as u64 > max {
            return Err(StoreError::TooLarge { what: format!("manifest {digest}"), limit: max });
        }
        Ok(RawManifest {
            bytes: bytes.to_vec(),
            media_type: Some(media_type.clone()),
            claimed: Some(Descriptor::new(media_type, digest.clone(), bytes.len() as u64)),
        })
    }

    async fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, StoreError> {
        let held = self.read();
        let found = held.blobs.get(digest).or_else(|| held.manifests.get(digest).map(|m| &m.1));
        let bytes = found.cloned().ok_or_else(|| self.absent(format!("blob {digest}")))?;
        Ok(Blob::Stream(stream::iter([Ok(bytes)]).boxed()))
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let mut entries =
            self.read().referrers.get(&subject.to_string()).cloned().unwrap_or_default();
        entries.sort_by(|a, b| a.digest.cmp(&b.digest));
        entries.dedup();
        Ok(Referrers { entries, truncated: None })
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        Ok(self.read().blobs.get(digest).is_some_and(|b| b.len() as u64 == size))
    }

    async fn push_blob(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut stream = chunks(blob);
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > descriptor.size {
                let what = format!("blob {}", descriptor.digest);
                return Err(StoreError::TooLarge { what, limit: descriptor.size });
            }
        }
        self.write().blobs.insert(descriptor.digest.clone(), bytes.into());
        Ok(())
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        self.write().keep(descriptor, Chunk::copy_from_slice(bytes), tag);
        Ok(())
    }

    async fn list_untagged(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        self.write().untagged.insert(descriptor.digest.clone());
        Ok(())
    }
}
