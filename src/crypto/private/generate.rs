//! New keys, and keys as text.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use zeroize::Zeroizing;

use super::{KeyError, Password, PrivateKey, armor, cosign, material, pbes2, pkcs8};
use crate::crypto::{Curve, KeyAlgorithm};

/// How a private key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// PKCS#8: plain, or encrypted with PBES2 (PBKDF2-HMAC-SHA256 with
    /// 600 000 iterations, AES-256-CBC). `openssl pkey` reads both.
    Pkcs8,
    /// What `cosign generate-key-pair` writes.
    Cosign,
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for RSA of other lengths than 3072 and 4096
    /// bits: shorter ones are past their time (NIST SP 800-57, after 2030).
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => {
                let scalar = p256::SecretKey::random(&mut rand_core::OsRng).to_bytes();
                material::ec(Curve::P256, &Zeroizing::new(scalar), None)
            }
            KeyAlgorithm::EcdsaP384 => {
                let scalar = p384::SecretKey::random(&mut rand_core::OsRng).to_bytes();
                material::ec(Curve::P384, &Zeroizing::new(scalar), None)
            }
            KeyAlgorithm::EcdsaP521 => {
                let scalar = p521::SecretKey::random(&mut rand_core::OsRng).to_bytes();
                material::ec(Curve::P521, &Zeroizing::new(scalar), None)
            }
            KeyAlgorithm::Ed25519 => {
                let seed = Zeroizing::new(super::random::<32>()?);
                material::ed25519(&seed[..], None)
            }
            KeyAlgorithm::Rsa { bits: 3072 } => generate_rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa { bits: 4096 } => generate_rsa(KeySize::Rsa4096),
            KeyAlgorithm::Rsa { bits } => Err(KeyError::Unsupported(format!(
                "RSA keys of {bits} bits are not made; use `rsa-3072` or `rsa-4096`"
            ))),
        }
    }

    /// Writes the key as PEM, encrypted where a password is given.
    ///
    /// Cosign's format is always encrypted: without a password it is written
    /// with an empty one, which is what cosign does.
    ///
    /// # Errors
    /// [`KeyError::Failed`] where the system gives no random bytes.
    pub fn to_pem(
        &self,
        format: KeyFormat,
        password: Option<&Password>,
    ) -> Result<Zeroizing<String>, KeyError> {
        match (format, password) {
            (KeyFormat::Pkcs8, None) => Ok(armor::write(pkcs8::LABEL, &self.pkcs8)),
            (KeyFormat::Pkcs8, Some(password)) => pbes2::seal(&self.pkcs8, password),
            (KeyFormat::Cosign, Some(password)) => cosign::seal(&self.pkcs8, password),
            (KeyFormat::Cosign, None) => cosign::seal(&self.pkcs8, &Password::new(Vec::new())),
        }
    }
}

fn generate_rsa(size: KeySize) -> Result<PrivateKey, KeyError> {
    let failed = |_| KeyError::Failed("the RSA key could not be made".into());
    let pair = RsaKeyPair::generate(size).map_err(failed)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
    pkcs8::parse(der.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Scheme, Signer as _};
    use crate::limits::Limits;

    const EVERY: [(KeyAlgorithm, Scheme); 5] = [
        (KeyAlgorithm::EcdsaP256, Scheme::EcdsaP256Sha256),
        (KeyAlgorithm::EcdsaP384, Scheme::EcdsaP384Sha256),
        (KeyAlgorithm::EcdsaP521, Scheme::EcdsaP521Sha256),
        (KeyAlgorithm::Ed25519, Scheme::Ed25519),
        (KeyAlgorithm::Rsa { bits: 3072 }, Scheme::RsaPkcs1Sha256),
    ];

    #[test]
    fn a_new_key_signs_what_its_public_half_verifies() {
        for (algorithm, scheme) in EVERY {
            let key = PrivateKey::generate(algorithm).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let signature = key.sign(b"message").unwrap();
            assert_eq!(key.public_key().verify(b"message", &signature), Ok(scheme));
            assert!(key.public_key().verify(b"another", &signature).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_plain_key_is_read_back_without_asking_for_a_password() {
        for (algorithm, _) in EVERY {
            let key = PrivateKey::generate(algorithm).unwrap();
            let pem = key.to_pem(KeyFormat::Pkcs8, None).unwrap();
            let mut never = || panic!("asked for a password");
            let read = PrivateKey::from_pem(pem.as_bytes(), &mut never, &Limits::default());
            assert_eq!(read.unwrap().public_key(), key.public_key(), "{algorithm}");
        }
    }

    #[test]
    fn an_encrypted_key_opens_with_its_password_alone() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        for format in [KeyFormat::Pkcs8, KeyFormat::Cosign] {
            let pem = key.to_pem(format, Some(&Password::new("right"))).unwrap();
            let open = |password: &str| {
                let mut password = || Ok(Password::new(password));
                PrivateKey::from_pem(pem.as_bytes(), &mut password, &Limits::default())
            };
            assert_eq!(open("right").unwrap().public_key(), key.public_key());
            assert_eq!(open("wrong").err(), Some(KeyError::WrongPassword), "{format:?}");
            assert_eq!(open("").err(), Some(KeyError::WrongPassword), "{format:?}");
        }
    }

    #[test]
    fn no_password_to_be_had_is_passed_on_as_it_is() {
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let pem = key.to_pem(KeyFormat::Pkcs8, Some(&Password::new("x"))).unwrap();
        let none = KeyError::NoPassword("set `OCISIGN_PASSWORD`".into());
        let mut ask = || Err(none.clone());
        let read = PrivateKey::from_pem(pem.as_bytes(), &mut ask, &Limits::default());
        assert_eq!(read.err(), Some(none));
    }

    #[test]
    fn short_rsa_keys_are_not_made() {
        for bits in [1024, 2048, 3071] {
            let made = PrivateKey::generate(KeyAlgorithm::Rsa { bits });
            assert!(matches!(made, Err(KeyError::Unsupported(_))), "{bits}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let shown = format!("{key:?} {:?}", Password::new("hunter2"));
        assert!(!shown.contains("hunter2"));
        let secret = hex::encode(&key.pkcs8[36..68]);
        assert!(!shown.contains(&secret[..8]), "{shown}");
    }
}
