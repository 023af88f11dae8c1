//! What the plugin keeps on disk between pulls.
//!
//! One file for each key, in one directory. Nothing depends on it: what it
//! gives is hashed again by whoever asked, and where it cannot be read or
//! written the plugin works as if it were empty.

use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::config::CacheConfig;
use crate::image::Digest;
use crate::store::{Chunk, Shelf};

/// Files that are being written begin so.
const UNFINISHED: &str = ".writing-";

/// A file that is being written is finished or abandoned by then.
const ABANDONED: Duration = Duration::from_secs(600);

/// How exactly it is known when a file was last of use: writing that down for
/// every read would wear the disk.
const TOUCHED: Duration = Duration::from_secs(600);

/// A directory of small files.
#[derive(Debug)]
pub(super) struct DiskShelf {
    directory: PathBuf,
    item_bytes: u64,
    bytes: u64,
    entries: usize,
    written: AtomicBool,
}

impl DiskShelf {
    /// The shelf of a configuration. Nothing is read or made yet.
    pub(super) fn new(cache: &CacheConfig, item_bytes: u64) -> Self {
        Self {
            directory: cache.dir.join("v1"),
            item_bytes,
            bytes: cache.max_bytes,
            entries: cache.max_entries,
            written: AtomicBool::new(false),
        }
    }

    /// Files are named by the key's hexadecimal digits alone: the keys are
    /// digests that this process computed.
    fn path(&self, key: &Digest) -> PathBuf {
        self.directory.join(key.hex())
    }

    fn write(&self, key: &Digest, bytes: &[u8]) -> std::io::Result<()> {
        if !self.directory.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        }
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(bytes)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what was of no use for longest, where there is more than the
    /// bounds allow. Does nothing in a run that wrote nothing.
    pub(super) fn sweep(&self) {
        if self.written.swap(false, Ordering::Relaxed) {
            self.sweep_now(SystemTime::now());
        }
    }

    fn sweep_now(&self, now: SystemTime) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let mut kept = Vec::new();
        let mut bytes = 0;
        // more than a few times the bound can only have been put there by others
        for entry in entries.flatten().take(self.entries.saturating_mul(4).max(1024)) {
            let Ok(found) = entry.metadata() else { continue };
            let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            let age = now.duration_since(used).unwrap_or_default();
            if unfinished {
                if age > ABANDONED {
                    let _ = fs::remove_file(entry.path());
                }
                continue;
            }
            bytes += found.len();
            kept.push((used, found.len(), entry.path()));
        }
        self.evict(kept, bytes);
    }

    /// Down to nine tenths, so that not every run has something to remove.
    fn evict(&self, mut kept: Vec<(SystemTime, u64, PathBuf)>, mut bytes: u64) {
        if bytes <= self.bytes && kept.len() <= self.entries {
            return;
        }
        kept.sort();
        let (most_bytes, most) = (self.bytes / 10 * 9, self.entries / 10 * 9);
        let mut left = kept.len();
        for (_, size, path) in kept {
            if bytes <= most_bytes && left <= most {
                return;
            }
            // another run may have removed it
            let _ = fs::remove_file(path);
            bytes = bytes.saturating_sub(size);
            left -= 1;
        }
    }
}

impl Shelf for DiskShelf {
    fn find(&self, key: &Digest) -> Option<Chunk> {
        let path = self.path(key);
        let (file, size) = open(&path, self.item_bytes)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
        (&file).take(self.item_bytes).read_to_end(&mut bytes).ok()?;
        Some(bytes.into())
    }

    fn keep(&self, key: &Digest, bytes: &[u8]) {
        if bytes.len() as u64 <= self.item_bytes && self.write(key, bytes).is_ok() {
            self.written.store(true, Ordering::Relaxed);
        }
    }
}

/// A regular file of at most `max` bytes, with its size. Anything else that
/// somebody put there could make the reader wait.
fn open(path: &Path, max: u64) -> Option<(File, u64)> {
    let found = path.symlink_metadata().ok()?;
    if !found.is_file() || found.len() > max {
        return None;
    }
    let file = File::open(path).ok()?;
    let now = SystemTime::now();
    let used = found.modified().ok()?;
    if now.duration_since(used).is_ok_and(|age| age > TOUCHED) {
        let _ = file.set_modified(now);
    }
    Some((file, found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(directory: &Path, max_bytes: u64, max_entries: usize) -> DiskShelf {
        let cache =
            CacheConfig { max_bytes, max_entries, ..CacheConfig::new(directory.to_owned()) };
        DiskShelf::new(&cache, 100)
    }

    fn key(at: u32) -> Digest {
        Digest::sha256(&at.to_be_bytes())
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder.join("v1")).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_found_by_another_run() {
        let folder = tempfile::tempdir().unwrap();
        shelf(folder.path(), 1000, 10).keep(&key(1), b"one");
        let later = shelf(folder.path(), 1000, 10);
        assert_eq!(later.find(&key(1)).as_deref(), Some(&b"one"[..]));
        assert_eq!(later.find(&key(2)), None);
        later.keep(&key(3), &[0; 101]);
        assert_eq!(later.find(&key(3)), None, "over the bound of one item");
    }

    #[test]
    fn the_oldest_go_first_and_the_bounds_hold() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), 100, 10);
        for at in 0..30 {
            shelf.keep(&key(at), &[0; 10]);
            let age = Duration::from_secs(1000 - u64::from(at));
            let file = File::open(shelf.path(&key(at))).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        // reading makes one young again
        assert!(shelf.find(&key(0)).is_some());
        shelf.sweep();
        assert_eq!(files(folder.path()), 9);
        assert!(shelf.find(&key(0)).is_some() && shelf.find(&key(29)).is_some());
        assert!(shelf.find(&key(1)).is_none());
        let before = files(folder.path());
        shelf.sweep();
        assert_eq!(files(folder.path()), before, "a run that wrote nothing sweeps nothing");
    }

    #[test]
    fn a_file_that_was_never_finished_goes_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), 1000, 10);
        shelf.keep(&key(1), b"one");
        let left = folder.path().join("v1").join(format!("{UNFINISHED}x"));
        fs::write(&left, "half").unwrap();
        shelf.sweep_now(SystemTime::now());
        assert!(left.exists(), "another run may be writing it");
        shelf.sweep_now(SystemTime::now() + ABANDONED * 2);
        assert!(!left.exists());
        assert!(shelf.find(&key(1)).is_some());
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), 1000, 10);
        shelf.keep(&key(1), b"one");
        std::os::unix::fs::symlink("/dev/zero", shelf.path(&key(2))).unwrap();
        fs::create_dir(shelf.path(&key(3))).unwrap();
        assert_eq!((shelf.find(&key(2)), shelf.find(&key(3))), (None, None));
        shelf.keep(&key(3), b"three");
        assert_eq!(shelf.find(&key(3)), None, "and no error");
    }
}
