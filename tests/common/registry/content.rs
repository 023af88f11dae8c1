//! What the registry has.

use std::collections::{BTreeMap, BTreeSet};

use ocisign::image::{Digest, media_type};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Stored {
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Repositories, and what the referrers API lists beside them.
#[derive(Default)]
pub struct Content {
    blobs: BTreeMap<(String, String), Vec<u8>>,
    manifests: BTreeMap<(String, String), Stored>,
    uploads: BTreeMap<u64, Vec<u8>>,
    next_upload: u64,
    /// Entries that are listed for a subject without being referrers.
    pub listed: BTreeMap<String, Vec<Value>>,
}

impl Content {
    pub fn put_blob(&mut self, repository: &str, digest: Digest, bytes: Vec<u8>) {
        self.blobs.insert((repository.to_owned(), digest.to_string()), bytes);
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.blobs.get(&(repository.to_owned(), digest.to_owned())).cloned()
    }

    pub fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) {
        let stored = Stored { media_type: media_type.to_owned(), bytes };
        self.manifests.insert((repository.to_owned(), reference.to_owned()), stored);
    }

    /// Tags that name a manifest go on naming it.
    pub fn replace_manifest(&mut self, repository: &str, digest: &str, bytes: &[u8]) {
        let Some(old) = self.manifest(repository, digest) else { panic!("no manifest {digest}") };
        for ((name, _), stored) in &mut self.manifests {
            if name == repository && stored.bytes == old.bytes {
                stored.bytes = bytes.to_vec();
            }
        }
    }

    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Stored> {
        self.manifests.get(&(repository.to_owned(), reference.to_owned())).cloned()
    }

    pub fn tags(&self, repository: &str) -> Vec<String> {
        let tags =
            self.manifests.keys().filter(|(name, key)| name == repository && !key.contains(':'));
        tags.map(|(_, tag)| tag.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub fn start_upload(&mut self) -> u64 {
        self.next_upload += 1;
        self.uploads.insert(self.next_upload, Vec::new());
        self.next_upload
    }

    /// Adds to an upload; its length, `None` where there is no such upload.
    pub fn append(&mut self, upload: u64, bytes: &[u8]) -> Option<usize> {
        let held = self.uploads.get_mut(&upload)?;
        held.extend_from_slice(bytes);
        Some(held.len())
    }

    pub fn finish_upload(&mut self, upload: u64) -> Option<Vec<u8>> {
        self.uploads.remove(&upload)
    }

    /// The descriptors that the referrers API lists.
    pub fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let of_digest = self
            .manifests
            .iter()
            .filter(|((name, key), _)| name == repository && key.contains(':'));
        let real = of_digest.filter_map(|((_, digest), stored)| {
            let manifest: Value = serde_json::from_slice(&stored.bytes).ok()?;
            (manifest.pointer("/subject/digest")?.as_str()? == subject)
                .then(|| descriptor(digest, stored, &manifest))
        });
        let listed = self.listed.get(subject).cloned().unwrap_or_default();
        real.chain(listed).collect()
    }
}

fn descriptor(digest: &str, stored: &Stored, manifest: &Value) -> Value {
    let mut entry = json!({
        "mediaType": stored.media_type,
        "digest": digest,
        "size": stored.bytes.len(),
    });
    let is_image = stored.media_type == media_type::OCI_MANIFEST;
    let config = manifest.pointer("/config/mediaType").filter(|_| is_image);
    if let Some(artifact_type) = manifest.get("artifactType").or(config) {
        entry["artifactType"] = artifact_type.clone();
    }
    if let Some(annotations) = manifest.get("annotations") {
        entry["annotations"] = annotations.clone();
    }
    entry
}
