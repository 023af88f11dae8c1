//! Encrypted PKCS#8: PBES2 (RFC 8018) with PBKDF2 or scrypt and AES-CBC,
//! which is what openssl writes and reads.
//!
//! The derivation and the cipher are AWS-LC's, which wipes its memory; the
//! costs stand in the file and are bounded before any of them is paid.

use std::num::NonZeroU32;

use aws_lc_rs::cipher;
use aws_lc_rs::iv::FixedLength;
use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Params, Pbkdf2Prf, ScryptParams};
use zeroize::Zeroizing;

use super::{KeyError, Password, armor};
use crate::limits::Limits;

pub(super) const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// What OWASP's password storage cheat sheet asks of PBKDF2-HMAC-SHA256
/// (2023); every openssl reads it.
const ITERATIONS: u32 = 600_000;

/// An encrypted key whose parameters were checked, so that asking for a
/// password makes sense.
pub(super) struct Sealed<'a> {
    parameters: pbes2::Parameters<'a>,
    ciphertext: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Reads an `EncryptedPrivateKeyInfo` (RFC 5958) and holds its cost to
    /// the limits.
    pub(super) fn parse(der: &'a [u8], limits: &Limits) -> Result<Self, KeyError> {
        let info = EncryptedPrivateKeyInfo::from_der(der).map_err(unknown_scheme)?;
        let EncryptionScheme::Pbes2(parameters) = info.encryption_algorithm else {
            return Err(weak());
        };
        bound(&parameters.kdf, limits)?;
        Ok(Self { parameters, ciphertext: info.encrypted_data })
    }

    /// Gives the PKCS#8 inside. CBC is not authenticated: a wrong password is
    /// known by its bad padding or, once in 256, by the caller when the
    /// result is no PKCS#8.
    pub(super) fn open(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (algorithm, iv) = aes(&self.parameters)?;
        let key = derive(&self.parameters, password)?;
        let key = cipher::UnboundCipherKey::new(algorithm, &key)
            .and_then(cipher::PaddedBlockDecryptingKey::cbc_pkcs7)
            .map_err(|_| backend())?;
        let mut buffer = Zeroizing::new(self.ciphertext.to_vec());
        let context = cipher::DecryptionContext::Iv128(FixedLength::from(iv));
        let length = key.decrypt(&mut buffer, context).map_err(|_| KeyError::WrongPassword)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Encrypts PKCS#8 (PBKDF2-HMAC-SHA256, AES-256-CBC) into PEM.
pub(super) fn seal(pkcs8: &[u8], password: &Password) -> Result<Zeroizing<String>, KeyError> {
    let salt: [u8; 16] = super::random()?;
    let iv: [u8; 16] = super::random()?;
    let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, &iv)
        .map_err(|_| backend())?;
    let key = derive(&parameters, password)?;
    let key = cipher::UnboundCipherKey::new(&cipher::AES_256, &key)
        .and_then(cipher::PaddedBlockEncryptingKey::cbc_pkcs7)
        .map_err(|_| backend())?;
    // One block of room for the padding, so that the secret never moves.
    let mut buffer = Zeroizing::new(Vec::with_capacity(pkcs8.len() + 16));
    buffer.extend_from_slice(pkcs8);
    let context = cipher::EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut *buffer, context).map_err(|_| backend())?;
    let info = EncryptedPrivateKeyInfo {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: &buffer,
    };
    Ok(armor::write(LABEL, &info.to_der().map_err(|_| backend())?))
}

fn aes<'a>(
    parameters: &pbes2::Parameters<'a>,
) -> Result<(&'static cipher::Algorithm, &'a [u8; 16]), KeyError> {
    match parameters.encryption {
        pbes2::EncryptionScheme::Aes128Cbc { iv } => Ok((&cipher::AES_128, iv)),
        pbes2::EncryptionScheme::Aes192Cbc { iv } => Ok((&cipher::AES_192, iv)),
        pbes2::EncryptionScheme::Aes256Cbc { iv } => Ok((&cipher::AES_256, iv)),
        _ => Err(weak()),
    }
}

fn derive(
    parameters: &pbes2::Parameters<'_>,
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let length = parameters.encryption.key_size();
    let mut key = Zeroizing::new(vec![0; length]);
    let announced = match &parameters.kdf {
        Kdf::Pbkdf2(params) => {
            pbkdf2(params, password, &mut key)?;
            params.key_length
        }
        Kdf::Scrypt(params) => {
            scrypt(params, password, &mut key)?;
            params.key_length
        }
        _ => return Err(weak()),
    };
    match announced {
        Some(n) if usize::from(n) != length => Err(KeyError::Malformed(
            "its key length is not that of its cipher; export it again".into(),
        )),
        _ => Ok(key),
    }
}

fn pbkdf2(params: &Pbkdf2Params<'_>, password: &Password, key: &mut [u8]) -> Result<(), KeyError> {
    use aws_lc_rs::pbkdf2 as kdf;
    let prf = match params.prf {
        Pbkdf2Prf::HmacWithSha1 => kdf::PBKDF2_HMAC_SHA1,
        Pbkdf2Prf::HmacWithSha256 => kdf::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => kdf::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => kdf::PBKDF2_HMAC_SHA512,
        _ => return Err(weak()),
    };
    let iterations = NonZeroU32::new(params.iteration_count).ok_or_else(no_iterations)?;
    kdf::derive(prf, iterations, params.salt, password.as_bytes(), key);
    Ok(())
}

