//! Keys and signatures of version 6 (RFC 9580), which gpg does not make: the
//! `pgp` crate makes them here. Version 3 is in the vectors of
//! containers/image.

use ocisign::crypto::openpgp::SecretKey;
use ocisign::crypto::{KeyError, Password};
use pgp::composed::{
    ArmorOptions, Deserializable as _, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey,
};
use pgp::crypto::aead::AeadAlgorithm;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::{KeyVersion, Password as PgpPassword, S2kParams, StringToKey};
use rand_core::OsRng;

use super::*;

fn key(version: KeyVersion, sealed: Option<S2kParams>) -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params.version(version).key_type(KeyType::Ed25519).can_sign(true).can_certify(true);
    params.primary_user_id("lea <lea@example.test>".to_owned());
    if let Some(s2k) = sealed {
        params.passphrase(Some("test".to_owned())).s2k(Some(s2k));
    }
    params.build().unwrap().generate(OsRng).unwrap()
}

fn signature(key: &SignedSecretKey, content: &[u8]) -> Vec<u8> {
    let (key, none) = (&key.primary_key, PgpPassword::empty());
    let made =
        DetachedSignature::sign_binary_data(OsRng, key, &none, HashAlgorithm::Sha512, content);
    made.unwrap().to_armored_bytes(ArmorOptions::default()).unwrap()
}

fn public(key: &SignedSecretKey) -> Keyring {
    let armoured = key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap();
    Keyring::parse(&armoured, &Limits::default()).unwrap()
}

fn parse(key: &SignedSecretKey, password: &str) -> Result<SecretKey, KeyError> {
    let armoured = key.to_armored_bytes(ArmorOptions::default()).unwrap();
    SecretKey::parse(&armoured, &mut || Ok(Password::new(password)), &Limits::default())
}

#[test]
fn version_6_verifies_and_is_not_written() {
    let key = key(KeyVersion::V6, None);
    let signed = signature(&key, b"content");
    let signer = over(&signed, b"content", &public(&key)).unwrap();
    assert_eq!(signer.fingerprint.to_string().len(), 64);
    assert_eq!(over(&signed, b"another", &public(&key)), Err(PgpFailure::Bad));
    let refused = parse(&key, "").unwrap_err().to_string();
    assert!(refused.contains("version 4"), "{refused}");
}

/// The salt is hashed before the content and its length goes with the hash.
#[test]
fn every_flipped_byte_of_version_6_is_noticed() {
    let key = key(KeyVersion::V6, None);
    let armoured = signature(&key, b"content");
    let all = DetachedSignature::from_armor_single(&armoured[..]).unwrap().0;
    let bytes = pgp::ser::Serialize::to_bytes(&all).unwrap();
    let ring = public(&key);
    assert!(over(&bytes, b"content", &ring).is_ok());
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let Ok(all) = Detached::parse(&changed, &Limits::default()) else { continue };
            let counts = all.iter().any(|one| {
                one.begin().is_ok_and(|mut hash| {
                    hash.update(b"content");
                    hash.verify(&ring).is_ok()
                })
            });
            assert!(!counts, "byte {at} of {}", bytes.len());
        }
    }
}

/// Memory by its binary logarithm, in kibibytes.
fn argon2(memory: u8) -> Option<S2kParams> {
    Some(S2kParams::Aead {
        sym_alg: SymmetricKeyAlgorithm::AES256,
        aead_mode: AeadAlgorithm::Ocb,
        s2k: StringToKey::Argon2 { salt: [7; 16], t: 1, p: 1, m_enc: memory },
        nonce: vec![9; 15].into(),
    })
}

#[test]
fn a_key_under_argon2_opens_within_the_limit() {
    let now = at("2040-01-01T00:00:00Z");
    let sealed = key(KeyVersion::V4, argon2(10));
    let signed = parse(&sealed, "test").unwrap().sign_detached(&mut &b"content"[..], now).unwrap();
    assert!(over(&signed, b"content", &public(&sealed)).is_ok());
    assert!(matches!(parse(&sealed, "wrong"), Err(KeyError::WrongPassword)));
}

#[test]
fn a_key_that_asks_for_too_much_memory_is_refused_before_its_password() {
    let armoured = key(KeyVersion::V4, argon2(10)).to_armored_bytes(ArmorOptions::default());
    let sealed = SignedSecretKey::from_armor_single(&armoured.unwrap()[..]).unwrap().0;
    let mut bytes = pgp::ser::Serialize::to_bytes(&sealed).unwrap();
    // the salt, then passes, lanes and memory (RFC 9580, section 3.7.1.4)
    let salt = bytes.windows(16).position(|window| window == [7; 16]).unwrap();
    for memory in [19, 31, 255] {
        bytes[salt + 18] = memory;
        let refused =
            SecretKey::parse(&bytes, &mut || panic!("asked for a password"), &Limits::default());
        assert!(matches!(refused, Err(KeyError::TooExpensive(_))), "{memory}: {refused:?}");
    }
}
