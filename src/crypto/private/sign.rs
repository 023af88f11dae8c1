//! Signing.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, RSA_PKCS1_SHA256};
use p384::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use sha2::{Digest as _, Sha256};

use super::material::Secret;
use super::{KeyError, PrivateKey};
use crate::crypto::PublicKey;

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
}

fn ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
    Ok(signature.as_ref().to_vec())
}

/// The nonce is RFC 6979's with fresh randomness mixed in, so that neither a
/// bad generator nor a fault during signing gives the key away.
fn p384(key: &p384::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let hash = Sha256::digest(message);
    let signature: p384::ecdsa::Signature =
        key.sign_prehash_with_rng(&mut rand_core::OsRng, &hash).map_err(|_| failed())?;
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

fn failed() -> KeyError {
    KeyError::Failed("the signature could not be made".into())
}
