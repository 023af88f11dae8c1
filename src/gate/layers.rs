//! Layers that were hashed here before.

use moka::sync::Cache;

use crate::engine::Hashed;
use crate::image::{Digest, LayerCheck, Read, Want};

/// What hashing layers showed, by digest, size and how they were read: with
/// their contents or without.
#[derive(Debug)]
pub(super) struct Layers {
    seen: Cache<(Digest, u64, Read), LayerCheck>,
}

impl Layers {
    pub(super) fn new(most: u64) -> Self {
        Self { seen: Cache::new(most) }
    }
}

fn key(want: &Want) -> (Digest, u64, Read) {
    (want.digest.clone(), want.size, want.read)
}

impl Hashed for Layers {
    fn find(&self, want: &Want) -> Option<LayerCheck> {
        self.seen.get(&key(want))
    }

    fn keep(&self, want: &Want, check: &LayerCheck) {
        self.seen.insert(key(want), check.clone());
    }
}
