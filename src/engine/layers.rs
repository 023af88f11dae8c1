//! Hashing blobs as they stream, several at once, in constant memory.
//!
//! Large blobs are hashed on threads of their own, so that two cores hash
//! while the event loop reads on; small ones are not worth a thread.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::{Error, Progress};
use crate::image::{LayerCheck, LayerHasher, NodeKind, TreeBuilder, Want, check_reader};
use crate::limits::Limits;
use crate::store::{Blob, Chunk, Store, StoreError, Target};

/// Below this a thread costs more than it brings.
const WORTH_A_THREAD: u64 = 512 << 10;

/// Chunks that wait between the network and the hash of one blob.
const QUEUE: usize = 8;

/// Hashes what `wants` asks for and gives it to the builder.
pub(super) async fn supply(
    builder: &mut TreeBuilder,
    store: &dyn Store,
    wants: Vec<Want>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<(), Error> {
    progress.expect(wants.iter().fold(0, |sum, want| want.size.saturating_add(sum)));
    let mut checks = stream::iter(wants)
        .map(|want| async move {
            let check = check(store, &want, limits, progress).await;
            (want, check)
        })
        .buffer_unordered(limits.parallel);
    while let Some((want, check)) = checks.next().await {
        match check {
            Ok(check) => builder.supply_layer(check),
            Err(StoreError::Absent { .. }) => builder.missing(&want),
            Err(StoreError::TooLarge { what, limit }) => {
                builder.limit(&want, format!("{what} is larger than {limit}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn check(
    store: &dyn Store,
    want: &Want,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<LayerCheck, StoreError> {
    match open(store, want).await? {
        Blob::File { file, offset, len } => {
            let range = Range { file, at: offset, end: offset.saturating_add(len) };
            let check = from_file(want, range, limits).await;
            progress.advance(want.size);
            check
        }
        Blob::Stream(chunks) if want.size < WORTH_A_THREAD => {
            here(want, chunks, limits, progress).await
        }
        Blob::Stream(chunks) => on_a_thread(want, chunks, limits, progress).await,
    }
}

/// An index may point to anything; what is no manifest to us may still be
/// one to the registry, and is then kept among its manifests.
async fn open(store: &dyn Store, want: &Want) -> Result<Blob, StoreError> {
    match store.blob(&want.digest, want.size).await {
        Err(StoreError::Absent { .. }) if want.kind == NodeKind::Opaque => {
            let target = Target::Digest(want.digest.clone());
            let raw = store.manifest(&target, want.size).await?;
            let chunk = Ok(Chunk::from(raw.bytes));
            Ok(Blob::Stream(stream::once(std::future::ready(chunk)).boxed()))
        }
        blob => blob,
    }
}

async fn from_file(want: &Want, range: Range, limits: &Limits) -> Result<LayerCheck, StoreError> {
    let failed = |source| StoreError::Io { what: "reading a blob".to_owned(), source };
    if want.size < WORTH_A_THREAD {
        return check_reader(want, range, limits).map_err(failed);
    }
    let (want, limits) = (want.clone(), limits.clone());
    let work = tokio::task::spawn_blocking(move || check_reader(&want, range, &limits));
    work.await.map_err(io::Error::other).and_then(|check| check).map_err(failed)
}

async fn here(
    want: &Want,
    mut chunks: BoxStream<'static, Result<Chunk, StoreError>>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<LayerCheck, StoreError> {
    let mut hasher = LayerHasher::new(want, limits);
    while let Some(chunk) = chunks.try_next().await? {
        progress.advance(chunk.len() as u64);
        if !hasher.update(&chunk) {
            break;
        }
    }
    Ok(hasher.finish())
}

async fn on_a_thread(
    want: &Want,
    mut chunks: BoxStream<'static, Result<Chunk, StoreError>>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<LayerCheck, StoreError> {
    let (send, mut receive) = mpsc::channel::<Chunk>(QUEUE);
    let mut hasher = LayerHasher::new(want, limits);
    let work = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = receive.blocking_recv() {
            if !hasher.update(&chunk) {
                break;
            }
        }
        hasher.finish()
    });
    while let Some(chunk) = chunks.try_next().await? {
        progress.advance(chunk.len() as u64);
        // the hasher hangs up once there are more bytes than the size
        if send.send(chunk).await.is_err() {
            break;
        }
    }
    drop(send);
    work.await.map_err(|gone| StoreError::Io {
        what: "hashing a blob".to_owned(),
        source: io::Error::other(gone),
    })
}

/// A run of bytes in a file, read with pread so that threads can share it.
struct Range {
    file: Arc<std::fs::File>,
    at: u64,
    end: u64,
}

impl io::Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = left.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..room) else { return Ok(0) };
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
