//! Private keys: read in every form that people have them in, made, written,
//! and signed with.
//!
//! Secrets are wiped when dropped and appear in no `Debug` output and no
//! error. Signing is done by AWS-LC, which wipes what it frees, and for P-384
//! with SHA-256, which AWS-LC does not sign, by `p384`.

mod armor;
mod cosign;
mod error;
mod generate;
mod material;
mod password;
mod pbes2;
mod pkcs8;
mod sign;

use std::fmt;

use zeroize::Zeroizing;

use self::material::Secret;
use super::{KeyAlgorithm, PublicKey};
use crate::limits::Limits;

pub use error::KeyError;
pub use generate::KeyFormat;
pub use password::Password;
pub use sign::Signer;
#[cfg(feature = "pkcs11")]
pub(super) use sign::{checked, checked_hashes};

/// A private key of one of the algorithms that ocisign signs with.
pub struct PrivateKey {
    secret: Secret,
    public: PublicKey,
    /// Canonical PKCS#8 (version 1), for writing.
    pkcs8: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// Reads a private key from PEM: PKCS#8, plain or encrypted with PBES2;
    /// SEC 1 (`EC PRIVATE KEY`); PKCS#1 (`RSA PRIVATE KEY`); cosign's
    /// encrypted keys, under both of their labels.
    ///
    /// `password` is asked only when the key is encrypted, once, and after
    /// everything else about the file was found good.
    ///
    /// # Errors
    /// [`KeyError::WrongPassword`] stands apart; [`KeyError::TooExpensive`]
    /// where the file asks for more work than `limits` allow.
    pub fn from_pem(
        pem: &[u8],
        password: &mut dyn FnMut() -> Result<Password, KeyError>,
        limits: &Limits,
    ) -> Result<Self, KeyError> {
        let block = armor::only_block(pem, limits)?;
        let body = &block.bytes;
        match block.label.as_str() {
            pkcs8::LABEL => pkcs8::parse(body),
            pkcs8::SEC1_LABEL => pkcs8::parse_sec1(body, None),
            pkcs8::PKCS1_LABEL => material::rsa(body),
            pbes2::LABEL => {
                let sealed = pbes2::Sealed::parse(body, limits)?;
                pkcs8::parse_decrypted(&sealed.open(&password()?)?)
            }
            cosign::LABEL | cosign::OLD_LABEL => {
                let sealed = cosign::Sealed::parse(body)?;
                pkcs8::parse(&sealed.open(&password()?)?)
            }
            other => Err(pkcs8::refused_label(other)),
        }
    }

    /// Which kind of key it is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.public.algorithm()
    }

    /// Its public half, computed from the private one.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {}, secret ..)", self.algorithm(), self.public.id())
    }
}

/// Random bytes from the system.
fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| KeyError::Failed("the system gives no random bytes".into()))?;
    Ok(bytes)
}
