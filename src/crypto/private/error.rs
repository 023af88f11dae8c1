use crate::crypto::PublicKeyError;
use crate::crypto::pem::PemError;

/// What went wrong with a private key. No variant carries key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not one PEM block, or larger than `Limits::key_bytes`.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not a key in a form that ocisign knows, or a broken one.
    #[error("not a private key that can be read: {0}")]
    Malformed(String),
    /// A key that ocisign does not use; says what to do.
    #[error("{0}")]
    Unsupported(String),
    /// Its public half is of a kind that ocisign does not use.
    #[error(transparent)]
    Public(#[from] PublicKeyError),
    /// The parts of the key contradict each other.
    #[error("the key contradicts itself: {0}; make a new one, or export it again")]
    Inconsistent(String),
    /// The password does not open the key. A cipher without authentication
    /// (PBES2 with CBC) cannot tell that from damage.
    #[error("wrong password (or a damaged key): give the one that the key was encrypted with")]
    WrongPassword,
    /// The key is encrypted and nobody gives a password.
    #[error("{0}")]
    NoPassword(String),
    /// Decryption would cost more than the limits allow.
    #[error("{0}; encrypt the key again with a cheaper key derivation")]
    TooExpensive(String),
    /// The token or its module failed, or has no such key.
    #[error("{0}")]
    Token(String),
    /// The backend failed, or made a signature that does not verify.
    #[error("{0}; nothing was signed or written")]
    Failed(String),
}
