//! From numbers to a key that can sign, checked against itself on the way.

use ::pkcs8::der::Encode as _;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P521_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rsa::pkcs1;

use super::{KeyError, PrivateKey, pkcs8};
use crate::crypto::{Curve, PublicKey};

/// The key as its backend holds it.
pub(super) enum Secret {
    P256(EcdsaKeyPair),
    P384(p384::ecdsa::SigningKey),
    P521(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// An ECDSA key from its scalar. `stated` is the public point that stands
/// with it, where one does.
pub(super) fn ec(
    curve: Curve,
    scalar: &[u8],
    stated: Option<&[u8]>,
) -> Result<PrivateKey, KeyError> {
    let (point, secret) = match curve {
        Curve::P256 => p256_secret(scalar)?,
        Curve::P384 => p384_secret(scalar)?,
        Curve::P521 => p521_secret(scalar)?,
    };
    let public = PublicKey::from_sec1(curve, &point)?;
    if let Some(stated) = stated {
        same(&public, PublicKey::from_sec1(curve, stated)?)?;
    }
    let pkcs8 = pkcs8::write_ec(curve, scalar, &point)?;
    Ok(PrivateKey { secret, public, pkcs8 })
}

fn p256_secret(scalar: &[u8]) -> Result<(Vec<u8>, Secret), KeyError> {
    let key = p256::SecretKey::from_bytes(sized::<32>(scalar)?.into()).map_err(|_| no_scalar())?;
    let point = key.public_key().to_encoded_point(false).as_bytes().to_vec();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, &point);
    Ok((point, Secret::P256(pair.map_err(|e| rejected(&e))?)))
}

fn p384_secret(scalar: &[u8]) -> Result<(Vec<u8>, Secret), KeyError> {
    let key = p384::SecretKey::from_bytes(sized::<48>(scalar)?.into()).map_err(|_| no_scalar())?;
    let point = key.public_key().to_encoded_point(false).as_bytes().to_vec();
    Ok((point, Secret::P384(key.into())))
}

fn p521_secret(scalar: &[u8]) -> Result<(Vec<u8>, Secret), KeyError> {
    let bytes = p521::FieldBytes::from_slice(sized::<66>(scalar)?);
    let key = p521::SecretKey::from_bytes(bytes).map_err(|_| no_scalar())?;
    let point = key.public_key().to_encoded_point(false).as_bytes().to_vec();
    let algorithm = &ECDSA_P521_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, &point);
    Ok((point, Secret::P521(pair.map_err(|e| rejected(&e))?)))
}

/// An Ed25519 key from its seed (RFC 8032, section 5.1.5).
pub(super) fn ed25519(seed: &[u8], stated: Option<&[u8]>) -> Result<PrivateKey, KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(sized::<32>(seed)?).map_err(|e| rejected(&e))?;
    let public = PublicKey::from_ed25519(pair.public_key().as_ref())?;
    if let Some(stated) = stated {
        same(&public, PublicKey::from_ed25519(stated)?)?;
    }
    Ok(PrivateKey { secret: Secret::Ed25519(pair), public, pkcs8: pkcs8::write_ed25519(seed)? })
}

/// An RSA key from its RSAPrivateKey (RFC 8017, appendix A.1.2).
pub(super) fn rsa(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let key = pkcs1::RsaPrivateKey::try_from(der).map_err(|e| {
        KeyError::Malformed(format!("it is no RSA key of two primes ({e}); export it again"))
    })?;
    let public = key.public_key().to_der().map_err(|e| rejected(&e))?;
    let public = PublicKey::from_pkcs1_der(&public)?;
    let pair = RsaKeyPair::from_der(der).map_err(|e| rejected(&e))?;
    Ok(PrivateKey { secret: Secret::Rsa(pair), public, pkcs8: pkcs8::write_rsa(der)? })
}

fn same(computed: &PublicKey, stated: PublicKey) -> Result<(), KeyError> {
    if *computed == stated {
        return Ok(());
    }
    Err(KeyError::Inconsistent("its public half belongs to another key".into()))
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], KeyError> {
    bytes.try_into().map_err(|_| {
        KeyError::Malformed(format!(
            "its secret has {} bytes instead of {N}; export it again",
            bytes.len()
        ))
    })
}

fn no_scalar() -> KeyError {
    KeyError::Malformed("its secret is outside of its curve's range; make a new key".into())
}

fn rejected(error: &dyn std::fmt::Display) -> KeyError {
    KeyError::Inconsistent(format!("its numbers do not fit together ({error})"))
}
