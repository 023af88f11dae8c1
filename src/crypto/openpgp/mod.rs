//! OpenPGP: keyrings, and signatures that keys in them made (RFC 9580; RFC
//! 4880 for what came before it).
//!
//! The crate that reads packets judges no key: what may sign, until when and
//! with which algorithms is decided here.

use jiff::Timestamp;

use super::KeyId;
use crate::limits::Limits;

/// Fingerprint of a primary key or subkey, in lower-case hex.
pub type Fingerprint = String;

/// Keys by whom something may be signed.
#[derive(Debug, Clone, Default)]
pub struct Keyring {}

/// Why bytes are no keyring, or no signature, that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenPgpError {
    /// The packets break the format.
    #[error("malformed OpenPGP data: {0}")]
    Malformed(String),
    /// More than the limits allow.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// A kind that is not accepted: cleartext, encrypted, two signatures.
    #[error("not accepted: {0}")]
    Unsupported(String),
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PgpFailure {
    /// It does not verify under the key that it names.
    Bad,
    /// No key of the keyring made it; the key or fingerprint that it names.
    UnknownKey(Option<String>),
    /// It verifies, and key or algorithms do not count; why.
    Unfit(String),
}

/// Who made a signature that verifies, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpSigner {
    /// The key or subkey that signed.
    pub key: KeyId,
    /// The primary key that vouches for it.
    pub primary: KeyId,
    /// Fingerprint of the primary key.
    pub fingerprint: Fingerprint,
    /// The time in the signature's hashed part.
    pub created: Timestamp,
    /// Its own expiry.
    pub expires: Option<Timestamp>,
}

/// A public key with its subkeys, as far as their binding signatures hold.
#[derive(Debug, Clone)]
pub struct Certificate {}

impl Certificate {
    /// Fingerprint of the primary key.
    pub fn fingerprint(&self) -> &str {
        ""
    }
    /// Name of the primary key.
    pub fn key(&self) -> &KeyId {
        unimplemented!("H1")
    }
}

impl Keyring {
    /// Reads exported keys, armoured or binary, one or several.
    pub fn parse(_bytes: &[u8], _limits: &Limits) -> Result<Self, OpenPgpError> {
        Err(OpenPgpError::Unsupported("OpenPGP keys are not read yet".to_owned()))
    }
    /// The keys in it.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::empty()
    }
    /// Both together; a key that is in both is one, with what either knows.
    pub fn merge(&mut self, _other: Self) {}
    /// Only the key of this fingerprint.
    pub fn only(&self, _fingerprint: &str) -> Option<Self> {
        None
    }
}

/// One detached signature over bytes that are not in it.
#[derive(Debug)]
pub struct Detached {}

impl Detached {
    /// Reads a file of signatures, armoured or binary: at least one, and
    /// nothing else.
    pub fn parse(_bytes: &[u8], _limits: &Limits) -> Result<Vec<Self>, OpenPgpError> {
        Err(OpenPgpError::Unsupported("OpenPGP signatures are not read yet".to_owned()))
    }
    /// Key id or fingerprint that it names. Nobody signed this claim.
    pub fn hint(&self) -> Option<String> {
        None
    }
    /// Begins to hash the content; fails where no content could make it
    /// count (a weak hash, a text signature).
    pub fn begin(&self) -> Result<ContentHash, PgpFailure> {
        Err(PgpFailure::Bad)
    }
}

/// The hash of signed content, as the content comes.
pub struct ContentHash {}

impl ContentHash {
    /// Takes the next bytes of the content.
    pub fn update(&mut self, _bytes: &[u8]) {}
    /// Whether the signature holds over the content by a key of `keyring`.
    pub fn verify(self, _keyring: &Keyring) -> Result<PgpSigner, PgpFailure> {
        Err(PgpFailure::Bad)
    }
}

/// A signed message that carries its content (GPG simple signing).
#[derive(Debug)]
pub struct SignedMessage {}

impl SignedMessage {
    /// Reads one message with exactly one signature.
    pub fn parse(_bytes: &[u8], _limits: &Limits) -> Result<Self, OpenPgpError> {
        Err(OpenPgpError::Unsupported("OpenPGP messages are not read yet".to_owned()))
    }
    /// Key id or fingerprint that it names.
    pub fn hint(&self) -> Option<String> {
        None
    }
    /// The content, which nobody has verified.
    pub fn unverified_content(&self) -> &[u8] {
        &[]
    }
    /// The content and its signer, where the signature holds.
    pub fn verify(&self, _keyring: &Keyring) -> Result<(PgpSigner, &[u8]), PgpFailure> {
        Err(PgpFailure::Bad)
    }
}

/// A secret key that signs.
pub struct SecretKey {}

impl SecretKey {
    /// Reads one exported secret key, armoured or binary.
    pub fn parse(
        _bytes: &[u8],
        _password: &mut dyn FnMut() -> Result<super::Password, super::KeyError>,
        _limits: &Limits,
    ) -> Result<Self, super::KeyError> {
        unimplemented!("H1")
    }
    /// The public part, as what verifies.
    pub fn keyring(&self) -> Keyring {
        Keyring::default()
    }
    /// The public part, as an armoured key block.
    pub fn public_armored(&self) -> String {
        String::new()
    }
    /// An armoured detached signature over `content`.
    pub fn sign_detached(
        &self,
        _content: &mut dyn std::io::Read,
        _created: Timestamp,
    ) -> Result<Vec<u8>, super::KeyError> {
        unimplemented!("H1")
    }
    /// A binary signed message around `content`.
    pub fn sign_message(
        &self,
        _content: &[u8],
        _created: Timestamp,
    ) -> Result<Vec<u8>, super::KeyError> {
        unimplemented!("H1")
    }
}