fn scrypt(params: &ScryptParams<'_>, password: &Password, key: &mut [u8]) -> Result<(), KeyError> {
    let log_n = u8::try_from(params.cost_parameter.trailing_zeros()).map_err(|_| backend())?;
    let (r, p) = (params.block_size.into(), params.parallelization.into());
    let refused =
        || KeyError::Malformed("scrypt refuses its parameters; export the key again".into());
    let checked = scrypt::Params::new(log_n, r, p, key.len()).map_err(|_| refused())?;
    scrypt::scrypt(password.as_bytes(), params.salt, &checked, key).map_err(|_| refused())
}

/// Refuses a derivation that costs more than the limits allow.
fn bound(kdf: &Kdf<'_>, limits: &Limits) -> Result<(), KeyError> {
    match kdf {
        Kdf::Pbkdf2(params) if params.iteration_count == 0 => Err(no_iterations()),
        Kdf::Pbkdf2(params) if params.iteration_count > limits.kdf_iterations => {
            Err(KeyError::TooExpensive(format!(
                "{} iterations of PBKDF2 are more than the limit of {}",
                params.iteration_count, limits.kdf_iterations
            )))
        }
        Kdf::Pbkdf2(_) => Ok(()),
        Kdf::Scrypt(params) => bound_scrypt(params, limits),
        _ => Err(weak()),
    }
}

fn bound_scrypt(params: &ScryptParams<'_>, limits: &Limits) -> Result<(), KeyError> {
    let (n, r, p) = (params.cost_parameter, params.block_size, params.parallelization);
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(KeyError::Malformed(format!(
            "scrypt with N={n}, r={r}, p={p} does not exist; export the key again"
        )));
    }
    // RFC 7914, section 2: 128 * N * r bytes of memory, passed over p times.
    let cost = 128_u64.saturating_mul(n).saturating_mul(r.into()).saturating_mul(p.into());
    if cost <= limits.kdf_bytes {
        return Ok(());
    }
    Err(KeyError::TooExpensive(format!(
        "scrypt with N={n}, r={r}, p={p} works on {cost} bytes, more than the limit of {}",
        limits.kdf_bytes
    )))
}

fn unknown_scheme(error: pkcs8::der::Error) -> KeyError {
    match error.kind() {
        pkcs8::der::ErrorKind::OidUnknown { .. } => weak(),
        _ => KeyError::Malformed(format!("it is no encrypted PKCS#8 ({error}); export it again")),
    }
}

fn weak() -> KeyError {
    KeyError::Unsupported(
        "the key is encrypted with an old or unknown scheme (ocisign reads PBES2 with PBKDF2 or \
         scrypt, and AES-CBC); convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`"
            .into(),
    )
}

fn no_iterations() -> KeyError {
    KeyError::Malformed("PBKDF2 with no iterations does not exist; export the key again".into())
}

fn backend() -> KeyError {
    KeyError::Failed("the cipher failed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pem: &str) -> Zeroizing<Vec<u8>> {
        armor::only_block(pem.as_bytes(), &Limits::default()).unwrap().bytes
    }

    #[test]
    fn only_the_right_password_gives_the_bytes_back() {
        let pem = seal(b"some pkcs8", &Password::new("pw")).unwrap();
        let der = body(&pem);
        let sealed = Sealed::parse(&der, &Limits::default()).unwrap();
        assert_eq!(&sealed.open(&Password::new("pw")).unwrap()[..], b"some pkcs8");
        if let Ok(garbage) = sealed.open(&Password::new("other")) {
            assert_ne!(&garbage[..], b"some pkcs8");
        }
    }

    #[test]
    fn iterations_above_the_limit_are_refused_before_the_password() {
        let pem = seal(b"x", &Password::new("pw")).unwrap();
        let limits = Limits { kdf_iterations: ITERATIONS - 1, ..Limits::default() };
        assert!(matches!(Sealed::parse(&body(&pem), &limits), Err(KeyError::TooExpensive(_))));
    }

    #[test]
    fn scrypt_is_bounded_by_the_memory_that_it_passes_over() {
        let scrypt = |n, r, p| {
            let params = ScryptParams {
                salt: b"salt",
                cost_parameter: n,
                block_size: r,
                parallelization: p,
                key_length: None,
            };
            bound(&Kdf::Scrypt(params), &Limits::default())
        };
        assert_eq!(scrypt(1 << 14, 8, 1), Ok(()), "what openssl writes");
        assert_eq!(scrypt(1 << 17, 8, 1), Ok(()));
        for (n, r, p) in [(1 << 20, 8, 1), (1 << 14, 8, 1000), (1 << 63, u16::MAX, u16::MAX)] {
            assert!(matches!(scrypt(n, r, p), Err(KeyError::TooExpensive(_))), "{n} {r} {p}");
        }
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (1 << 14, 0, 1), (1 << 14, 8, 0)] {
            assert!(matches!(scrypt(n, r, p), Err(KeyError::Malformed(_))), "{n} {r} {p}");
        }
    }
}
