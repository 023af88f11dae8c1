//! Discovery: which signatures might be about an image.
//!
//! What a store lists is a hint that anybody may have written. Artifact type
//! and subject are read from the fetched manifest, every byte is hashed, and
//! a candidate that cannot be read is recorded and passed over, so that no
//! junk hides a good signature.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, stream};

use super::Error;
use super::fetch;
use super::whole::Signed;
use crate::envelope::{self, Candidate, cosign, simple};
use crate::evidence::{Evidence, Reason, Rejection, Subject};
use crate::image::{Descriptor, Digest, manifest_digest, media_type};
use crate::limits::Limits;
use crate::store::{Beside, Loose, LooseKind, RawManifest, Store, StoreError, Target};
use crate::trust::Trust;
use crate::verify;

/// Referrers, or their blobs, that are fetched at once and judged together.
const BATCH: usize = 32;

/// Bytes that are fetched at once, unless a single one is larger.
const BATCH_BYTES: u64 = 4 << 20;

/// What is larger is read last: a signature's manifest is under 2 KiB and its
/// bundle under 16 KiB, so that large junk leaves the budget to signatures.
const SMALL: u64 = 64 << 10;

/// Judges the detached signatures over a file that was hashed for them.
pub(super) fn detached(signed: Vec<Signed>, trust: &Trust, subject: &Digest) -> Gathered {
    let mut gathered = Gathered::default();
    for Signed { item, hash, reason, hint: _ } in signed {
        let verdict = match (hash, reason) {
            (_, Some(reason)) => Err(Signed::rejected(item, reason)),
            (Some(hash), None) => verify::appc(&item, hash, trust, subject),
            (None, None) => continue,
        };
        match verdict {
            Ok(evidence) => gathered.evidence.push(evidence),
            Err(rejection) => gathered.rejections.push(rejection),
        }
    }
    gathered
}

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
    Referrer(Box<Descriptor>),
    /// The manifest under cosign's older tag.
    SignatureTag(String),
}

/// A blob that a referrer's manifest says holds a signature.
#[derive(Debug)]
struct Layer {
    item: String,
    descriptor: Descriptor,
}

/// What a store lists for one subject, most promising first.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    store: &'a dyn Store,
    subject: Digest,
    limits: &'a Limits,
    queue: VecDeque<Place>,
    /// Blobs of the manifests that were read.
    layers: VecDeque<Layer>,
    /// What the image carries in itself.
    own: Option<Candidate>,
    /// Large ones, for the end.
    large: Vec<Layer>,
    /// Whether what lies beside the image is still to be read.
    beside: bool,
    /// Whether places that hold OpenPGP signatures alone are asked.
    openpgp: bool,
    long: bool,
    budget: u64,
    incomplete: Vec<String>,
}

