//! Keys from where people keep them: files, variables, tokens.

mod files;
mod secrets;
mod token;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::openpgp::SecretKey;
use crate::crypto::pem::PemError;
use crate::crypto::{KeyError, KeyRef, KeyRefError, PrivateKey, PublicKey, PublicKeyError, Signer};
use crate::limits::Limits;

pub use files::{check_free, exposure, write_private, write_public};
pub use secrets::{Prompt, Secrets};

/// Why a key could not be loaded, made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The reference names no key.
    #[error(transparent)]
    Reference(#[from] KeyRefError),
    /// The file system failed.
    #[error("`{}` cannot be {did}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read`, `written`.
        did: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// `env://NAME` with no such variable.
    #[error("the variable `{0}` is not set; set it to the key in PEM")]
    NoVariable(String),
    /// A file that exists already.
    #[error("`{}` exists already; choose another name, or give --force to replace it", .0.display())]
    Exists(PathBuf),
    /// What was read is no usable private key, or its password is wrong.
    #[error("`{place}`: {source}")]
    Private {
        /// The key reference.
        place: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// What was read is no usable public key.
    #[error("`{place}`: {source}")]
    Public {
        /// The key reference.
        place: String,
        /// What is wrong with it.
        source: PublicKeyError,
    },
    /// A key could not be made, or there is no password for it.
    #[error(transparent)]
    New(#[from] KeyError),
}

impl Error {
    /// Whether it is the answer no (exit 1). A key that cannot be used is no
    /// answer about an image.
    pub fn is_answer(&self) -> bool {
        false
    }
}

/// Reads a key reference: a file, `env://NAME` or a `pkcs11:` URI.
///
/// # Errors
/// [`Error::Reference`].
pub fn parse_reference(text: &str) -> Result<KeyRef, Error> {
    Ok(KeyRef::parse(text)?)
}

/// Loads the key that signs.
///
/// `secrets` is asked for a password or PIN only where the key wants one.
///
/// # Errors
/// [`Error`]; a wrong password is [`KeyError::WrongPassword`] inside.
pub fn load_signer(
    reference: &KeyRef,
    secrets: &mut Secrets<'_>,
    limits: &Limits,
) -> Result<Box<dyn Signer>, Error> {
    match reference {
        KeyRef::Pkcs11(uri) => token::signer(uri, secrets),
        KeyRef::File(_) | KeyRef::Env(_) => {
            let pem = read(reference, secrets, limits)?;
            Ok(Box::new(private(&pem, reference, secrets, limits)?))
        }
    }
}

/// Loads the OpenPGP key that signs: an exported secret key, armoured or
/// binary.
///
/// # Errors
/// [`Error`]; a wrong password is [`KeyError::WrongPassword`] inside.
pub fn load_openpgp(
    reference: &KeyRef,
    secrets: &mut Secrets<'_>,
    limits: &Limits,
) -> Result<SecretKey, Error> {
    let place = reference.to_string();
    let bytes = read(reference, secrets, limits)?;
    SecretKey::parse(&bytes, &mut || secrets.key_password(&place), limits)
        .map_err(|source| Error::Private { place: place.clone(), source })
}

/// Loads a key that verifies: PEM from a file or variable, or a token's
/// public key. A private key is refused, for it does not belong where images
/// are only verified.
///
/// # Errors
/// [`Error`].
pub fn load_verifier(
    reference: &KeyRef,
    secrets: &Secrets<'_>,
    limits: &Limits,
) -> Result<PublicKey, Error> {
    if let KeyRef::Pkcs11(uri) = reference {
        return token::public(uri, secrets);
    }
    PublicKey::from_pem(&read(reference, secrets, limits)?, limits)
        .map_err(|source| Error::Public { place: reference.to_string(), source })
}

/// Loads a public key, or the public half of a private one: PEM from a file
/// or variable, or a token's public key, for which no PIN is asked.
///
/// # Errors
/// [`Error`].
pub fn load_public(
    reference: &KeyRef,
    secrets: &mut Secrets<'_>,
    limits: &Limits,
) -> Result<PublicKey, Error> {
    match load_verifier(reference, secrets, limits) {
        Err(Error::Public { source: PublicKeyError::Label(label), .. })
            if label.ends_with("PRIVATE KEY") =>
        {
            let pem = read(reference, secrets, limits)?;
            Ok(private(&pem, reference, secrets, limits)?.public_key().clone())
        }
        // openssl writes parameters in front of an EC private key
        Err(Error::Public { source: PublicKeyError::Pem(PemError::Several), .. }) => {
            let pem = read(reference, secrets, limits)?;
            Ok(private(&pem, reference, secrets, limits)?.public_key().clone())
        }
        other => other,
    }
}

fn private(
    pem: &[u8],
    reference: &KeyRef,
    secrets: &mut Secrets<'_>,
    limits: &Limits,
) -> Result<PrivateKey, Error> {
    let place = reference.to_string();
    PrivateKey::from_pem(pem, &mut || secrets.key_password(&place), limits)
        .map_err(|source| Error::Private { place, source })
}

/// The key's text, wiped when dropped, and at most one byte more than the
/// limit, which the parser then refuses.
fn read(
    reference: &KeyRef,
    secrets: &Secrets<'_>,
    limits: &Limits,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    match reference {
        KeyRef::Env(name) => {
            let value = secrets.variable(name).ok_or_else(|| Error::NoVariable(name.clone()))?;
            Ok(Zeroizing::new(value.into_encoded_bytes()))
        }
        KeyRef::File(path) => read_file(path, limits.key_bytes),
        // A token's key has no text; the callers go to the token.
        KeyRef::Pkcs11(_) => Err(Error::New(KeyError::Unsupported(
            "a token does not give its keys away; sign with the `pkcs11:` URI".into(),
        ))),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::File { path: path.into(), did: "read", source };
    // All room at once: growing would leave copies behind.
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
