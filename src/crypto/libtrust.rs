//! Keys and signatures as libtrust wrote them into Docker's schema 1
//! (libtrust, ec_key.go, rsa_key.go, util.go; RFC 7515, RFC 7518).
//!
//! The header names key and algorithm and is not signed itself: a signature
//! that holds says that somebody made it, and not who.

use std::fmt;

use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pkcs8::der::asn1::{AnyRef, UintRef};
use pkcs8::der::{Decode as _, Encode as _, Reader, SliceReader, Tag, Tagged as _};
use ring::signature as ring;
use rsa::pkcs1;
use sha2::Digest as _;

use super::{Curve, InvalidSignature, KeyAlgorithm, PublicKey, PublicKeyError};
use crate::image::schema1::{Header, Jwk};

/// The alphabet of RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a header names no usable key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither a JWK nor certificates, or ones that cannot be read.
    #[error("the header has no key that can be read ({0})")]
    Key(&'static str),
    /// The key itself is no good.
    #[error(transparent)]
    Public(#[from] PublicKeyError),
    /// The name of the key is another one's.
    #[error("the header calls its key `{0}`, which is another one's fingerprint")]
    Kid(String),
}

/// A key's fingerprint as libtrust writes it: the first 240 bits of the
/// SHA-256 of its SubjectPublicKeyInfo, in base32, by fours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicKey {
    /// The key's name in libtrust.
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = sha2::Sha256::digest(self.to_spki_der());
        let mut text = String::with_capacity(59);
        for (group, five) in
            hash.iter().take(30).copied().collect::<Vec<u8>>().chunks(5).enumerate()
        {
            let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            for at in 0..8 {
                if at == 4 || (at == 0 && group > 0) {
                    text.push(':');
                }
                let digit = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap_or_default();
                text.extend(BASE32.get(digit).copied().map(char::from));
            }
        }
        Fingerprint(text)
    }
}

/// The key that a header carries: that of the first certificate where there
/// is one (the JWK is not looked at then, as libtrust does), else the JWK.
///
/// # Errors
/// [`HeaderError`].
pub fn key(header: &Header) -> Result<PublicKey, HeaderError> {
    if let Some(chain) = header.x5c.as_ref().filter(|chain| !chain.is_empty()) {
        let first = chain.first().map(String::as_str).unwrap_or_default();
        let der = STANDARD.decode(first).map_err(|_| HeaderError::Key("`x5c` is no base64"))?;
        let spki = spki(&der).ok_or(HeaderError::Key("`x5c` begins with no certificate"))?;
        return Ok(PublicKey::from_spki_der(spki)?);
    }
    let jwk = header.jwk.as_ref().ok_or(HeaderError::Key("neither `jwk` nor `x5c`"))?;
    let key = match jwk.kty.as_str() {
        "EC" => elliptic(jwk)?,
        "RSA" => rsa_key(jwk)?,
        _ => return Err(HeaderError::Key("`kty` is neither EC nor RSA")),
    };
    match &jwk.kid {
        Some(kid) if *kid != key.fingerprint().to_string() => {
            Err(HeaderError::Kid(kid.chars().take(80).collect()))
        }
        Some(_) | None => Ok(key),
    }
}

/// Checks a signature with the algorithm that the header names, where it is
/// one for such a key.
///
/// # Errors
/// [`InvalidSignature`].
pub fn verify(
    key: &PublicKey,
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<(), InvalidSignature> {
    let bytes = key.key_bytes();
    let by_ring = |algorithm: &'static dyn ring::VerificationAlgorithm| {
        ring::UnparsedPublicKey::new(algorithm, bytes).verify(message, signature).is_ok()
    };
    let holds = match (key.algorithm(), algorithm) {
        (KeyAlgorithm::EcdsaP256, "ES256") => by_ring(&ring::ECDSA_P256_SHA256_FIXED),
        (KeyAlgorithm::EcdsaP384, "ES384") => by_ring(&ring::ECDSA_P384_SHA384_FIXED),
        (KeyAlgorithm::EcdsaP521, "ES512") => {
            let key = lc::UnparsedPublicKey::new(&lc::ECDSA_P521_SHA512_FIXED, bytes);
            key.verify(message, signature).is_ok()
        }
        (KeyAlgorithm::Rsa { .. }, "RS256") => by_ring(&ring::RSA_PKCS1_2048_8192_SHA256),
        (KeyAlgorithm::Rsa { .. }, "RS384") => by_ring(&ring::RSA_PKCS1_2048_8192_SHA384),
        (KeyAlgorithm::Rsa { .. }, "RS512") => by_ring(&ring::RSA_PKCS1_2048_8192_SHA512),
        _ => false,
    };
    if holds { Ok(()) } else { Err(InvalidSignature) }
}

/// RFC 7518, section 6.2.1: both coordinates in the curve's full length.
fn elliptic(jwk: &Jwk) -> Result<PublicKey, HeaderError> {
    let (curve, length) = match jwk.crv.as_deref() {
        Some("P-256") => (Curve::P256, 32),
        Some("P-384") => (Curve::P384, 48),
        Some("P-521") => (Curve::P521, 66),
        _ => return Err(HeaderError::Key("`crv` is none of P-256, P-384 and P-521")),
    };
    let mut point = vec![4];
    for coordinate in [&jwk.x, &jwk.y] {
        let bytes = number(coordinate.as_deref())?;
        if bytes.len() != length {
            return Err(HeaderError::Key("a coordinate has another length than its curve's"));
        }
        point.extend(bytes);
    }
    Ok(PublicKey::from_sec1(curve, &point)?)
}

fn rsa_key(jwk: &Jwk) -> Result<PublicKey, HeaderError> {
    const UNREAD: HeaderError = HeaderError::Key("`n` or `e` is no number");
    let (modulus, exponent) = (number(jwk.n.as_deref())?, number(jwk.e.as_deref())?);
    // leading zeros, which libtrust may write, are no part of a number
    let key = pkcs1::RsaPublicKey {
        modulus: UintRef::new(&modulus).map_err(|_| UNREAD)?,
        public_exponent: UintRef::new(&exponent).map_err(|_| UNREAD)?,
    };
    Ok(PublicKey::from_pkcs1_der(&key.to_der().map_err(|_| UNREAD)?)?)
}

fn number(text: Option<&str>) -> Result<Vec<u8>, HeaderError> {
    let text = text.ok_or(HeaderError::Key("the `jwk` lacks a number"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| HeaderError::Key("a number is no base64url"))
}

/// The SubjectPublicKeyInfo of a certificate (RFC 5280, section 4.1): the
/// sixth part of what is signed, behind an optional version. Nothing else of
/// the certificate counts, so nothing else is read.
fn spki(certificate: &[u8]) -> Option<&[u8]> {
    let whole = AnyRef::from_der(certificate).ok().filter(|any| any.tag() == Tag::Sequence)?;
    let signed = parts(whole.value())?.into_iter().next()?;
    let signed = AnyRef::from_der(signed).ok().filter(|any| any.tag() == Tag::Sequence)?;
    let parts = parts(signed.value())?;
    let versioned = parts.first().and_then(|part| part.first()) == Some(&0xa0);
    parts.get(5 + usize::from(versioned)).copied()
}

/// The encodings that stand one after the other in `bytes`.
fn parts(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() && parts.len() < 16 {
        parts.push(reader.tlv_bytes().ok()?);
    }
    Some(parts)
}
