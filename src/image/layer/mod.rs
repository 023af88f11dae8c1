//! Layers: the digest of the bytes, and of what they decompress to, in one
//! pass and in constant memory.
//!
//! The decompressor runs before the digest of its input is known, so it is
//! bounded in output, ratio and window; what it found is withheld unless the
//! digest turns out right.

pub(super) mod gzip;
mod many;
pub(super) mod rules;
pub(super) mod tar;
pub(super) mod unpack;

use std::io;

use super::want::{Read, Want};
use super::{Digest, Hasher, Limits};

pub use many::{Job, check_all};
use unpack::Unpack;
pub(super) use unpack::{Contents, Fault};

/// Bytes per read: the fastest size measured, and small enough for many.
pub(super) const CHUNK: usize = 256 << 10;

/// What hashing a blob showed. Only hashing makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct LayerCheck {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) exact: bool,
    /// How many bytes there were, as far as they were read.
    pub(super) measured: u64,
    pub(super) read: Read,
    pub(super) found: Found,
}

/// How bytes compare with the digest and size that they must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Both are right; the contents too, where they were asked for.
    Verified(Option<Contents>),
    /// The digest is this one.
    Mismatch(Digest),
    /// The size is another; the text says which.
    Size(String),
    /// No size is stated, and there is more than is read.
    Limit(String),
}

impl LayerCheck {
    /// Whether digest and size are right. Says nothing about contents.
    pub fn is_verified(&self) -> bool {
        matches!(self.found, Found::Verified(_))
    }

    /// Whether digest and size are right, and so are the contents where they
    /// were asked for: what hashing the same bytes again would show again.
    pub fn is_sound(&self) -> bool {
        match &self.found {
            Found::Verified(None | Some(Contents::Read { tar: None, .. })) => true,
            Found::Verified(Some(Contents::Read { tar: Some(_), .. } | Contents::Failed(_)))
            | Found::Mismatch(_)
            | Found::Size(_)
            | Found::Limit(_) => false,
        }
    }

    /// Whether this is what hashing for `want` shows.
    pub fn answers(&self, want: &Want) -> bool {
        (&self.digest, self.size, self.exact, self.read)
            == (&want.digest, want.size, want.exact, want.read)
    }

    /// For hashers of this crate: the digest that bytes of the right size
    /// turned out to have.
    pub(super) fn hashed(want: &Want, measured: u64, actual: Digest) -> Self {
        let found =
            if actual == want.digest { Found::Verified(None) } else { Found::Mismatch(actual) };
        Self::new(want, measured, found)
    }

    fn new(want: &Want, measured: u64, found: Found) -> Self {
        Self {
            digest: want.digest.clone(),
            size: want.size,
            exact: want.exact,
            measured,
            read: want.read,
            found,
        }
    }

    /// For hashers of this crate: there were fewer bytes.
    pub(super) fn short(want: &Want, got: u64) -> Self {
        Self::new(want, got, Found::Size(format!("{got} bytes instead of {}", want.size)))
    }

    /// For hashers of this crate: there were more bytes; who hashes stops
    /// reading there.
    pub(super) fn long(want: &Want) -> Self {
        let text = format!("more than {} bytes", want.size);
        let found = if want.exact { Found::Size(text) } else { Found::Limit(text) };
        Self::new(want, want.size, found)
    }
}

/// A blob that is hashed as it comes, by `update`, for streams.
#[derive(Debug)]
pub struct LayerHasher {
    want: Want,
    taken: u64,
    too_long: bool,
    hasher: Hasher,
    unpack: Option<Box<Unpack>>,
}

impl LayerHasher {
    /// Begins to hash what `want` asks for, decompressing it where the want
    /// says so.
    pub fn new(want: &Want, limits: &Limits) -> Self {
        let unpack = match want.read {
            Read::Contents(compression, algorithm) => {
                Some(Box::new(Unpack::new(compression, algorithm, limits)))
            }
            Read::Blob | Read::Document => None,
        };
        Self {
            hasher: Hasher::new(want.digest.algorithm()),
            want: want.clone(),
            taken: 0,
            too_long: false,
            unpack,
        }
    }

    /// Takes the next bytes. False once there are more than the size allows:
    /// stop reading then, nothing that follows matters.
    pub fn update(&mut self, bytes: &[u8]) -> bool {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        self.too_long |= self.taken > self.want.size;
        if self.too_long {
            return false;
        }
        self.hasher.update(bytes);
        if let Some(unpack) = &mut self.unpack {
            unpack.update(bytes);
        }
        true
    }

    /// What hashing showed.
    pub fn finish(self) -> LayerCheck {
        if self.too_long {
            return LayerCheck::long(&self.want);
        }
        if self.want.exact && self.taken < self.want.size {
            return LayerCheck::short(&self.want, self.taken);
        }
        let mut check = LayerCheck::hashed(&self.want, self.taken, self.hasher.finish());
        if let (Found::Verified(contents), Some(unpack)) = (&mut check.found, self.unpack) {
            *contents = Some(unpack.finish());
        }
        check
    }
}

/// Hashes what `reader` gives, with one buffer of 256 KiB, and stops after
/// one byte more than the size.
///
/// # Errors
/// What the reader fails with.
pub fn check_reader(
    want: &Want,
    mut reader: impl io::Read,
    limits: &Limits,
) -> io::Result<LayerCheck> {
    let mut hasher = LayerHasher::new(want, limits);
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => {
                if !hasher.update(buffer.get(..n).unwrap_or_default()) {
                    return Ok(hasher.finish());
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
