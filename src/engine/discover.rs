//! Discovery: which signatures might be about an image.
//!
//! What a store lists is a hint that anybody may have written. Artifact type
//! and subject are read from the fetched manifest, every byte is hashed, and
//! a candidate that cannot be read is recorded and passed over, so that no
//! junk hides a good signature.

use futures_util::{StreamExt as _, stream};

use super::Error;
use super::fetch;
use crate::envelope::{self, Candidate, cosign};
use crate::evidence::{Evidence, Reason, Rejection, Subject};
use crate::image::{Descriptor, Digest, media_type};
use crate::limits::Limits;
use crate::store::{Store, StoreError, Target};
use crate::trust::Trust;
use crate::verify;

/// Referrers that are fetched at once and judged together.
const BATCH: usize = 32;

/// What was found and what it is worth.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What verified.
    pub evidence: Vec<Evidence>,
    /// What did not, and why.
    pub rejections: Vec<Rejection>,
}

impl Gathered {
    /// Takes the finds of another batch.
    pub(super) fn extend(&mut self, other: Self) {
        self.evidence.extend(other.evidence);
        self.rejections.extend(other.rejections);
    }
}

/// Where a candidate lies, before it is fetched.
#[derive(Debug, Clone)]
enum Place {
    /// A descriptor in a referrers list.
    Referrer(Descriptor),
    /// The manifest under cosign's older tag.
    SignatureTag(String),
}

/// What a store lists for one subject, most promising first.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    store: &'a dyn Store,
    subject: Digest,
    limits: &'a Limits,
    queue: std::vec::IntoIter<Place>,
    long: bool,
    budget: u64,
    incomplete: Vec<String>,
}

/// Lists the candidates for `subject`.
///
/// The order depends on nothing but the list's contents: likely types
/// first, then by digest.
pub(super) async fn list<'a>(
    store: &'a dyn Store,
    subject: &Digest,
    limits: &'a Limits,
) -> Result<Listed<'a>, Error> {
    let mut referrers = store.referrers(subject).await?;
    referrers.entries.sort_by(|a, b| (unlikely(a), &a.digest).cmp(&(unlikely(b), &b.digest)));
    referrers.entries.dedup_by(|a, b| a.digest == b.digest);
    let mut incomplete: Vec<_> = referrers.truncated.into_iter().collect();
    if referrers.entries.len() > limits.referrers {
        referrers.entries.truncate(limits.referrers);
        incomplete.push(format!("more than {} referrers of {subject}", limits.referrers));
    }
    // a tag has 128 characters at most, so SHA-512 subjects have no such tag
    let tag = Some(cosign::tag(subject)).filter(|tag| tag.len() <= 128);
    let places: Vec<_> = tag
        .map(Place::SignatureTag)
        .into_iter()
        .chain(referrers.entries.into_iter().map(Place::Referrer))
        .collect();
    Ok(Listed {
        store,
        subject: subject.clone(),
        limits,
        long: places.len() > 2 * BATCH,
        queue: places.into_iter(),
        budget: limits.signature_bytes,
        incomplete,
    })
}

/// Types that other tools write for what is a signature come first; the
/// field is a copy that the registry or any pusher made, so none is left out.
fn unlikely(descriptor: &Descriptor) -> bool {
    match descriptor.artifact_type.as_deref() {
        None | Some(media_type::OCI_EMPTY | media_type::COSIGN_ARTIFACT) => false,
        Some(kind) => !kind.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX),
    }
}

