//! appc images: the file read once, and what it depends on.
//!
//! One thread reads the file and hashes it as it lies there, for its digest
//! and for its detached signatures; another decompresses it for the image ID
//! and the manifest. What was signed is thereby what was read.

mod find;

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use find::Shelf;

use super::whole::{CHUNK, Grown, Reader, Signed};
use super::{Error, Image, Progress};
use crate::crypto::openpgp::ContentHash;
use crate::image::aci::{AciCheck, AciName, AciReader, AciTree, Pair};
use crate::image::{Depth, FileCheck, FileHasher};
use crate::limits::Limits;
use crate::store::Whole;

/// Chunks that wait between the two threads.
const QUEUE: usize = 8;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// Reads an ACI with its dependencies. `signed` are signatures that its bytes
/// are hashed for.
pub(super) async fn grow(
    image: &Image,
    whole: &Whole,
    depth: Depth,
    mut signed: Vec<Signed>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Grown, Error> {
    progress.expect(whole.len);
    let hashes = signed.iter_mut().map(|s| s.hash.take()).collect();
    let all = read_aside(whole.clone(), hashes, limits.clone(), progress).await?;
    for (signed, hash) in signed.iter_mut().zip(all.hashes) {
        signed.hash = hash;
    }
    let mut tree = AciTree::new(all.file, &all.check, depth, limits);
    if let Some(asked) = asked(image) {
        tree.must_be(&all.check, &asked);
    }
    let shelf = Arc::new(Shelf::new(image.store().dependencies().to_vec(), limits.clone()));
    while let Some(want) = tree.want() {
        let (shelf, wanted) = (shelf.clone(), want.clone());
        match aside(move || shelf.find(&wanted)).await? {
            Some((check, bytes)) => tree.supply(&want, check, bytes),
            None => tree.missing(&want),
        }
    }
    progress.finish();
    Ok(Grown { tree: tree.finish(), signed })
}

/// The name and labels that the image must have by its own account: those by
/// which it was found, or those that the user gives it.
fn asked(image: &Image) -> Option<AciName> {
    if let Some(name) = image.store().asked() {
        return Some(name.clone());
    }
    let name = image.signed_name()?;
    let version = name.tag().map(|tag| Pair { name: "version".to_owned(), value: tag.to_owned() });
    AciName::new(&name.repository().to_string(), &version.into_iter().collect::<Vec<_>>()).ok()
}

/// What one pass over a file gave.
struct Pass {
    file: FileCheck,
    check: AciCheck,
    hashes: Vec<Option<ContentHash>>,
}

async fn read_aside(
    whole: Whole,
    hashes: Vec<Option<ContentHash>>,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Pass, Error> {
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let mut work = std::pin::pin!(aside(move || read(&whole, hashes, &limits, &counted)));
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
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let failed = |source| Error::File { what: "read the image".to_owned(), source };
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(e.into()))?.map_err(failed)
}

fn read(
    whole: &Whole,
    mut hashes: Vec<Option<ContentHash>>,
    limits: &Limits,
    done: &AtomicU64,
) -> io::Result<Pass> {
    let (send, receive) = sync_channel::<Vec<u8>>(QUEUE);
    let (give_back, spare) = channel();
    std::thread::scope(|scope| {
        let unpack = std::thread::Builder::new()
            .spawn_scoped(scope, move || unpack(&receive, &give_back, limits))?;
        let (mut file, mut reader) = (FileHasher::default(), Reader::new(whole));
        let mut wanted = true;
        loop {
            let mut chunk: Vec<u8> = spare.try_recv().unwrap_or_default();
            chunk.resize(CHUNK, 0);
            let got = match reader.read(&mut chunk) {
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
            // the other thread hangs up once it is known to be no ACI
            wanted = wanted && send.send(chunk).is_ok();
        }
        drop(send);
        let check = unpack.join().map_err(|_| io::Error::other("a thread ended early"))?;
        Ok(Pass { file: file.finish(), check, hashes })
    })
}

fn unpack(chunks: &Receiver<Vec<u8>>, spare: &Sender<Vec<u8>>, limits: &Limits) -> AciCheck {
    let mut reader = AciReader::new(limits);
    for chunk in chunks {
        if !reader.update(&chunk) {
            break;
        }
        // whoever reads may have ended already
        let _ = spare.send(chunk);
    }
    reader.finish()
}
