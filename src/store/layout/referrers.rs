//! Referrers of a layout: the entries of `index.json` whose manifests name a
//! subject, and the index under a fallback tag.

use super::contents::{Contents, Files, Links};
use super::index::{self, Entry, LayoutIndex, REF_NAME};
use crate::image::{Descriptor, Digest, media_type};
use crate::store::{Referrers, StoreError};

impl<F: Files> Contents<F> {
    /// See [`crate::store::Store::referrers`].
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let index = self.index()?;
        let mut list = Referrers::default();
        let mut budget = self.limits.signature_bytes;
        for entry in index.entries() {
            let Ok(descriptor) = &entry.descriptor else { continue };
            let read = self.read(&descriptor.digest);
            let cost = read.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let Some(left) = budget.checked_sub(cost) else {
                let limit = self.limits.signature_bytes;
                list.truncated = Some(format!("the listed manifests have more than {limit} bytes"));
                break;
            };
            budget = left;
            self.add_referrer(entry, descriptor, read, subject, &mut list);
        }
        let fallback = index::fallback_tags(subject);
        for entry in index.entries() {
            match (&entry.descriptor, &entry.tag) {
                (Ok(descriptor), Some(tag)) if fallback.contains(tag) => {
                    self.add_fallback(descriptor, &mut list);
                }
                _ => {}
            }
        }
        list.entries.sort_by(|a, b| a.digest.cmp(&b.digest));
        list.entries.dedup();
        if list.entries.len() > self.limits.referrers {
            list.entries.truncate(self.limits.referrers);
            list.truncated = Some(format!("more than {} referrers", self.limits.referrers));
        }
        Ok(list)
    }

    /// Lists an entry whose manifest names `subject`; and one that claims to
    /// be an artifact but whose bytes were changed, so that whoever checks it
    /// can say so instead of never seeing it.
    fn add_referrer(
        &self,
        entry: &Entry,
        descriptor: &Descriptor,
        read: Result<Vec<u8>, StoreError>,
        subject: &Digest,
        list: &mut Referrers,
    ) {
        // oras and crane state an artifact type for plain images too.
        let claims_artifact = entry.tag.is_none()
            && descriptor.artifact_type.as_deref().is_some_and(|t| !media_type::is_config(t));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(why) if claims_artifact => {
                list.truncated = Some(why.to_string());
                return;
            }
            Err(_) => return,
        };
        match self.links(&bytes) {
            Some(links) if links.subject.as_deref() == Some(&subject.to_string()) => {
                list.entries.push(described(descriptor, links));
            }
            _ if claims_artifact && !descriptor.digest.matches(&bytes) => {
                list.entries.push(descriptor.clone());
            }
            _ => {}
        }
    }

    fn add_fallback(&self, descriptor: &Descriptor, list: &mut Referrers) {
        if descriptor.media_type != media_type::OCI_INDEX {
            return; // distribution-spec: assume that there are none
        }
        let index = self.read(&descriptor.digest).and_then(|bytes| {
            LayoutIndex::parse(&bytes, self.limits.json_depth).map_err(|why| self.broken(why))
        });
        match index {
            Ok(index) => list
                .entries
                .extend(index.entries().iter().filter_map(|e| e.descriptor.as_ref().ok().cloned())),
            Err(why) => list.truncated = Some(why.to_string()),
        }
    }

    /// Whether the manifest of `descriptor` is there and names a subject.
    pub(crate) fn is_referrer(&self, descriptor: &Descriptor) -> bool {
        self.listed_links(descriptor).is_some_and(|links| links.subject.is_some())
    }

    /// The entry of index.json for a manifest that names a subject.
    pub(crate) fn entry(&self, descriptor: &Descriptor, bytes: &[u8]) -> Option<Descriptor> {
        let links = self.links(bytes)?;
        links.subject.is_some().then(|| described(descriptor, links))
    }
}

/// The descriptor as a registry's referrers API gives it: artifact type and
/// annotations are the manifest's, not what index.json says of it.
fn described(descriptor: &Descriptor, links: Links) -> Descriptor {
    let mut descriptor = descriptor.clone();
    descriptor.artifact_type = links.artifact_type.or(descriptor.artifact_type);
    descriptor.annotations.remove(REF_NAME);
    if let Some(Ok(annotations)) = links.annotations.map(serde_json::from_value) {
        descriptor.annotations = annotations;
    }
    descriptor
}
