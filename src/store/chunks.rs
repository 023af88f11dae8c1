//! Blobs as chunks, and file work away from the threads that serve IO.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::{Blob, Chunk, StoreError};
use crate::image::{Digest, Hasher};

/// Bytes per read: from 64 to 256 KiB hashing is as fast as it gets.
const READ: usize = 256 << 10;

/// The bytes of a blob in order, whichever form it has.
pub fn chunks(blob: Blob) -> BoxStream<'static, Result<Chunk, StoreError>> {
    let (file, offset, len) = match blob {
        Blob::Stream(stream) => return stream,
        Blob::File { file, offset, len } => (file, offset, len),
    };
    let end = offset.saturating_add(len);
    stream::try_unfold(offset, move |at| {
        let file = file.clone();
        async move {
            if at >= end {
                return Ok(None);
            }
            let want = usize::try_from(end - at).unwrap_or(READ).min(READ);
            let chunk = blocking(move || read_chunk(&file, at, want)).await?;
            let next = at + chunk.len() as u64;
            Ok(Some((chunk, next)))
        }
    })
    .boxed()
}

fn read_chunk(file: &Arc<File>, at: u64, want: usize) -> Result<Chunk, StoreError> {
    let mut buffer = vec![0; want];
    match file.read_exact_at(&mut buffer, at) {
        Ok(()) => Ok(Chunk::from(buffer)),
        Err(source) => Err(StoreError::Io { what: "reading a blob".to_owned(), source }),
    }
}

/// Whether the bytes have the digest.
pub(super) async fn is_sound(blob: Blob, digest: &Digest) -> Result<bool, StoreError> {
    let mut hasher = Hasher::new(digest.algorithm());
    let mut stream = chunks(blob);
    while let Some(chunk) = stream.next().await {
        hasher.update(&chunk?);
    }
    Ok(hasher.finish() == *digest)
}

/// Runs file work on the thread pool; in place where there is no runtime.
pub(super) async fn blocking<T, W>(work: W) -> Result<T, StoreError>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.unwrap_or_else(|gone| {
            Err(StoreError::Io {
                what: "working on files".to_owned(),
                source: io::Error::other(gone),
            })
        }),
        Err(_) => work(),
    }
}
