//! One pass over a file that is an image.
//!
//! One thread reads the file and hashes it as it lies there, for its digest
//! and for its detached signatures; another reads what is in it. What was
//! signed is thereby what was read.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use super::{CHUNK, Reader};
use crate::crypto::openpgp::ContentHash;
use crate::engine::{Error, Progress};
use crate::image::{FileCheck, FileHasher};
use crate::store::Whole;

/// Chunks that wait between the two threads.
const QUEUE: usize = 8;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// Whoever reads what is in the file, as its bytes come.
pub(in crate::engine) trait Reads: Send + 'static {
    /// Takes the next bytes. False where nothing that follows matters.
    fn update(&mut self, bytes: &[u8]) -> bool;
}

/// What one pass over a file gave.
pub(in crate::engine) struct Pass<R> {
    pub(in crate::engine) file: FileCheck,
    pub(in crate::engine) reader: R,
    pub(in crate::engine) hashes: Vec<Option<ContentHash>>,
}

/// Reads the file once, on threads of its own.
pub(in crate::engine) async fn read<R: Reads>(
    whole: Whole,
    hashes: Vec<Option<ContentHash>>,
    reader: R,
    progress: &dyn Progress,
) -> Result<Pass<R>, Error> {
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let mut work = std::pin::pin!(aside(move || read_all(&whole, hashes, reader, &counted)));
    let pass = loop {
        tokio::select! {
            pass = &mut work => break pass?,
            () = tokio::time::sleep(TICK) => progress.advance(done.swap(0, Ordering::Relaxed)),
        }
    };
    progress.advance(done.swap(0, Ordering::Relaxed));
    Ok(pass)
}

/// Runs what blocks on a thread of its own.
pub(in crate::engine) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let failed = |source| Error::File { what: "read the image".to_owned(), source };
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(e.into()))?.map_err(failed)
}

fn read_all<R: Reads>(
    whole: &Whole,
    mut hashes: Vec<Option<ContentHash>>,
    reader: R,
    done: &AtomicU64,
) -> io::Result<Pass<R>> {
    let (send, receive) = sync_channel::<Vec<u8>>(QUEUE);
    let (give_back, spare) = channel();
    std::thread::scope(|scope| {
        let inside = std::thread::Builder::new()
            .spawn_scoped(scope, move || feed(reader, &receive, &give_back))?;
        let (mut file, mut bytes) = (FileHasher::default(), Reader::new(&whole.file));
        let mut wanted = true;
        loop {
            let mut chunk: Vec<u8> = spare.try_recv().unwrap_or_default();
            chunk.resize(CHUNK, 0);
            let got = match bytes.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got?,
            };
            if got == 0 {
                break;
            }
            chunk.truncate(got);
            file.update(&chunk);
            hashes.iter_mut().flatten().for_each(|hash| hash.update(&chunk));
            done.fetch_add(got as u64, Ordering::Relaxed);
            // the other thread hangs up once nothing more matters to it
            wanted = wanted && send.send(chunk).is_ok();
        }
        drop(send);
        let reader = inside.join().map_err(|_| io::Error::other("a thread ended early"))?;
        Ok(Pass { file: file.finish(), reader, hashes })
    })
}

fn feed<R: Reads>(mut reader: R, chunks: &Receiver<Vec<u8>>, spare: &Sender<Vec<u8>>) -> R {
    for chunk in chunks {
        if !reader.update(&chunk) {
            break;
        }
        // whoever reads may have ended already
        let _ = spare.send(chunk);
    }
    reader
}
