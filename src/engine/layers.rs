//! Hashing blobs as they stream, several at once, in constant memory.
//!
//! Large blobs are hashed on threads of their own, so that two cores hash
//! while the event loop reads on; small ones are not worth a thread.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::{Ask, Error, Hashed, Progress};
use crate::image::{
    Job, LayerCheck, LayerHasher, NodeKind, TreeBuilder, Want, check_all, check_reader,
};
use crate::limits::Limits;
use crate::store::{Blob, Chunk, Store, StoreError, Target};

/// Below this a thread costs more than it brings.
const WORTH_A_THREAD: u64 = 512 << 10;

/// Chunks that wait between the network and the hash of one blob.
const QUEUE: usize = 8;

/// Files that are open at once: few enough for any system, enough to keep
/// every core busy.
const OPEN_FILES: usize = 64;

/// How often progress is told while threads hash files.
const TICK: Duration = Duration::from_millis(100);

/// Hashes what `wants` asks for and gives it to the builder.
pub(super) async fn supply(
    builder: &mut TreeBuilder,
    store: &dyn Store,
    wants: Vec<Want>,
    limits: &Limits,
    ask: &Ask<'_>,
) -> Result<(), Error> {
    let progress = ask.progress;
    let wants = recall(builder, wants, ask.hashed);
    progress.expect(
        wants.iter().filter(|w| w.exact).fold(0, |sum, want| want.size.saturating_add(sum)),
    );
    let mut reads = stream::iter(wants)
        .map(|want| async move {
            let read = read(store, &want, limits, progress).await;
            (want, read)
        })
        .buffer_unordered(limits.parallel);
    let mut files = Vec::new();
    while let Some((want, read)) = reads.next().await {
        match read {
            Ok(Read::Done(check)) => take(builder, &want, check, ask.hashed),
            Ok(Read::Later(reader)) => files.push(Job { want, reader }),
            Err(StoreError::Absent { .. }) => builder.missing(&want),
            Err(StoreError::TooLarge { limit, .. }) if limit == want.size => {
                builder.too_long(&want);
            }
            Err(StoreError::TooLarge { what, limit }) => {
                builder.limit(&want, format!("{what} is larger than {limit}"));
            }
            Err(error) => return Err(error.into()),
        }
        if files.len() >= OPEN_FILES {
            hash_files(builder, std::mem::take(&mut files), limits, ask).await?;
        }
    }
    hash_files(builder, files, limits, ask).await
}

/// Gives the builder what was hashed before; what is left is to be read.
fn recall(builder: &mut TreeBuilder, wants: Vec<Want>, hashed: &dyn Hashed) -> Vec<Want> {
    let mut left = Vec::new();
    for want in wants {
        match hashed.find(&want).filter(|check| check.answers(&want) && check.is_sound()) {
            Some(check) => builder.supply_layer(check),
            None => left.push(want),
        }
    }
    left
}

fn take(builder: &mut TreeBuilder, want: &Want, check: LayerCheck, hashed: &dyn Hashed) {
    if check.is_sound() {
        hashed.keep(want, &check);
    }
    builder.supply_layer(check);
}

/// What became of one blob.
enum Read {
    /// It was hashed as it came.
    Done(LayerCheck),
    /// It is a file: these are hashed together, two in step on each core.
    Later(Range),
}

async fn read(
    store: &dyn Store,
    want: &Want,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Read, StoreError> {
    Ok(match open(store, want).await? {
        Blob::File { file, offset, len } => {
            let range = Range { file, at: offset, end: offset.saturating_add(len) };
            if want.size >= WORTH_A_THREAD && len >= WORTH_A_THREAD {
                return Ok(Read::Later(range));
            }
            progress.advance(len);
            Read::Done(check_reader(want, range, limits).map_err(failed)?)
        }
        Blob::Stream(chunks) if want.size < WORTH_A_THREAD => {
            Read::Done(here(want, chunks, limits, progress).await?)
        }
        Blob::Stream(chunks) => Read::Done(on_a_thread(want, chunks, limits, progress).await?),
    })
}

/// Hashes files on as many threads as there are cores, away from the event
/// loop, telling progress meanwhile.
async fn hash_files(
    builder: &mut TreeBuilder,
    files: Vec<Job<Range>>,
    limits: &Limits,
    ask: &Ask<'_>,
) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let progress = ask.progress;
    let wants: Vec<Want> = files.iter().map(|job| job.want.clone()).collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (limits, done) = (limits.clone(), Arc::new(AtomicU64::new(0)));
    let counted = done.clone();
    let mut work = tokio::task::spawn_blocking(move || {
        check_all(files, threads, &limits, &|n| {
            counted.fetch_add(n, Ordering::Relaxed);
        })
    });
    let checks = loop {
        tokio::select! {
            checks = &mut work => break checks.map_err(|gone| failed(io::Error::other(gone)))?,
            () = tokio::time::sleep(TICK) => progress.advance(done.swap(0, Ordering::Relaxed)),
        }
    };
    progress.advance(done.swap(0, Ordering::Relaxed));
    for (want, check) in wants.iter().zip(checks) {
        take(builder, want, check.map_err(failed)?, ask.hashed);
    }
    Ok(())
}

fn failed(source: io::Error) -> StoreError {
    StoreError::Io { what: "reading a blob".to_owned(), source }
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
        Err(StoreError::Absent { what, place }) if !want.urls.is_empty() => {
            match store.elsewhere(&want.urls, want.size).await {
                Err(StoreError::Absent { .. }) => Err(StoreError::Absent { what, place }),
                blob => blob,
            }
        }
        blob => blob,
    }
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
