//! A store that also asks the places which descriptors name (`urls`).

use std::sync::Arc;

use async_trait::async_trait;
use std::path::PathBuf;

use super::registry::Elsewhere;
use super::{
    Beside, Blob, Loose, RawManifest, Referrers, RegistryOptions, Store, StoreError, Target, Whole,
};
use crate::image::aci::AciName;
use crate::image::{Descriptor, Digest};

/// Any store, with the layers that it does not have itself fetched from where
/// their descriptors say: Docker's foreign layers and OCI's nondistributable
/// ones. What comes is hashed by whoever asked, as all else.
#[derive(Debug, Clone)]
pub struct External {
    store: Arc<dyn Store>,
    elsewhere: Elsewhere,
}

impl External {
    /// `store`, and for the rest the addresses that are named in it. Of the
    /// options certificates and limits count, and no credentials.
    pub fn new(store: Arc<dyn Store>, options: RegistryOptions) -> Self {
        Self { store, elsewhere: Elsewhere::new(options) }
    }
}

#[async_trait]
impl Store for External {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        self.store.manifest(target, max).await
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        self.store.blob(digest, size).await
    }

    async fn elsewhere(&self, urls: &[String], size: u64) -> Result<Blob, StoreError> {
        self.elsewhere.open(urls, size).await
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
