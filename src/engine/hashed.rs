//! Blobs that were hashed before.

use crate::image::{LayerCheck, Want};

/// Remembers what hashing blobs showed, so that a blob is fetched once.
///
/// A [`LayerCheck`] is made by hashing alone, so a memory can give back only
/// what this process hashed earlier; one that does not answer the want is
/// not used. What it costs: that the store still has the blob is not seen.
pub trait Hashed: Send + Sync {
    /// What hashing for `want` showed, if it is remembered.
    fn find(&self, want: &Want) -> Option<LayerCheck>;

    /// Remembers it, or does not. Only checks that are
    /// [sound](LayerCheck::is_sound) are brought.
    fn keep(&self, want: &Want, check: &LayerCheck);
}

/// Remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Hashed for Forgetful {
    fn find(&self, _: &Want) -> Option<LayerCheck> {
        None
    }

    fn keep(&self, _: &Want, _: &LayerCheck) {}
}
