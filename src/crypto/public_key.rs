//! Public keys: read strictly, named by what they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::asn1::{AnyRef, BitStringRef, Null, ObjectIdentifier, UintRef};
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use rsa::pkcs1;
use sha2::Digest as _;

use super::{Curve, KeyAlgorithm, KeyId, pem};
use crate::image::Digest;
use crate::limits::Limits;

/// Shorter moduli do not count (NIST SP 800-131A); longer ones no peer reads.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

const ID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ID_P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A public key that was checked: a point on its curve, a modulus of an
/// accepted length. Two of them are equal when they are the same key, however
/// each was written.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    /// Uncompressed point, 32 bytes of Ed25519, or PKCS#1 DER.
    bytes: Vec<u8>,
    /// Canonical SubjectPublicKeyInfo.
    spki: Vec<u8>,
}

/// Why bytes are no usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not one PEM block.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
    /// A PEM block of something else.
    #[error("`{0}` is no public key; expected `PUBLIC KEY` (`openssl pkey -pubout` makes one)")]
    Label(String),
    /// The DER breaks its rules.
    #[error("the {0} is malformed; make it again from the private key")]
    Malformed(&'static str),
    /// A key algorithm that ocisign does not verify.
    #[error(
        "keys of the kind `{0}` are not supported; use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA"
    )]
    Algorithm(String),
    /// A curve that ocisign does not verify, or one given by its parameters.
    #[error("the key's curve is not one of P-256, P-384 and P-521 by name; use one of them")]
    Curve,
    /// The point is not on the curve, or is one that anyone can sign for.
    #[error("the key is no valid point of its curve; make it again from the private key")]
    Point,
    /// An RSA modulus that is too short or too long.
    #[error("an RSA key of {0} bits does not count; use 2048 to 8192 bits")]
    RsaBits(u32),
    /// An even modulus, or an exponent that is even, 1, or over 2^31.
    #[error("the RSA key's modulus or exponent is unsafe; make a new key")]
    RsaUnsafe,
}

impl PublicKey {
    /// Reads one PEM block: `PUBLIC KEY` (RFC 5280) or `RSA PUBLIC KEY`
    /// (RFC 8017).
    ///
    /// # Errors
    /// [`PublicKeyError`] for anything else, a second block included.
    pub fn from_pem(text: &[u8], limits: &Limits) -> Result<Self, PublicKeyError> {
        let block = pem::one(text, limits.key_bytes)?;
        match block.label.as_str() {
            "PUBLIC KEY" => Self::from_spki_der(&block.bytes),
            "RSA PUBLIC KEY" => Self::from_pkcs1_der(&block.bytes),
            _ => Err(PublicKeyError::Label(block.label)),
        }
    }

