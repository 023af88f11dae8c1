//! A message as the hashes that signatures are made over, for what is too
//! large to hold, or is known by its digest alone.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::KeyAlgorithm;

/// Hashes a message as it comes, as a key's
/// [schemes](KeyAlgorithm::schemes) ask for.
#[derive(Debug, Clone)]
pub struct MessageHasher {
    sha256: Option<Sha256>,
    sha384: Option<Sha384>,
    sha512: Option<Sha512>,
}

/// The hashes of a message, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct MessageHashes {
    pub(super) sha256: Option<Vec<u8>>,
    pub(super) sha384: Option<Vec<u8>>,
    /// Unfinished, for Ed25519ph has a hash of its own around it.
    pub(super) sha512: Option<Sha512>,
    /// Whether nobody has hashed anything.
    stated: bool,
}

impl MessageHasher {
    /// For signatures by keys of this kind.
    pub fn new(algorithm: KeyAlgorithm) -> Self {
        use KeyAlgorithm::{EcdsaP256, EcdsaP384, EcdsaP521, Ed25519, Rsa};
        let (sha256, sha384, sha512) = match algorithm {
            EcdsaP256 | Rsa { .. } => (true, false, false),
            EcdsaP384 => (true, true, false),
            EcdsaP521 => (true, false, true),
            Ed25519 => (false, false, true),
        };
        Self {
            sha256: sha256.then(Sha256::new),
            sha384: sha384.then(Sha384::new),
            sha512: sha512.then(Sha512::new),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.iter_mut().for_each(|hash| hash.update(bytes));
        self.sha384.iter_mut().for_each(|hash| hash.update(bytes));
        self.sha512.iter_mut().for_each(|hash| hash.update(bytes));
    }

    /// The hashes of all that came.
    pub fn finish(self) -> MessageHashes {
        MessageHashes {
            sha256: self.sha256.map(|hash| hash.finalize().to_vec()),
            sha384: self.sha384.map(|hash| hash.finalize().to_vec()),
            sha512: self.sha512,
            stated: false,
        }
    }
}

impl MessageHashes {
    /// The SHA-256, where it was asked for.
    pub fn sha256(&self) -> Option<&[u8]> {
        self.sha256.as_deref()
    }

    /// Whether nothing but a SHA-256 is known, which somebody stated.
    pub fn is_of_sha256_alone(&self) -> bool {
        self.stated
    }

    /// Of a message of which the SHA-256 alone is known.
    pub fn of_sha256(hash: Vec<u8>) -> Self {
        Self { sha256: Some(hash), stated: true, ..Self::default() }
    }
}