/// Lists the candidates for `subject`.
///
/// The order depends on nothing but the list's contents: likely types
/// first, of them small ones first, then by digest.
pub(super) async fn list<'a>(
    store: &'a dyn Store,
    subject: &Digest,
    limits: &'a Limits,
) -> Result<Listed<'a>, Error> {
    let mut referrers = store.referrers(subject).await?;
    let rank = |d: &Descriptor| (unlikely(d), d.size > SMALL);
    referrers
        .entries
        .sort_by(|a, b| (rank(a), &a.digest, a.size).cmp(&(rank(b), &b.digest, b.size)));
    // one digest under two sizes is two claims, of which one may hold
    referrers.entries.dedup_by(|a, b| a.digest == b.digest && a.size == b.size);
    let mut incomplete: Vec<_> = referrers.truncated.into_iter().collect();
    if referrers.entries.len() > limits.referrers {
        referrers.entries.truncate(limits.referrers);
        incomplete.push(format!("more than {} referrers of {subject}", limits.referrers));
    }
    // a tag has 128 characters at most, so SHA-512 subjects have no such tag
    let tag = Some(cosign::tag(subject)).filter(|tag| tag.len() <= 128);
    let queue: VecDeque<_> = tag
        .map(Place::SignatureTag)
        .into_iter()
        .chain(referrers.entries.into_iter().map(|d| Place::Referrer(Box::new(d))))
        .collect();
    Ok(Listed {
        store,
        subject: subject.clone(),
        limits,
        long: queue.len() > 2 * BATCH,
        queue,
        layers: VecDeque::new(),
        own: None,
        large: Vec::new(),
        beside: true,
        openpgp: true,
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
    /// With a candidate that lies in the image itself, and is judged first.
    pub(super) fn with_own(mut self, own: Option<Candidate>) -> Self {
        self.own = own;
        self
    }

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

    /// Leaves alone what lies beside the image where that is all of OpenPGP:
    /// nobody trusts an OpenPGP key.
    pub(super) fn without_openpgp(mut self) -> Self {
        self.openpgp = false;
        self
    }

    /// Fetches the next candidates without verifying them.
    pub(super) async fn next_finds(
        &mut self,
    ) -> Result<Option<Vec<Result<Candidate, Rejection>>>, Error> {
        if let Some(own) = self.own.take() {
            return Ok(Some(vec![Ok(own)]));
        }
        if self.layers.is_empty() && self.queue.is_empty() {
            self.large
                .sort_by(|a, b| (a.descriptor.size, &a.item).cmp(&(b.descriptor.size, &b.item)));
            self.layers = std::mem::take(&mut self.large).into();
        }
        let reads = if !self.layers.is_empty() {
            self.read_layers().await
        } else if !self.queue.is_empty() {
            self.read_places().await
        } else if std::mem::take(&mut self.beside) {
            self.read_beside().await
        } else {
            return Ok(None);
        };
        let mut finds = Vec::new();
        for read in reads {
            self.budget = self.budget.saturating_sub(read.bytes);
            self.incomplete.extend(read.incomplete);
            finds.extend(read.finds);
            let (small, large): (Vec<_>, Vec<_>) =
                read.layers.into_iter().partition(|layer| layer.descriptor.size <= SMALL);
            self.layers.extend(small);
            self.large.extend(large);
        }
        self.long |= self.layers.len() > 2 * BATCH;
        Ok(Some(finds))
    }

    /// Reads the next manifests.
    async fn read_places(&mut self) -> Vec<Read> {
        let most = self.limits.manifest_bytes;
        let places = batch(&mut self.queue, self.budget, |place| match place {
            Place::Referrer(descriptor) => descriptor.size.min(most),
            Place::SignatureTag(_) => 0,
        });
        if places.is_empty() {
            self.give_up();
        }
        let this = &*self;
        let reads = stream::iter(places).map(|place| this.read_place(place));
        reads.buffered(self.limits.parallel * 2).collect().await
    }

    /// Reads what lies beside the image. It comes last, so that it can hide
    /// nothing that is attached.
    async fn read_beside(&mut self) -> Vec<Read> {
        match self.store.beside(&self.subject, self.openpgp).await {
            Ok(Beside { found, failed, cut }) => {
                let found = found.into_iter().filter_map(|loose| self.loose(loose));
                let failed = failed.into_iter().map(|(item, error)| {
                    let mut read = Read::default();
                    read.failed(&item, &error);
                    read
                });
                let cut = cut.map(|why| Read { incomplete: Some(why), ..Read::default() });
                found.chain(failed).chain(cut).collect()
            }
            Err(StoreError::Absent { .. }) => Vec::new(),
            Err(error) => {
                let mut read = Read::default();
                read.failed(&format!("what lies beside {}", self.store.place()), &error);
                vec![read]
            }
        }
    }

    fn loose(&self, loose: Loose) -> Option<Read> {
        let Loose { item, kind, bytes } = loose;
        let mut read = Read { bytes: bytes.len() as u64, ..Read::default() };
        match kind {
            _ if read.bytes > self.budget => {
                let why = format!("{item} is over what is left to read of signatures");
                read.incomplete = Some(why.clone());
                read.reject(&item, Reason::LimitExceeded(why));
            }
            LooseKind::Bundle => read.finds.push(Ok(Candidate::bundle(item, bytes))),
            LooseKind::Simple => match simple::candidate(&item, bytes, self.limits) {
                Ok(candidate) => read.finds.push(Ok(candidate)),
                Err(reason) => read.reject(&item, reason),
            },
            // read before the file that it is over, while that is hashed
            LooseKind::Detached => return None,
        }
        Some(read)
    }

    /// Reads the next blobs that hold signatures.
    async fn read_layers(&mut self) -> Vec<Read> {
        let most = self.limits.envelope_bytes;
        // what is over the limit is refused without being read
        let layers = batch(&mut self.layers, self.budget, |layer| match layer.descriptor.size {
            size if size > most => 0,
            size => size,
        });
        if layers.is_empty() {
            self.give_up();
        }
        let this = &*self;
        let reads = stream::iter(layers).map(|layer| this.read_layer(layer));
        reads.buffered(self.limits.parallel * 2).collect().await
    }

    /// What comes next does not fit into the budget, and all that follows
    /// counts as not read.
    fn give_up(&mut self) {
        let bytes = self.limits.signature_bytes;
        self.incomplete.push(format!("signatures of {} are over {bytes} bytes", self.subject));
        self.queue.clear();
        self.layers.clear();
        self.large.clear();
    }

    async fn read_place(&self, place: Place) -> Read {
        let mut read = Read::default();
        let (item, target, listed) = match place {
            Place::Referrer(descriptor) => (
                descriptor.digest.to_string(),
                Target::Digest(descriptor.digest.clone()),
                Some(descriptor),
            ),
            Place::SignatureTag(tag) => (tag.clone(), Target::Tag(tag), None),
        };
        // no further than to where it is known not to be what was listed
        let most = self.limits.manifest_bytes;
        let max = listed.as_ref().map_or(most, |listed| listed.size.min(most));
        let raw = match self.store.manifest(&target, max).await {
            Ok(raw) => raw,
            Err(StoreError::TooLarge { .. }) if max < most => {
                let why = format!("the manifest listed as {item} has more than {max} bytes");
                read.reject(&item, Reason::Corrupt(why));
                return read;
            }
            // no older signature: nothing to say
            Err(StoreError::Absent { .. }) if listed.is_none() => return read,
            Err(error) => {
                read.failed(&item, &error);
                return read;
            }
        };
        read.bytes += raw.bytes.len() as u64;
        if let Some(listed) = &listed
            && (!is_listed(listed, &raw, self.limits) || listed.size != raw.bytes.len() as u64)
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
            Ok(layers) => read.layers = named(&item, layers),
            Err(reason) => read.reject(&item, reason),
        }
        read
    }

    async fn read_layer(&self, layer: Layer) -> Read {
        let mut read = Read::default();
        let Layer { item, descriptor } = layer;
        match fetch::small_blob(self.store, &descriptor, self.limits.envelope_bytes).await {
            Ok(bytes) => {
                read.bytes = bytes.len() as u64;
                read.finds.push(Candidate::listed(item, &descriptor, bytes));
            }
            Err(error) => read.failed(&item, &error),
        }
        read
    }
}