impl Listed<'_> {
    /// Whether there is so much that it pays to stop at the first allow.
    pub(super) fn is_long(&self) -> bool {
        self.long
    }

    /// Why not everything was read.
    pub(super) fn incomplete(self) -> Vec<String> {
        self.incomplete
    }

    /// Fetches and verifies the next candidates; `None` when there are none.
    pub(super) async fn next_batch(&mut self, trust: &Trust) -> Result<Option<Gathered>, Error> {
        let Some(finds) = self.next_finds().await? else { return Ok(None) };
        let subject = Subject { digest: self.subject.clone(), size: None, media_type: None };
        let mut gathered = Gathered::default();
        for find in finds {
            match find.and_then(|c| verify::verify(&c, trust, &subject, self.limits)) {
                Ok(evidence) => gathered.evidence.push(evidence),
                Err(rejection) => gathered.rejections.push(rejection),
            }
        }
        Ok(Some(gathered))
    }

    /// Fetches the next candidates without verifying them.
    pub(super) async fn next_finds(
        &mut self,
    ) -> Result<Option<Vec<Result<Candidate, Rejection>>>, Error> {
        let places: Vec<_> = self.queue.by_ref().take(BATCH).collect();
        if places.is_empty() {
            return Ok(None);
        }
        let reads: Vec<_> = {
            let this = &*self;
            stream::iter(places)
                .map(|place| this.read(place))
                .buffered(self.limits.parallel * 2)
                .collect()
                .await
        };
        let mut finds = Vec::new();
        for read in reads {
            self.budget = self.budget.saturating_sub(read.bytes);
            self.incomplete.extend(read.incomplete);
            finds.extend(read.finds);
        }
        if self.budget == 0 && self.queue.len() > 0 {
            let bytes = self.limits.signature_bytes;
            self.incomplete.push(format!("signatures of {} are over {bytes} bytes", self.subject));
            self.queue = Vec::new().into_iter();
        }
        Ok(Some(finds))
    }

    async fn read(&self, place: Place) -> Read {
        let mut read = Read::default();
        let (item, target, listed) = match place {
            Place::Referrer(descriptor) => (
                descriptor.digest.to_string(),
                Target::Digest(descriptor.digest.clone()),
                Some(descriptor),
            ),
            Place::SignatureTag(tag) => (tag.clone(), Target::Tag(tag), None),
        };
        let raw = match self.store.manifest(&target, self.limits.manifest_bytes).await {
            Ok(raw) => raw,
            // no older signature: nothing to say
            Err(StoreError::Absent { .. }) if listed.is_none() => return read,
            Err(error) => {
                read.failed(&item, &error);
                return read;
            }
        };
        read.bytes += raw.bytes.len() as u64;
        if let Some(listed) = &listed
            && (!listed.digest.matches(&raw.bytes) || listed.size != raw.bytes.len() as u64)
        {
            let why = format!("the manifest listed as {} is another one", listed.digest);
            read.reject(&item, Reason::Corrupt(why));
            return read;
        }
        let layers = match &listed {
            Some(_) => envelope::layers_of_referrer(&raw.bytes, &self.subject, self.limits),
            None => envelope::layers_of_tag(&raw.bytes, self.limits),
        };
        match layers {
            Ok(layers) => self.read_layers(&item, &layers, &mut read).await,
            Err(reason) => read.reject(&item, reason),
        }
        read
    }

    /// Fetches the blobs that hold signatures.
    async fn read_layers(&self, item: &str, layers: &[Descriptor], read: &mut Read) {
        for (position, layer) in layers.iter().enumerate() {
            let one = layers.len() == 1;
            let item = if one { item.to_owned() } else { format!("{item}#{position}") };
            match fetch::small_blob(self.store, layer, self.limits.envelope_bytes).await {
                Ok(bytes) => {
                    read.bytes += bytes.len() as u64;
                    read.finds.push(Candidate::listed(item, layer, bytes));
                }
                Err(error) => read.failed(&item, &error),
            }
        }
    }
}

/// What reading one place gave.
#[derive(Debug, Default)]
struct Read {
    finds: Vec<Result<Candidate, Rejection>>,
    bytes: u64,
    incomplete: Option<String>,
}

impl Read {
    fn reject(&mut self, item: &str, reason: Reason) {
        self.finds.push(Err(Rejection { item: item.to_owned(), format: None, reason }));
    }

    /// A candidate that could not be fetched. Where it exists and could not
    /// be had, the evidence is incomplete; where it does not, it is not.
    fn failed(&mut self, item: &str, error: &StoreError) {
        let reason = match error {
            StoreError::Absent { .. } => Reason::Unavailable("listed, and not there".to_owned()),
            StoreError::TooLarge { .. } => Reason::LimitExceeded(error.to_string()),
            StoreError::Unreachable { .. }
            | StoreError::Unauthorized { .. }
            | StoreError::Protocol { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Io { .. } => {
                self.incomplete = Some(format!("{item}: {error}"));
                Reason::Unavailable(error.to_string())
            }
        };
        self.reject(item, reason);
    }
}
