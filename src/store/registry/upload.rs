//! Pushing blobs: distribution-spec v1.1.1, "Pushing a blob monolithically".

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::access::Right;
use super::blob::has;
use super::retry::{Failure, Tries};
use super::session::{Call, Payload, Session};
use crate::image::Descriptor;
use crate::store::{Blob, Chunk, StoreError};

/// Bytes that are read from a file at once.
const READ: usize = 256 << 10;

/// Uploads a blob that the registry does not have yet.
pub(super) async fn blob(
    session: &Session,
    descriptor: &Descriptor,
    blob: Blob,
) -> Result<(), StoreError> {
    if has(session, &descriptor.digest, descriptor.size, Right::Push).await? {
        return Ok(());
    }
    let mut source = Source::from(blob);
    let mut tries = Tries::new(session.limits(), source.repeatable());
    loop {
        match once(session, descriptor, &mut source).await {
            Ok(()) => return Ok(()),
            Err(failure) => tries.pause(failure).await?,
        }
    }
}

/// One upload from its start: after a failure the old session is of no use.
async fn once(
    session: &Session,
    descriptor: &Descriptor,
    source: &mut Source,
) -> Result<(), Failure> {
    let what = format!("blob {}", descriptor.digest);
    let mut url = start(session, &what).await?;
    // The Location may have a query of its own, which stays in front.
    url.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
    let body = Payload::Once { len: descriptor.size, stream: Mutex::new(source.take()) };
    let call = Call::new(Method::PUT, url, Right::Push, what)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
        .body(body);
    let answer = session.attempt(&call).await?;
    match answer.status() {
        // go-containerregistry's registry answers without a Location, and
        // nothing here needs one
        StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
        _ => Err(answer.refusal(&call).await.into()),
    }
}

async fn start(session: &Session, what: &str) -> Result<Url, StoreError> {
    let url = session.endpoint.uploads();
    let mut call = Call::new(Method::POST, url, Right::Push, format!("the upload of {what}"));
    call.idempotent = true; // a second start leaves an empty session that expires
    let answer = session.send(&call).await?;
    if answer.status() != StatusCode::ACCEPTED {
        return Err(answer.refusal(&call).await);
    }
    let location = answer.header("location").ok_or_else(|| {
        session.place.protocol(format!("{} was accepted without a Location", call.what))
    })?;
    session.target(answer.url(), location)
}

/// Where the bytes come from.
enum Source {
    File { file: Arc<File>, offset: u64, len: u64 },
    Stream(Option<BoxStream<'static, Result<Chunk, StoreError>>>),
}

impl From<Blob> for Source {
    fn from(blob: Blob) -> Self {
        match blob {
            Blob::File { file, offset, len } => Self::File { file, offset, len },
            Blob::Stream(stream) => Self::Stream(Some(stream)),
        }
    }
}

impl Source {
    fn repeatable(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// The bytes from their beginning; of a stream only once.
    fn take(&mut self) -> Option<BoxStream<'static, Result<Chunk, StoreError>>> {
        match self {
            Self::Stream(stream) => stream.take(),
            Self::File { file, offset, len } => {
                let state = (Arc::clone(file), *offset, *len);
                Some(stream::try_unfold(state, read_on).boxed())
            }
        }
    }
}

type Position = (Arc<File>, u64, u64);

async fn read_on((file, at, left): Position) -> Result<Option<(Chunk, Position)>, StoreError> {
    if left == 0 {
        return Ok(None);
    }
    let failed = |source| StoreError::Io { what: "reading a blob to upload it".to_owned(), source };
    let want = usize::try_from(left).unwrap_or(READ).min(READ);
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; want];
        let got = file.read_at(&mut buffer, at)?;
        buffer.truncate(got);
        Ok((buffer, file))
    });
    let read: std::io::Result<_> = reading.await.map_err(std::io::Error::other).map_err(failed)?;
    let (buffer, file) = read.map_err(failed)?;
    let got = buffer.len() as u64;
    if got == 0 {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some((Bytes::from(buffer), (file, at + got, left - got))))
}