    /// Reads a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    ///
    /// # Errors
    /// [`PublicKeyError`]; trailing bytes are one reason.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        const MALFORMED: PublicKeyError = PublicKeyError::Malformed("SubjectPublicKeyInfo");
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| MALFORMED)?;
        let key = spki.subject_public_key.as_bytes().ok_or(MALFORMED)?;
        let parameters = spki.algorithm.parameters;
        match spki.algorithm.oid {
            ID_EC => Self::from_sec1(named_curve(parameters)?, key),
            // RFC 8410, section 3: the parameters must be absent.
            ID_ED25519 if parameters.is_none() => Self::from_ed25519(key),
            // RFC 3279, section 2.3.1: the parameters must be NULL.
            ID_RSA if parameters == Some(AnyRef::NULL) => Self::from_pkcs1_der(key),
            ID_ED25519 | ID_RSA => Err(MALFORMED),
            other => Err(PublicKeyError::Algorithm(other.to_string())),
        }
    }

    /// Reads a point in the form of SEC 1, section 2.3: compressed or not.
    ///
    /// # Errors
    /// [`PublicKeyError::Point`] where it is not on the curve.
    pub fn from_sec1(curve: Curve, point: &[u8]) -> Result<Self, PublicKeyError> {
        use p256::elliptic_curve::sec1::ToEncodedPoint as _;
        macro_rules! uncompressed {
            ($curve:ident) => {
                $curve::PublicKey::from_sec1_bytes(point)
                    .map_err(|_| PublicKeyError::Point)?
                    .to_encoded_point(false)
                    .as_bytes()
                    .to_vec()
            };
        }
        let (bytes, oid) = match curve {
            Curve::P256 => (uncompressed!(p256), &ID_P256),
            Curve::P384 => (uncompressed!(p384), &ID_P384),
            Curve::P521 => (uncompressed!(p521), &ID_P521),
        };
        Self::assemble(curve.into(), bytes, ID_EC, Some(AnyRef::from(oid)))
    }

    /// Reads the 32 bytes of RFC 8032, section 5.1.2.
    ///
    /// # Errors
    /// [`PublicKeyError::Point`] where they are no point, no canonical one,
    /// or one of small order, for which signatures can be made up.
    pub fn from_ed25519(key: &[u8]) -> Result<Self, PublicKeyError> {
        let point =
            ed25519_dalek::VerifyingKey::try_from(key).map_err(|_| PublicKeyError::Point)?;
        if point.is_weak() || !is_reduced(point.as_bytes()) {
            return Err(PublicKeyError::Point);
        }
        Self::assemble(KeyAlgorithm::Ed25519, key.to_vec(), ID_ED25519, None)
    }

    /// Reads an RSAPublicKey in DER (RFC 8017, appendix A.1.1).
    ///
    /// # Errors
    /// [`PublicKeyError`] for a length or exponent that does not count.
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        const MALFORMED: PublicKeyError = PublicKeyError::Malformed("RSA public key");
        let key = pkcs1::RsaPublicKey::from_der(der).map_err(|_| MALFORMED)?;
        let bits = bit_length(key.modulus);
        if !RSA_BITS.contains(&bits) {
            return Err(PublicKeyError::RsaBits(bits));
        }
        let even = |n: UintRef<'_>| n.as_bytes().last().is_none_or(|b| b % 2 == 0);
        let exponent = bit_length(key.public_exponent);
        if even(key.modulus) || even(key.public_exponent) || !(2..=31).contains(&exponent) {
            return Err(PublicKeyError::RsaUnsafe);
        }
        let bytes = key.to_der().map_err(|_| MALFORMED)?;
        Self::assemble(KeyAlgorithm::Rsa { bits }, bytes, ID_RSA, Some(Null.into()))
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The key's name: the SHA-256 of its canonical SubjectPublicKeyInfo.
    pub fn id(&self) -> KeyId {
        KeyId(Digest::sha256(&self.spki))
    }

    /// How a Sigstore bundle hints at the key: the same hash in base64.
    pub fn hint(&self) -> String {
        STANDARD.encode(sha2::Sha256::digest(&self.spki))
    }

    /// The canonical SubjectPublicKeyInfo: DER, named curve, uncompressed
    /// point.
    pub fn to_spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The canonical SubjectPublicKeyInfo as a PEM block `PUBLIC KEY`.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// The key proper: uncompressed point, 32 bytes of Ed25519, or PKCS#1
    /// DER.
    pub(super) fn key_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn assemble(
        algorithm: KeyAlgorithm,
        bytes: Vec<u8>,
        oid: ObjectIdentifier,
        parameters: Option<AnyRef<'_>>,
    ) -> Result<Self, PublicKeyError> {
        let malformed = |_| PublicKeyError::Malformed("public key");
        let spki = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid, parameters },
            subject_public_key: BitStringRef::from_bytes(&bytes).map_err(malformed)?,
        };
        let spki = spki.to_der().map_err(malformed)?;
        Ok(Self { algorithm, bytes, spki })
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm, self.id())
    }
}

/// RFC 5480, section 2.1.1: only `namedCurve`; parameters spelled out let an
/// attacker choose the generator (CVE-2020-0601).
fn named_curve(parameters: Option<AnyRef<'_>>) -> Result<Curve, PublicKeyError> {
    let oid = parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    match oid {
        Some(ID_P256) => Ok(Curve::P256),
        Some(ID_P384) => Ok(Curve::P384),
        Some(ID_P521) => Ok(Curve::P521),
        Some(_) | None => Err(PublicKeyError::Curve),
    }
}

/// Length in bits of a number that DER gives without leading zeros.
fn bit_length(number: UintRef<'_>) -> u32 {
    let bytes = number.as_bytes();
    let zeros = bytes.first().map_or(0, |b| b.leading_zeros());
    u32::try_from(bytes.len()).unwrap_or(u32::MAX / 8).saturating_mul(8).saturating_sub(zeros)
}

/// Whether y is below 2^255 - 19 (RFC 8032, section 5.1.3): otherwise one key
/// would have two encodings and so two ids.
fn is_reduced(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    !(last & 0x7f == 0x7f && middle.iter().all(|b| *b == 0xff) && *first >= 0xed)
}
