//! Keys and signatures: the only importer of cryptography crates, but for
//! `sigstore-verify`, which checks whole bundles for `trust` and `verify`.
//! Pure: bytes in, an answer out.
//!
//! A signature that does not hold is [`InvalidSignature`] and nothing more:
//! why it does not hold is of use to nobody but an attacker.

mod algorithm;
pub mod certificate;
mod hashed;
mod key_id;
mod key_ref;
pub mod libtrust;
pub mod openpgp;
pub mod pem;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod pkcs11_uri;
mod private;
mod public_key;
mod verify;

pub use algorithm::{Curve, KeyAlgorithm, Scheme};
pub use hashed::{MessageHasher, MessageHashes};
pub use key_id::KeyId;
pub use key_ref::{KeyRef, KeyRefError};
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11Key;
pub use pkcs11_uri::{PinSource, Pkcs11Uri, Pkcs11UriError};
pub use private::{KeyError, KeyFormat, Password, PrivateKey, Signer};
pub use public_key::{PublicKey, PublicKeyError};
pub use verify::InvalidSignature;
