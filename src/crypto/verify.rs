//! Checking one signature with one key.

use aws_lc_rs::signature as lc;
use ed25519_dalek::Digest as _;
use ring::signature as ring;

use super::{PublicKey, Scheme};

/// The signature does not hold. There is no detail, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

impl PublicKey {
    /// Checks `signature` over `message`, under each scheme that such a key
    /// may use, and says which one held.
    ///
    /// ECDSA signatures are ASN.1 DER (RFC 3279, section 2.2.3), strictly;
    /// a high S is accepted, as every peer does. RSA and Ed25519 signatures
    /// are the raw bytes.
    ///
    /// # Errors
    /// [`InvalidSignature`] where none of them holds.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<Scheme, InvalidSignature> {
        self.algorithm()
            .schemes()
            .iter()
            .copied()
            .find(|scheme| holds(*scheme, self.key_bytes(), message, signature))
            .ok_or(InvalidSignature)
    }
}

/// `key` is the point, the 32 bytes of Ed25519, or PKCS#1 DER.
fn holds(scheme: Scheme, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let by_ring = |algorithm: &'static dyn ring::VerificationAlgorithm| {
        ring::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    let by_lc = |algorithm: &'static dyn lc::VerificationAlgorithm| {
        lc::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    match scheme {
        Scheme::EcdsaP256Sha256 => by_ring(&ring::ECDSA_P256_SHA256_ASN1),
        Scheme::EcdsaP384Sha256 => by_lc(&lc::ECDSA_P384_SHA256_ASN1),
        Scheme::EcdsaP384Sha384 => by_lc(&lc::ECDSA_P384_SHA384_ASN1),
        Scheme::EcdsaP521Sha256 => by_lc(&lc::ECDSA_P521_SHA256_ASN1),
        Scheme::EcdsaP521Sha512 => by_lc(&lc::ECDSA_P521_SHA512_ASN1),
        Scheme::Ed25519 => by_ring(&ring::ED25519),
        Scheme::Ed25519ph => ed25519ph(key, message, signature).is_some(),
        Scheme::RsaPkcs1Sha256 => by_ring(&ring::RSA_PKCS1_2048_8192_SHA256),
    }
}

/// RFC 8032, section 5.1, with PH = SHA-512 and the empty context.
fn ed25519ph(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::try_from(key).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    let hash = ed25519_dalek::Sha512::new_with_prefix(message);
    key.verify_prehashed_strict(hash, None, &signature).ok()
}
