//! Signing.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, RSA_PKCS1_SHA256};
use p384::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use sha2::{Digest as _, Sha256};

use super::material::Secret;
use super::{KeyError, PrivateKey};
use crate::crypto::{MessageHashes, PublicKey};

/// A key that signs: one in memory, or one inside a token.
///
/// Signatures are what `cosign verify --key` accepts by default: ECDSA with
/// SHA-256 on every curve (ASN.1 DER), RSA PKCS#1 v1.5 with SHA-256, and
/// Ed25519 over the message itself.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs the message, hashing it as the algorithm asks.
    ///
    /// # Errors
    /// [`KeyError`] where the backend fails or its signature does not verify.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Signs a message that was hashed before. `None` where such a key signs
    /// messages alone: Ed25519, and some RSA keys in tokens.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    fn sign_hashes(&self, hashes: &MessageHashes) -> Result<Option<Vec<u8>>, KeyError>;
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.secret {
            Secret::P256(pair) | Secret::P521(pair) => ecdsa(pair, message)?,
            Secret::P384(key) => p384(key, message)?,
            Secret::Ed25519(pair) => {
                pair.try_sign(message).map_err(|_| failed())?.as_ref().to_vec()
            }
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| failed())?;
                signature
            }
        };
        checked(&self.public, message, signature)
    }

    fn sign_hashes(&self, hashes: &MessageHashes) -> Result<Option<Vec<u8>>, KeyError> {
        let Some(hash) = hashes.sha256() else { return Ok(None) };
        let digest = digest::Digest::import_less_safe(hash, &digest::SHA256);
        let digest = digest.map_err(|_| failed())?;
        let signature = match &self.secret {
            Secret::P256(pair) | Secret::P521(pair) => {
                pair.sign_digest(&digest).map_err(|_| failed())?.as_ref().to_vec()
            }
            Secret::P384(key) => p384_hash(key, hash)?,
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature)
                    .map_err(|_| failed())?;
                signature
            }
            Secret::Ed25519(_) => return Ok(None),
        };
        checked_hashes(&self.public, hashes, signature).map(Some)
    }
}

fn ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
    Ok(signature.as_ref().to_vec())
}

/// The nonce is RFC 6979's with fresh randomness mixed in, so that neither a
/// bad generator nor a fault during signing gives the key away.
fn p384(key: &p384::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    p384_hash(key, &Sha256::digest(message))
}

fn p384_hash(key: &p384::ecdsa::SigningKey, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature: p384::ecdsa::Signature =
        key.sign_prehash_with_rng(&mut rand_core::OsRng, hash).map_err(|_| failed())?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// A signature that went wrong (a fault, a token with another key) can give
/// the private key away, and is of no use: it never leaves.
pub(in crate::crypto) fn checked(
    key: &PublicKey,
    message: &[u8],
    signature: Vec<u8>,
) -> Result<Vec<u8>, KeyError> {
    key.verify(message, &signature).map_err(|_| {
        KeyError::Failed("the signature that was made does not verify with the public key".into())
    })?;
    Ok(signature)
}

/// The same of a message that was hashed before.
pub(in crate::crypto) fn checked_hashes(
    key: &PublicKey,
    hashes: &MessageHashes,
    signature: Vec<u8>,
) -> Result<Vec<u8>, KeyError> {
    key.verify_hashes(hashes, &signature).map_err(|_| {
        KeyError::Failed("the signature that was made does not verify with the public key".into())
    })?;
    Ok(signature)
}

fn failed() -> KeyError {
    KeyError::Failed("the signature could not be made".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyAlgorithm;

    #[test]
    fn a_signature_that_does_not_verify_never_leaves() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
        let good = key.sign(b"message").unwrap();
        assert_eq!(checked(&key.public, b"message", good.clone()), Ok(good.clone()));
        let refused = checked(&key.public, b"another", good);
        assert!(matches!(refused, Err(KeyError::Failed(_))));
    }

    #[test]
    fn ecdsa_signatures_of_the_same_message_differ() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::EcdsaP521]
        {
            let key = PrivateKey::generate(algorithm).unwrap();
            assert_ne!(key.sign(b"message"), key.sign(b"message"), "{algorithm}");
        }
    }
}
