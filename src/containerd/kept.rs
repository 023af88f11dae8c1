//! The list of an image's signatures, kept from one pull to the next.
//!
//! It is asked first, and only an allow by it counts. What it names is
//! fetched by digest and verified again, and the policy is read anew, so an
//! old list can show fewer signatures than there are and never one too many.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::request::PullRequest;
use crate::image::{Descriptor, Digest, json};
use crate::store::{Referrers, Shelf};

const KEYS: &[&str] = &["at", "subjects", "tags", "mediaType", "digest", "size", "artifactType"];

/// What was listed for one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// Seconds since 1970 at which it was fetched.
    at: i64,
    /// Referrers by the digest of their subject.
    subjects: BTreeMap<String, Vec<Descriptor>>,
    /// What the tags of older signatures stood for; `None` for nothing.
    tags: BTreeMap<String, Option<Digest>>,
}

impl Listing {
    /// What was kept for an image, if it is young enough at `now`.
    pub(super) fn find(
        shelf: &dyn Shelf,
        request: &PullRequest,
        now: i64,
        seconds: u64,
    ) -> Option<Self> {
        let bytes = shelf.find(&key(request))?;
        let scan = json::Scan {
            known: KEYS,
            maps: &["subjects", "tags"],
            max_depth: 6,
            integers_only: true,
        };
        let found: Self = scan.decode(&bytes).ok()?;
        // one from the future is of a clock that was wrong
        let age = u64::try_from(now.checked_sub(found.at)?).ok()?;
        (age < seconds).then_some(found)
    }

    /// What referred to `subject`.
    pub(super) fn referrers(&self, subject: &Digest) -> Option<Referrers> {
        let entries = self.subjects.get(&subject.to_string())?.clone();
        Some(Referrers { entries, truncated: None })
    }

    /// What a tag stood for.
    pub(super) fn tag(&self, tag: &str) -> Option<Option<&Digest>> {
        self.tags.get(tag).map(Option::as_ref)
    }
}

/// Takes down what is listed while an image is verified.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Listing>);

impl Recorder {
    pub(super) fn referrers(&self, subject: &Digest, listed: &Referrers) {
        let bare = |d: &Descriptor| Descriptor {
            artifact_type: d.artifact_type.clone(),
            ..Descriptor::new(d.media_type.clone(), d.digest.clone(), d.size)
        };
        let entries = listed.entries.iter().map(bare).collect();
        self.change(|listing| listing.subjects.insert(subject.to_string(), entries));
    }

    pub(super) fn tag(&self, tag: &str, stands_for: Option<Digest>) {
        self.change(|listing| listing.tags.insert(tag.to_owned(), stands_for));
    }

    /// Keeps it for the next pull of the same image.
    pub(super) fn keep(&self, shelf: &dyn Shelf, request: &PullRequest, now: i64) {
        let mut listing = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        listing.at = now;
        if let Ok(bytes) = serde_json::to_vec(&listing) {
            shelf.keep(&key(request), &bytes);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Listing) -> T) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Signatures lie beside the image, so the repository is part of the key.
fn key(request: &PullRequest) -> Digest {
    let repository = request.reference().repository();
    Digest::sha256(format!("listing\n{repository}\n{}", request.digest()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type;

    #[derive(Debug, Default)]
    struct One(Mutex<Vec<u8>>);

    impl Shelf for One {
        fn find(&self, _: &Digest) -> Option<crate::store::Chunk> {
            Some(self.0.lock().unwrap().clone().into())
        }

        fn keep(&self, _: &Digest, bytes: &[u8]) {
            *self.0.lock().unwrap() = bytes.to_vec();
        }
    }

    fn request() -> PullRequest {
        let kind = media_type::OCI_MANIFEST;
        let digest = Digest::sha256(b"{}");
        let stdin = format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":2}}"#);
        let arguments = [
            "-name",
            "a.example/app:v1",
            "-digest",
            &digest.to_string(),
            "-stdin-media-type",
            "application/vnd.oci.descriptor.v1+json",
        ];
        PullRequest::parse(&arguments.map(str::to_owned), stdin.as_bytes()).unwrap()
    }

    #[test]
    fn a_listing_serves_for_a_while_and_not_before_its_time() {
        let (shelf, recorder) = (One::default(), Recorder::default());
        let subject = Digest::sha256(b"{}");
        let mut entry = Descriptor::of(media_type::OCI_MANIFEST, b"signature");
        entry.artifact_type = Some("application/x".to_owned());
        let listed = Referrers { entries: vec![entry.clone()], truncated: None };
        recorder.referrers(&subject, &listed);
        recorder.tag("sha256-a.sig", None);
        recorder.keep(&shelf, &request(), 1000);
        let find = |now| Listing::find(&shelf, &request(), now, 600);
        for now in [1000, 1599] {
            let found = find(now).unwrap();
            assert_eq!(found.referrers(&subject).unwrap().entries, [entry.clone()]);
            assert_eq!(found.tag("sha256-a.sig"), Some(None));
            assert_eq!(found.tag("sha256-b.sig"), None, "not asked is not absent");
            assert!(found.referrers(&Digest::sha256(b"other")).is_none());
        }
        for now in [999, 1600, i64::MIN, i64::MAX] {
            assert!(find(now).is_none(), "{now}");
        }
    }

    #[test]
    fn what_is_damaged_is_as_if_it_were_not_there() {
        let shelf = One::default();
        for bad in ["", "{", "[]", r#"{"at": 1}"#, r#"{"at":1,"subjects":{},"tags":{},"x":1}"#] {
            shelf.keep(&Digest::sha256(b""), bad.as_bytes());
            assert!(Listing::find(&shelf, &request(), 2, 600).is_none(), "{bad}");
        }
    }
}
