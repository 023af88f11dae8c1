//! Keys that stay inside a token (PKCS#11 2.40 and later).
//!
//! The one place in `crypto` that is not pure: it loads the library that the
//! user names and talks to a device. The caller decides which library that
//! is, and where the PIN comes from.

mod public;
mod session;

use std::fmt;
use std::sync::Mutex;

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use sha2::{Digest as _, Sha256};

use super::private::{checked, checked_hashes};
use super::{KeyAlgorithm, KeyError, MessageHashes, Password, Pkcs11Uri, PublicKey, Signer};
use session::Token;

/// DER of a DigestInfo with SHA-256, up to the hash (RFC 8017, section 9.2).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A private key inside a token, with the session that was opened for it.
pub struct Pkcs11Key {
    /// A session belongs to one thread at a time.
    token: Mutex<Token>,
    private: ObjectHandle,
    public: PublicKey,
    hashing_rsa: bool,
    name: String,
}

impl Pkcs11Key {
    /// Loads the URI's library, finds the one token and the one private key
    /// that it selects, and reads the public half from the token: from a
    /// public key object of the same id, or from a certificate.
    ///
    /// `pin` is asked at most once, and only where the token wants one that
    /// it does not take from a keypad of its own. A wrong PIN is not tried
    /// twice, because tokens count.
    ///
    /// # Errors
    /// [`KeyError::Token`] where there is none, or more than one, or the
    /// library fails; [`KeyError::WrongPassword`] never: a PIN is reported
    /// as `Token`, with what the token said.
    pub fn open(
        uri: &Pkcs11Uri,
        pin: &mut dyn FnMut() -> Result<Password, KeyError>,
    ) -> Result<Self, KeyError> {
        let token = Token::open(uri)?;
        token.login(pin)?;
        let private = token.only_object(ObjectClass::PRIVATE_KEY, uri)?;
        token.refuse_repeated_login(private)?;
        let public = public::beside(&token, private)?;
        let hashing_rsa = token.has_mechanism(MechanismType::SHA256_RSA_PKCS)?;
        Ok(Self { token: Mutex::new(token), private, public, hashing_rsa, name: uri.to_string() })
    }

    /// The public key that a URI selects, without logging in.
    ///
    /// # Errors
    /// [`KeyError::Token`] where there is none, or more than one.
    pub fn public(uri: &Pkcs11Uri) -> Result<PublicKey, KeyError> {
        let token = Token::open(uri)?;
        public::named(&token, uri)
    }

    fn ask(&self, mechanism: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        let token = self.token.lock().map_err(|_| poisoned())?;
        token.session.sign(mechanism, self.private, data).map_err(|e| {
            KeyError::Failed(format!("the token does not sign ({})", session::describe(&e)))
        })
    }

    fn raw_signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self.public.algorithm() {
            KeyAlgorithm::Ed25519 => {
                let params = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                self.ask(&Mechanism::Eddsa(params), message)
            }
            KeyAlgorithm::Rsa { .. } if self.hashing_rsa => {
                self.ask(&Mechanism::Sha256RsaPkcs, message)
            }
            KeyAlgorithm::EcdsaP256
            | KeyAlgorithm::EcdsaP384
            | KeyAlgorithm::EcdsaP521
            | KeyAlgorithm::Rsa { .. } => self.over_hash(&Sha256::digest(message)),
        }
    }

    /// Over a SHA-256; an RSA key that must hash by itself refuses.
    fn over_hash(&self, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self.public.algorithm() {
            KeyAlgorithm::Rsa { .. } => {
                self.ask(&Mechanism::RsaPkcs, &[&SHA256_DIGEST_INFO[..], hash].concat())
            }
            _ => self.ask(&Mechanism::Ecdsa, hash),
        }
    }

    /// As everyone else has it.
    fn encoded(&self, raw: Vec<u8>) -> Result<Vec<u8>, KeyError> {
        let signature = match self.public.algorithm() {
            KeyAlgorithm::EcdsaP256 => {
                p256::ecdsa::Signature::from_slice(&raw).map(|s| der(&s.to_der()))
            }
            KeyAlgorithm::EcdsaP384 => {
                p384::ecdsa::Signature::from_slice(&raw).map(|s| der(&s.to_der()))
            }
            KeyAlgorithm::EcdsaP521 => {
                p521::ecdsa::Signature::from_slice(&raw).map(|s| der(&s.to_der()))
            }
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. } => Ok(raw),
        };
        signature
            .map_err(|_| KeyError::Failed("the token gave no ECDSA signature of its curve".into()))
    }
}

impl Signer for Pkcs11Key {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.encoded(self.raw_signature(message)?)?;
        checked(&self.public, message, signature)
    }

    fn sign_hashes(&self, hashes: &MessageHashes) -> Result<Option<Vec<u8>>, KeyError> {
        match (self.public.algorithm(), hashes.sha256()) {
            (KeyAlgorithm::Rsa { .. }, _) if self.hashing_rsa => Ok(None),
            (_, Some(hash)) => {
                let signature = self.encoded(self.over_hash(hash)?)?;
                checked_hashes(&self.public, hashes, signature).map(Some)
            }
            (_, None) => Ok(None),
        }
    }
}

/// PKCS#11 gives r and s side by side; everyone else wants ASN.1.
fn der(signature: &impl AsRef<[u8]>) -> Vec<u8> {
    signature.as_ref().to_vec()
}

fn poisoned() -> KeyError {
    KeyError::Failed("the token's session broke in another thread".into())
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Key({} {:?})", self.name, self.public)
    }
}

/// One attribute of an object, where the token has it and shows it.
fn attribute(
    token: &Token,
    object: ObjectHandle,
    kind: AttributeType,
) -> Result<Option<Attribute>, KeyError> {
    let found = token.session.get_attributes(object, &[kind]).map_err(|e| {
        KeyError::Token(format!(
            "the token does not show its object ({}); is the PIN the user's?",
            session::describe(&e)
        ))
    })?;
    Ok(found.into_iter().next())
}
