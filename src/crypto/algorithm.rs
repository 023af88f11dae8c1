//! Which keys there are, and which signatures are read under each.

use std::fmt;

/// A named curve of FIPS 186-5 on which ECDSA keys are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    /// NIST P-256 (secp256r1, prime256v1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
}

/// What kind of key a public or private key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// RSA.
    Rsa {
        /// Length of the modulus in bits.
        bits: u32,
    },
}

impl From<Curve> for KeyAlgorithm {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::EcdsaP256,
            Curve::P384 => Self::EcdsaP384,
            Curve::P521 => Self::EcdsaP521,
        }
    }
}

impl KeyAlgorithm {
    /// The schemes under which a signature by such a key counts, the most
    /// usual first (facts: what `cosign sign` writes and `cosign verify`
    /// reads).
    pub fn schemes(self) -> &'static [Scheme] {
        match self {
            Self::EcdsaP256 => &[Scheme::EcdsaP256Sha256],
            Self::EcdsaP384 => &[Scheme::EcdsaP384Sha256, Scheme::EcdsaP384Sha384],
            Self::EcdsaP521 => &[Scheme::EcdsaP521Sha256, Scheme::EcdsaP521Sha512],
            Self::Ed25519 => &[Scheme::Ed25519, Scheme::Ed25519ph],
            Self::Rsa { .. } => &[Scheme::RsaPkcs1Sha256],
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ecdsa-p256"),
            Self::EcdsaP384 => f.write_str("ecdsa-p384"),
            Self::EcdsaP521 => f.write_str("ecdsa-p521"),
            Self::Ed25519 => f.write_str("ed25519"),
            Self::Rsa { bits } => write!(f, "rsa-{bits}"),
        }
    }
}

/// A way to sign: key algorithm, padding and hash.
///
/// The verifier chooses it by the key alone; nothing in an envelope does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// ECDSA on P-256 over SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 over SHA-256, which `cosign verify` expects.
    EcdsaP384Sha256,
    /// ECDSA on P-384 over SHA-384, which `cosign sign` writes.
    EcdsaP384Sha384,
    /// ECDSA on P-521 over SHA-256, which `cosign verify` expects.
    EcdsaP521Sha256,
    /// ECDSA on P-521 over SHA-512, which `cosign sign` writes.
    EcdsaP521Sha512,
    /// Ed25519 over the message itself (RFC 8032, section 5.1).
    Ed25519,
    /// Ed25519ph with an empty context, which `cosign sign` writes.
    Ed25519ph,
    /// RSA PKCS#1 v1.5 over SHA-256 (RFC 8017, section 8.2).
    RsaPkcs1Sha256,
}

impl Scheme {
    /// The name shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha256 => "ecdsa-p384-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::EcdsaP521Sha256 => "ecdsa-p521-sha256",
            Self::EcdsaP521Sha512 => "ecdsa-p521-sha512",
            Self::Ed25519 => "ed25519",
            Self::Ed25519ph => "ed25519ph",
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
