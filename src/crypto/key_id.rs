//! Names of keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::Digest;

/// A public key by what it is, not by how it was written: the SHA-256 of its
/// canonical SubjectPublicKeyInfo (DER, named curve, uncompressed point).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Digest);

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
