//! A shelf in memory, bounded in bytes.

use moka::sync::Cache;

use super::Shelf;
use crate::image::Digest;
use crate::store::Chunk;

/// What an entry takes beside its bytes: key, counters, pointers.
const OVERHEAD: u64 = 256;

/// Keeps what was asked for most, up to a number of bytes.
#[derive(Debug, Clone)]
pub struct MemoryShelf {
    kept: Cache<Digest, Chunk>,
}

impl MemoryShelf {
    /// A shelf of `bytes` bytes, what it needs for itself counted in.
    pub fn new(bytes: u64) -> Self {
        let weight = |_: &Digest, kept: &Chunk| {
            u32::try_from(kept.len() as u64 + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self { kept: Cache::builder().max_capacity(bytes).weigher(weight).build() }
    }

    /// How many bytes are kept, once all that was given is counted.
    pub fn weight(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.weighted_size()
    }
}

impl Shelf for MemoryShelf {
    fn find(&self, key: &Digest) -> Option<Chunk> {
        self.kept.get(key)
    }

    fn keep(&self, key: &Digest, bytes: &[u8]) {
        self.kept.insert(key.clone(), Chunk::copy_from_slice(bytes));
    }
}
