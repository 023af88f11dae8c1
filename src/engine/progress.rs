//! How far a long read is.

/// Told of bytes as they are hashed; drawing is the caller's business.
pub trait Progress: Send + Sync {
    /// So many bytes more will be read.
    fn expect(&self, bytes: u64);
    /// So many bytes more were read.
    fn advance(&self, bytes: u64);
    /// Nothing more comes.
    fn finish(&self);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
