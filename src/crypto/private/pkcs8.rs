//! The containers of unencrypted keys: PKCS#8 (RFC 5958) and SEC 1
//! (RFC 5915).

use ::pkcs8::PrivateKeyInfo;
use ::pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use ::pkcs8::der::{Decode as _, Encode as _};
use ::pkcs8::spki::AlgorithmIdentifierRef;
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use super::{KeyError, PrivateKey, material};
use crate::crypto::Curve;

pub(super) const LABEL: &str = "PRIVATE KEY";
pub(super) const SEC1_LABEL: &str = "EC PRIVATE KEY";
pub(super) const PKCS1_LABEL: &str = "RSA PRIVATE KEY";

const ID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ID_P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ID_RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// Reads a PrivateKeyInfo or OneAsymmetricKey.
pub(super) fn parse(der: &[u8]) -> Result<PrivateKey, KeyError> {
    parse_info(PrivateKeyInfo::try_from(der).map_err(|e| malformed("PKCS#8", &e))?)
}

/// The same for what a cipher without authentication gave: where it is not
/// even PKCS#8, the password was wrong.
pub(super) fn parse_decrypted(der: &[u8]) -> Result<PrivateKey, KeyError> {
    parse_info(PrivateKeyInfo::try_from(der).map_err(|_| KeyError::WrongPassword)?)
}

fn parse_info(info: PrivateKeyInfo<'_>) -> Result<PrivateKey, KeyError> {
    let parameters = info.algorithm.parameters;
    match info.algorithm.oid {
        ID_EC => parse_sec1(info.private_key, Some(named_curve(parameters)?)),
        // RFC 8410, section 3: the parameters must be absent.
        ID_ED25519 if parameters.is_none() => {
            let seed = OctetStringRef::from_der(info.private_key)
                .map_err(|e| malformed("Ed25519 key", &e))?;
            material::ed25519(seed.as_bytes(), info.public_key)
        }
        ID_RSA if parameters == Some(AnyRef::NULL) => material::rsa(info.private_key),
        ID_ED25519 | ID_RSA => Err(KeyError::Malformed(
            "its parameters do not fit its algorithm; export it again".into(),
        )),
        ID_RSA_PSS => Err(KeyError::Unsupported(
            "the RSA key is bound to PSS, which `cosign verify` refuses; make a plain RSA key"
                .into(),
        )),
        other => Err(KeyError::Unsupported(format!(
            "private keys of the kind `{other}` are not supported; use ECDSA on P-256, P-384 or \
             P-521, Ed25519, or RSA"
        ))),
    }
}

/// Reads an ECPrivateKey; `outer` is the curve that PKCS#8 names around it.
pub(super) fn parse_sec1(der: &[u8], outer: Option<Curve>) -> Result<PrivateKey, KeyError> {
    let key = EcPrivateKey::try_from(der).map_err(|e| match e {
        sec1::Error::Asn1(e) => malformed("EC key with a named curve", &e),
        other => malformed("EC key", &other),
    })?;
    let inner = key.parameters.map(inner_curve).transpose()?;
    let curve = match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => {
            return Err(KeyError::Inconsistent("it names two curves".into()));
        }
        (outer, inner) => outer.or(inner).ok_or_else(no_curve)?,
    };
    material::ec(curve, key.private_key, key.public_key)
}

/// Canonical PKCS#8 of an EC key: named curve outside, public point inside,
/// as openssl writes it.
pub(super) fn write_ec(
    curve: Curve,
    scalar: &[u8],
    point: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let key = EcPrivateKey { private_key: scalar, parameters: None, public_key: Some(point) };
    let key = Zeroizing::new(key.to_der().map_err(|e| unwritable(&e))?);
    let oid = match curve {
        Curve::P256 => &ID_P256,
        Curve::P384 => &ID_P384,
        Curve::P521 => &ID_P521,
    };
    write_info(ID_EC, Some(AnyRef::from(oid)), &key)
}

/// Canonical PKCS#8 of an Ed25519 key: version 1, as openssl 3.0 reads no
/// other.
pub(super) fn write_ed25519(seed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let key = OctetStringRef::new(seed).and_then(|seed| seed.to_der());
    let key = Zeroizing::new(key.map_err(|e| unwritable(&e))?);
    write_info(ID_ED25519, None, &key)
}

/// PKCS#8 around an RSAPrivateKey.
pub(super) fn write_rsa(pkcs1: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    write_info(ID_RSA, Some(AnyRef::NULL), pkcs1)
}

fn write_info(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = PrivateKeyInfo::new(AlgorithmIdentifierRef { oid, parameters }, key);
    info.to_der().map(Zeroizing::new).map_err(|e| unwritable(&e))
}

/// Why a PEM block is no private key, and what to do.
pub(super) fn refused_label(label: &str) -> KeyError {
    KeyError::Unsupported(match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
            format!("`{label}` is not a private key; signing needs the private half")
        }
        "OPENSSH PRIVATE KEY" => "keys of OpenSSH are not read; convert a copy with \
             `ssh-keygen -p -m PKCS8 -f COPY`"
            .into(),
        "DSA PRIVATE KEY" => {
            "DSA keys are not supported; make one with `ocisign key generate`".into()
        }
        _ => format!(
            "`{label}` is not a private key; expected `{LABEL}` (`openssl pkcs8 -topk8` makes one)"
        ),
    })
}

fn named_curve(parameters: Option<AnyRef<'_>>) -> Result<Curve, KeyError> {
    let oid = parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    curve_of(oid.ok_or_else(no_curve)?)
}

fn inner_curve(parameters: EcParameters) -> Result<Curve, KeyError> {
    curve_of(parameters.named_curve().ok_or_else(no_curve)?)
}

fn curve_of(oid: ObjectIdentifier) -> Result<Curve, KeyError> {
    match oid {
        ID_P256 => Ok(Curve::P256),
        ID_P384 => Ok(Curve::P384),
        ID_P521 => Ok(Curve::P521),
        other => Err(KeyError::Unsupported(format!(
            "the curve `{other}` is not supported; use P-256, P-384 or P-521"
        ))),
    }
}

fn no_curve() -> KeyError {
    KeyError::Unsupported(
        "the key does not name its curve (parameters spelled out are not read); write it with \
         `openssl ec -param_enc named_curve`"
            .into(),
    )
}

fn malformed(what: &str, error: &dyn std::fmt::Display) -> KeyError {
    KeyError::Malformed(format!("it is no {what} ({error}); export it again"))
}

fn unwritable(error: &dyn std::fmt::Display) -> KeyError {
    KeyError::Failed(format!("the key cannot be encoded ({error})"))
}
