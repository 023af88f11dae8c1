//! OpenPGP: keyrings, and signatures that keys in them made (RFC 9580; RFC
//! 4880 for what came before it).
//!
//! The crate that reads packets judges no key: what may sign, until when and
//! with which algorithms is decided here, in `certificate`.

mod certificate;
mod detached;
mod keyring;
mod message;
mod packets;
mod secret;

use jiff::Timestamp;

use super::KeyId;

pub use certificate::Certificate;
pub use detached::{ContentHash, Detached};
pub use keyring::Keyring;
pub use message::SignedMessage;
pub use secret::SecretKey;

/// Fingerprint of a primary key or subkey, in lower-case hex.
pub type Fingerprint = String;

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