fn is_listed(listed: &Descriptor, raw: &RawManifest, limits: &Limits) -> bool {
    let (algorithm, kind) = (listed.digest.algorithm(), raw.media_type.as_deref());
    manifest_digest(algorithm, kind, &raw.bytes, limits) == listed.digest
}

/// The next items of a queue: at most [`BATCH`] of [`BATCH_BYTES`] in all, or
/// one that is larger; none where the next one alone is over the budget.
fn batch<T>(queue: &mut VecDeque<T>, budget: u64, size: impl Fn(&T) -> u64) -> Vec<T> {
    let mut taken = Vec::new();
    let mut sum = 0;
    while taken.len() < BATCH {
        let Some(next) = queue.front().map(&size) else { break };
        let most = if taken.is_empty() { budget } else { budget.min(BATCH_BYTES) };
        sum = next.saturating_add(sum);
        if sum > most {
            break;
        }
        taken.extend(queue.pop_front());
    }
    taken
}

/// Names each layer by its manifest, and by its place in it where there are
/// several.
fn named(item: &str, layers: Vec<Descriptor>) -> Vec<Layer> {
    let one = layers.len() == 1;
    let name = |position: usize| match one {
        true => item.to_owned(),
        false => format!("{item}#{position}"),
    };
    let layers = layers.into_iter().enumerate();
    layers.map(|(at, descriptor)| Layer { item: name(at), descriptor }).collect()
}

/// What reading one manifest or blob gave.
#[derive(Debug, Default)]
struct Read {
    finds: Vec<Result<Candidate, Rejection>>,
    layers: Vec<Layer>,
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
