//! Bodies: bounded one by one and all together, and not waited for long.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::limits::Limits;

/// What one permit of the budget stands for.
const UNIT: usize = 1 << 10;

/// From how many bytes on a body counts as large. A usual one is smaller.
pub(super) const LARGE: usize = 64 << 10;

/// Memory for bodies: a third for those that are not large, so that large
/// ones cannot keep them out.
pub(super) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    each: usize,
    patience: Duration,
}

/// A body, and its share of the budget for as long as it is held.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Vec<OwnedSemaphorePermit>,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is larger than one may be.
    TooLarge,
    /// It did not arrive in time.
    Slow,
    /// There was no room for it in time.
    Busy,
    /// The client ended it early.
    Broken,
}

impl Refusal {
    /// Status, word for metrics, and what to tell.
    pub(super) fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "the body is larger than any AdmissionReview of an API server",
            ),
            Self::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "slow",
                "the body did not arrive in time; send it at once",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many reviews at once; try again, or run more replicas",
            ),
            Self::Broken => (StatusCode::BAD_REQUEST, "broken", "the body ended early"),
        }
    }
}

impl Budget {
    /// As the limits say.
    pub(super) fn new(limits: &Limits) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let each = bytes(limits.review_bytes);
        let small = bytes(limits.reviews_bytes / 3).max(LARGE);
        let large = bytes(limits.reviews_bytes).saturating_sub(small).max(each);
        let units = |bytes: usize| bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            small: Arc::new(Semaphore::new(units(small))),
            large: Arc::new(Semaphore::new(units(large))),
            each,
            patience: limits.body_timeout,
        }
    }

    /// Reads a body. A large one has all of its room before it is read, so
    /// that two of them never wait for each other.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Held, Refusal> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|text| text.parse::<u64>().ok());
        let announced = match announced.map(usize::try_from) {
            Some(Ok(length)) if length <= self.each => length,
            Some(_) => return Err(Refusal::TooLarge),
            // it may become as large as it likes
            None => self.each,
        };
        let mut held = Held { bytes: Bytes::new(), _share: Vec::new() };
        let large = announced > LARGE;
        if large {
            held._share.push(share(&self.large, announced, deadline).await?);
        }
        let deadline = deadline.min(Instant::now() + self.patience);
        let mut chunks = body.into_data_stream();
        let mut rest = BytesMut::new();
        loop {
            let next = timeout_at(deadline, chunks.next()).await.map_err(|_| Refusal::Slow)?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| Refusal::Broken)?;
            if held.bytes.len() + rest.len() + chunk.len() > announced {
                return Err(Refusal::TooLarge);
            }
            if !large {
                held._share.push(share(&self.small, chunk.len(), deadline).await?);
            }
            match held.bytes.is_empty() && rest.is_empty() {
                // most bodies are one chunk, which needs no copy
                true => held.bytes = chunk,
                false => append(&mut rest, &mut held.bytes, &chunk),
            }
        }
        if !rest.is_empty() {
            held.bytes = rest.freeze();
        }
        Ok(held)
    }
}

async fn share(
    units: &Arc<Semaphore>,
    bytes: usize,
    deadline: Instant,
) -> Result<OwnedSemaphorePermit, Refusal> {
    let wanted = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| Refusal::TooLarge)?;
    match timeout_at(deadline, Arc::clone(units).acquire_many_owned(wanted)).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
    }
}

fn append(rest: &mut BytesMut, first: &mut Bytes, chunk: &[u8]) {
    if rest.is_empty() {
        rest.extend_from_slice(&std::mem::take(first));
    }
    rest.extend_from_slice(chunk);
}
