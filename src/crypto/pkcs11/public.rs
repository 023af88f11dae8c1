//! The public half of a token's key.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};
use rsa::pkcs1;

use super::attribute;
use super::session::{Token, selector};
use crate::crypto::{Curve, KeyError, Pkcs11Uri, PublicKey};

const ID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ID_P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The public key of the same CKA_ID as a private one, or else the key of the
/// certificate of that id.
pub(super) fn beside(token: &Token, private: ObjectHandle) -> Result<PublicKey, KeyError> {
    let Some(Attribute::Id(id)) = attribute(token, private, AttributeType::Id)? else {
        return Err(absent());
    };
    let find = |class| token.objects(&[Attribute::Class(class), Attribute::Id(id.clone())]);
    first(token, &find(ObjectClass::PUBLIC_KEY)?, &find(ObjectClass::CERTIFICATE)?)
}

/// The public key or certificate that a URI selects.
pub(super) fn named(token: &Token, uri: &Pkcs11Uri) -> Result<PublicKey, KeyError> {
    let find = |class| token.objects(&selector(class, uri));
    first(token, &find(ObjectClass::PUBLIC_KEY)?, &find(ObjectClass::CERTIFICATE)?)
}

fn first(
    token: &Token,
    keys: &[ObjectHandle],
    certificates: &[ObjectHandle],
) -> Result<PublicKey, KeyError> {
    match (keys, certificates) {
        ([key], _) => read(token, *key),
        ([], [certificate]) => read_certificate(token, *certificate),
        ([], []) => Err(absent()),
        _ => Err(KeyError::Token(
            "the token has several public keys or certificates of that name; give each key an id of \
             its own"
                .into(),
        )),
    }
}

fn read(token: &Token, key: ObjectHandle) -> Result<PublicKey, KeyError> {
    match attribute(token, key, AttributeType::KeyType)? {
        Some(Attribute::KeyType(KeyType::RSA)) => read_rsa(token, key),
        Some(Attribute::KeyType(KeyType::EC)) => {
            let parameters = bytes(token, key, AttributeType::EcParams)?;
            let curve = curve(&parameters)?;
            Ok(PublicKey::from_sec1(curve, point(&bytes(token, key, AttributeType::EcPoint)?))?)
        }
        // Of the two curves of this type only Ed25519's points have 32
        // bytes, whichever way the parameters spell it.
        Some(Attribute::KeyType(KeyType::EC_EDWARDS)) => {
            Ok(PublicKey::from_ed25519(point(&bytes(token, key, AttributeType::EcPoint)?))?)
        }
        _ => Err(KeyError::Unsupported(
            "the token's key is of no supported kind; use ECDSA on P-256, P-384 or P-521, Ed25519, \
             or RSA"
                .into(),
        )),
    }
}

fn read_rsa(token: &Token, key: ObjectHandle) -> Result<PublicKey, KeyError> {
    let modulus = bytes(token, key, AttributeType::Modulus)?;
    let exponent = bytes(token, key, AttributeType::PublicExponent)?;
    let der = UintRef::new(&modulus).and_then(|modulus| {
        let public_exponent = UintRef::new(&exponent)?;
        pkcs1::RsaPublicKey { modulus, public_exponent }.to_der()
    });
    Ok(PublicKey::from_pkcs1_der(&der.map_err(|_| unreadable("RSA key"))?)?)
}

fn read_certificate(token: &Token, certificate: ObjectHandle) -> Result<PublicKey, KeyError> {
    let der = bytes(token, certificate, AttributeType::Value)?;
    let spki = spki_of(&der).map_err(|_| unreadable("certificate"))?;
    Ok(PublicKey::from_spki_der(spki)?)
}

fn curve(parameters: &[u8]) -> Result<Curve, KeyError> {
    match ObjectIdentifier::from_der(parameters) {
        Ok(ID_P256) => Ok(Curve::P256),
        Ok(ID_P384) => Ok(Curve::P384),
        Ok(ID_P521) => Ok(Curve::P521),
        _ => Err(KeyError::Unsupported(
            "the token's key is on a curve that is not supported; use P-256, P-384 or P-521".into(),
        )),
    }
}

/// CKA_EC_POINT is an OCTET STRING in DER (PKCS#11 2.40, section 2.3.3);
/// some tokens give the point itself. Both are checked to be on the curve.
fn point(value: &[u8]) -> &[u8] {
    OctetStringRef::from_der(value).map_or(value, |octets| octets.as_bytes())
}

fn bytes(token: &Token, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>, KeyError> {
    match attribute(token, object, kind)? {
        Some(
            Attribute::EcParams(value)
            | Attribute::EcPoint(value)
            | Attribute::Modulus(value)
            | Attribute::PublicExponent(value)
            | Attribute::Value(value),
        ) => Ok(value),
        _ => Err(unreadable("public key")),
    }
}

/// The SubjectPublicKeyInfo of a certificate (RFC 5280, section 4.1). Nothing
/// else of it is looked at: the token vouches for the key, not a CA.
fn spki_of(certificate: &[u8]) -> pkcs8::der::Result<&[u8]> {
    let mut outer = SliceReader::new(sequence(AnyRef::from_der(certificate)?)?)?;
    let mut tbs = SliceReader::new(sequence(AnyRef::decode(&mut outer)?)?)?;
    if matches!(tbs.peek_tag()?, Tag::ContextSpecific { .. }) {
        AnyRef::decode(&mut tbs)?; // version
    }
    for _ in ["serialNumber", "signature", "issuer", "validity", "subject"] {
        AnyRef::decode(&mut tbs)?;
    }
    tbs.tlv_bytes()
}

fn sequence(value: AnyRef<'_>) -> pkcs8::der::Result<&[u8]> {
    value.tag().assert_eq(Tag::Sequence)?;
    Ok(value.value())
}

fn absent() -> KeyError {
    KeyError::Token(
        "the token has no public key and no certificate of the key's id; write one with \
         `pkcs11-tool --write-object KEY.pub --type pubkey --id ID`"
            .into(),
    )
}

fn unreadable(what: &str) -> KeyError {
    KeyError::Token(format!("the token gives a {what} that cannot be read; write it again"))
}
