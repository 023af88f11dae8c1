//! Blobs from store to store, hashed while they pass.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use super::CopyError;
use crate::image::{Descriptor, Hasher};
use crate::limits::Limits;
use crate::store::{Blob, Chunk, Store, StoreError, chunks};

/// A blob to copy.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) descriptor: Descriptor,
    /// Its content as the descriptor embeds it, unchecked.
    pub(super) data: Option<Vec<u8>>,
    /// Whether the size is stated; else it is the most that is read.
    pub(super) sized: bool,
}

/// Waits before a blob is sent again. Stores retry what they can by
/// themselves; these are for what only the two together can.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// What came of the blobs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) written: usize,
    pub(super) bytes: u64,
    pub(super) present: usize,
    pub(super) external: Vec<Descriptor>,
}

enum Outcome {
    Written(u64),
    Present,
    External(Box<Descriptor>),
}

/// Copies the blobs, a few at a time.
pub(super) async fn blobs(
    src: &dyn Store,
    dst: &dyn Store,
    parts: Vec<Part>,
    limits: &Limits,
) -> Result<Tally, CopyError> {
    let mut tally = Tally::default();
    let mut transfers = stream::iter(parts)
        .map(|part| blob(src, dst, part))
        .buffer_unordered(limits.parallel.max(1));
    while let Some(outcome) = transfers.try_next().await? {
        match outcome {
            Outcome::Written(bytes) => {
                tally.written += 1;
                tally.bytes = tally.bytes.saturating_add(bytes);
            }
            Outcome::Present => tally.present += 1,
            Outcome::External(descriptor) => tally.external.push(*descriptor),
        }
    }
    tally.external.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(tally)
}

/// Copies one blob, from its beginning again where the destination broke off:
/// a stream that went half of its way cannot be sent twice.
async fn blob(src: &dyn Store, dst: &dyn Store, part: Part) -> Result<Outcome, CopyError> {
    for pause in PAUSES {
        match once(src, dst, &part).await {
            Err(CopyError::Store(StoreError::Unreachable { .. })) => {
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    once(src, dst, &part).await
}

async fn once(src: &dyn Store, dst: &dyn Store, part: &Part) -> Result<Outcome, CopyError> {
    let descriptor = &match part.sized {
        true => part.descriptor.clone(),
        false => measured(src, &part.descriptor).await?,
    };
    if dst.has_blob(&descriptor.digest, descriptor.size).await? {
        return Ok(Outcome::Present);
    }
    let blob = match (src.blob(&descriptor.digest, descriptor.size).await, &part.data) {
        (Ok(blob), _) => blob,
        (Err(StoreError::Absent { .. }), Some(data)) => {
            Blob::Stream(stream::iter([Ok(Chunk::from(data.clone()))]).boxed())
        }
        (Err(StoreError::Absent { .. }), None) if !descriptor.urls.is_empty() => {
            match src.elsewhere(&descriptor.urls, descriptor.size).await {
                Ok(blob) => blob,
                Err(StoreError::Absent { .. }) => {
                    return Ok(Outcome::External(Box::new(descriptor.clone())));
                }
                Err(error) => return Err(error.into()),
            }
        }
        (Err(StoreError::Absent { .. }), None) => {
            let what = format!("blob {}", descriptor.digest);
            return Err(CopyError::Missing { what, place: src.place() });
        }
        (Err(error), _) => return Err(error.into()),
    };
    let found = Found::default();
    let pushed = dst.push_blob(descriptor, Blob::Stream(checked(blob, descriptor, &found))).await;
    // What the stream saw explains the push's error better than the push can.
    match (found.take(), pushed) {
        (Some(found), _) => Err(CopyError::Mismatch {
            what: format!("blob {}", descriptor.digest),
            place: src.place(),
            expected: format!("{} and {} bytes", descriptor.digest, descriptor.size),
            found,
        }),
        (None, Ok(())) => Ok(Outcome::Written(descriptor.size)),
        (None, Err(error)) => Err(error.into()),
    }
}

/// The descriptor with the blob's size: read once to measure it, since who
/// writes a blob must say its size first, and hashed before it is believed.
async fn measured(src: &dyn Store, most: &Descriptor) -> Result<Descriptor, CopyError> {
    let what = format!("blob {}", most.digest);
    let blob = match src.blob(&most.digest, most.size).await {
        Err(StoreError::Absent { .. }) => {
            return Err(CopyError::Missing { what, place: src.place() });
        }
        blob => blob?,
    };
    let mut hasher = Hasher::new(most.digest.algorithm());
    let (mut chunks, mut size) = (chunks(blob), 0);
    while let Some(chunk) = chunks.try_next().await? {
        size += chunk.len() as u64;
        if size > most.size {
            return Err(CopyError::Limit(format!("{what} has more than {} bytes", most.size)));
        }
        hasher.update(&chunk);
    }
    let found = hasher.finish();
    if found != most.digest {
        let (expected, found) = (most.digest.to_string(), found.to_string());
        return Err(CopyError::Mismatch { what, place: src.place(), expected, found });
    }
    Ok(Descriptor { size, ..most.clone() })
}

/// What a stream's bytes were instead of what they had to be.
#[derive(Debug, Clone, Default)]
struct Found(Arc<Mutex<Option<String>>>);

impl Found {
    fn set(&self, found: String) -> StoreError {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        let reason = format!("a blob has {found}; do not use this image");
        StoreError::Protocol { place: "the source".to_owned(), reason }
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Checked {
    chunks: BoxStream<'static, Result<Chunk, StoreError>>,
    hasher: Option<Hasher>,
    held: Option<Chunk>,
    passed: u64,
    expected: Descriptor,
    found: Found,
}

/// The blob's bytes, of which the last chunk is held back until digest and
/// size are right: a destination never gets all of a wrong blob, and gets an
/// error for the end of it.
fn checked(
    blob: Blob,
    expected: &Descriptor,
    found: &Found,
) -> BoxStream<'static, Result<Chunk, StoreError>> {
    let state = Checked {
        chunks: chunks(blob),
        hasher: Some(Hasher::new(expected.digest.algorithm())),
        held: None,
        passed: 0,
        expected: expected.clone(),
        found: found.clone(),
    };
    stream::try_unfold(state, |mut state| async move {
        Ok(state.next().await?.map(|chunk| (chunk, state)))
    })
    .boxed()
}

impl Checked {
    async fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        while let Some(chunk) = self.chunks.try_next().await? {
            self.passed = self.passed.saturating_add(chunk.len() as u64);
            if self.passed > self.expected.size {
                return Err(self.found.set(format!("more than {} bytes", self.expected.size)));
            }
            if chunk.is_empty() {
                continue;
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&chunk);
            }
            if let Some(before) = self.held.replace(chunk) {
                return Ok(Some(before));
            }
        }
        // The end, and once only: afterwards there is nothing held.
        let Some(hasher) = self.hasher.take() else { return Ok(None) };
        let digest = hasher.finish();
        if digest != self.expected.digest || self.passed != self.expected.size {
            return Err(self.found.set(format!("{digest} and {} bytes", self.passed)));
        }
        Ok(self.held.take())
    }
}
