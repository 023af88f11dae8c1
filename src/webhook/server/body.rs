//! Bodies: bounded one by one and all together, and not waited for long.

use std::sync::Arc;

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

/// Memory for bodies.
pub(super) struct Budget {
    units: Arc<Semaphore>,
    each: u64,
}

/// A body, and its share of the budget for as long as it is held.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
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
        let total = usize::try_from(limits.reviews_bytes).unwrap_or(usize::MAX);
        let units = (total / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), each: limits.review_bytes }
    }

    /// Reads a body until `deadline`. What has arrived counts, not what was
    /// announced: announcing is free for an attacker.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Held, Refusal> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.each) {
            return Err(Refusal::TooLarge);
        }
        let mut chunks = body.into_data_stream();
        let mut held = Held { bytes: Bytes::new(), _share: None };
        let mut rest = BytesMut::new();
        loop {
            let next = timeout_at(deadline, chunks.next()).await.map_err(|_| Refusal::Slow)?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| Refusal::Broken)?;
            if (held.bytes.len() + rest.len() + chunk.len()) as u64 > self.each {
                return Err(Refusal::TooLarge);
            }
            let share = timeout_at(deadline, self.share(chunk.len())).await;
            held.take(share.map_err(|_| Refusal::Busy)??);
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

    async fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| Refusal::TooLarge)?;
        Arc::clone(&self.units).acquire_many_owned(units).await.map_err(|_| Refusal::Busy)
    }
}

impl Held {
    fn take(&mut self, more: OwnedSemaphorePermit) {
        match &mut self._share {
            Some(share) => share.merge(more),
            None => self._share = Some(more),
        }
    }
}

fn append(rest: &mut BytesMut, first: &mut Bytes, chunk: &[u8]) {
    if rest.is_empty() {
        rest.extend_from_slice(&std::mem::take(first));
    }
    rest.extend_from_slice(chunk);
}
