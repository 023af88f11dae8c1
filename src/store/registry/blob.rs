//! Blobs: whether one is there, and reading one with resumption.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::header::{HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::access::Right;
use super::answer::Answer;
use super::retry::{Failure, Tries};
use super::session::{Call, Session};
use crate::image::Digest;
use crate::store::{Blob, Chunk, StoreError};

/// A download that got this much further may fail as often again.
const PROGRESS: u64 = 1 << 20;

/// Whether the registry has the blob, with the size that is expected where
/// it names one.
pub(super) async fn exists(
    session: &Session,
    digest: &Digest,
    size: u64,
) -> Result<bool, StoreError> {
    has(session, digest, size, Right::Pull).await
}

/// As [`exists`], asked with a right that later requests will need anyway.
pub(super) async fn has(
    session: &Session,
    digest: &Digest,
    size: u64,
    right: Right,
) -> Result<bool, StoreError> {
    let url = session.endpoint.blob(digest);
    let call = Call::new(Method::HEAD, url, right, format!("blob {digest}"));
    let answer = session.send(&call).await?;
    match answer.status() {
        StatusCode::OK => Ok(answer.length().is_none_or(|length| length == size)),
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(answer.refusal(&call).await),
    }
}

/// Opens a blob as a stream, which ends at the latest one chunk past `size`.
pub(super) async fn open(
    session: Arc<Session>,
    digest: &Digest,
    size: u64,
) -> Result<Blob, StoreError> {
    let call = Call::get(session.endpoint.blob(digest), format!("blob {digest}"));
    let answer = session.send(&call).await?;
    if answer.status() != StatusCode::OK {
        return Err(answer.refusal(&call).await);
    }
    answer.plain(&call.what)?;
    let total = answer.length();
    let tries = Tries::new(session.limits(), true);
    let download = Download {
        session,
        call,
        answer: Some(answer),
        size,
        total,
        at: 0,
        skip: 0,
        tries,
        mark: 0,
    };
    Ok(Blob::Stream(stream::try_unfold(download, Download::next).boxed()))
}

/// A blob on its way. Who reads it hashes it, so all that resumption must
/// guarantee is that no byte is given twice or left out if the server is
/// honest; if it is not, the digest shows it.
struct Download {
    session: Arc<Session>,
    call: Call,
    answer: Option<Answer>,
    size: u64,
    /// Length of the whole blob as the first answer stated it.
    total: Option<u64>,
    /// Bytes given to the reader.
    at: u64,
    /// Bytes of the current answer that the reader has already.
    skip: u64,
    tries: Tries,
    /// `at` when the attempts were last counted from anew.
    mark: u64,
}

impl Download {
    async fn next(mut self) -> Result<Option<(Chunk, Self)>, StoreError> {
        while self.at <= self.size {
            match self.step().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => return Ok(Some((chunk, self))),
                Ok(None) => return Ok(None),
                Err(failure) => {
                    self.answer = None;
                    self.tries.pause(failure).await?;
                }
            }
        }
        Ok(None)
    }

    /// The next bytes that the reader does not have, an empty chunk while
    /// skipping, `None` at the end.
    async fn step(&mut self) -> Result<Option<Chunk>, Failure> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let (answer, skip) = self.resume().await?;
                self.skip = skip;
                self.answer.insert(answer)
            }
        };
        let Some(mut chunk) = answer.chunk().await? else { return self.ended() };
        let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
        self.skip -= known as u64;
        let fresh = chunk.split_off(known);
        self.at += fresh.len() as u64;
        if self.at - self.mark >= PROGRESS {
            self.mark = self.at;
            self.tries = Tries::new(self.session.limits(), true);
        }
        Ok(Some(fresh))
    }

    /// A body that ends in time is the whole blob as far as this store can
    /// know, unless a repeated one was shorter than what it repeats.
    fn ended(&self) -> Result<Option<Chunk>, Failure> {
        if self.skip > 0 {
            let reason = format!("{} was shorter when it was sent again", self.call.what);
            return Err(self.session.place.protocol(reason).into());
        }
        Ok(None)
    }

    /// Asks for the rest. Says how many bytes of the answer to skip: none of
    /// a 206, all that the reader has of a server that ignores ranges.
    async fn resume(&self) -> Result<(Answer, u64), Failure> {
        let mut call = Call::get(self.call.url.clone(), self.call.what.clone());
        if self.at > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.at));
            call = call.header(RANGE, range.map_err(|_| self.against("cannot be resumed"))?);
        }
        let answer = self.session.attempt(&call).await?;
        answer.plain(&call.what)?;
        match answer.status() {
            StatusCode::OK => Ok((answer, self.at)),
            StatusCode::PARTIAL_CONTENT if self.at > 0 && self.is_rest(&answer) => Ok((answer, 0)),
            StatusCode::PARTIAL_CONTENT => {
                Err(self.against("was resumed at another place than asked").into())
            }
            // it was there a moment ago: that is no absence
            StatusCode::NOT_FOUND => Err(self.against("vanished while it was read").into()),
            _ => Err(answer.refusal(&call).await.into()),
        }
    }

    /// Whether a 206 holds exactly what is missing: `bytes AT-LAST/TOTAL`.
    fn is_rest(&self, answer: &Answer) -> bool {
        let Some(range) = answer.header("content-range").and_then(content_range) else {
            return false;
        };
        let whole = range.total.is_none_or(|total| {
            range.last.checked_add(1) == Some(total)
                && self.total.is_none_or(|first| first == total)
        });
        range.first == self.at && whole
    }

    fn against(&self, what_happened: &str) -> StoreError {
        self.session.place.protocol(format!("{} {what_happened}", self.call.what))
    }
}

pub(super) struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

/// RFC 9110, section 14.4.
pub(super) fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = match total {
        "*" => None,
        number => Some(number.parse().ok()?),
    };
    let range = ContentRange { first: first.parse().ok()?, last: last.parse().ok()?, total };
    (range.first <= range.last).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_exactly() {
        let range = content_range("bytes 5-9/10").unwrap();
        assert_eq!((range.first, range.last, range.total), (5, 9, Some(10)));
        assert_eq!(content_range("bytes 5-9/*").map(|r| r.total), Some(None));
        for bad in ["", "bytes */10", "bytes 9-5/10", "5-9/10", "bytes 5-9", "bytes a-9/10"] {
            assert!(content_range(bad).is_none(), "{bad}");
        }
    }
}
