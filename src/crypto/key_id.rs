//! Names of keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::image::Digest;

/// A public key by what it is, not by how it was written: the SHA-256 of its
/// canonical SubjectPublicKeyInfo (DER, named curve, uncompressed point).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Digest);

impl KeyId {
    /// The key that a Sigstore bundle hints at: base64 of the hash. `None`
    /// for a hint of another kind.
    pub fn from_hint(hint: &str) -> Option<Self> {
        let raw = <[u8; 32]>::try_from(STANDARD.decode(hint).ok()?).ok()?;
        Some(Self(Digest::from_sha256(raw)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
