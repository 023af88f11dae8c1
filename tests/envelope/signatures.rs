//! Keys and signatures as openssl writes them (`tests/data/signature`).
//!
//! `expect` of each directory is the scheme under which the signature holds,
//! `invalid`, or `refused:` and what the error about the key must say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocisign::crypto::{PublicKey, PublicKeyError};
use ocisign::limits::Limits;

struct Case {
    name: String,
    folder: PathBuf,
    expect: String,
}

impl Case {
    fn all() -> Vec<Self> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/signature");
        let read = |folder: PathBuf| Self {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            expect: std::fs::read_to_string(folder.join("expect")).unwrap().trim().to_owned(),
            folder,
        };
        let mut cases: Vec<_> =
            std::fs::read_dir(data).unwrap().map(|entry| read(entry.unwrap().path())).collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(cases.len() >= 40, "the directories of vectors must be found");
        cases
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    fn key(&self) -> Result<PublicKey, PublicKeyError> {
        PublicKey::from_pem(&self.file("key.pub"), &Limits::default())
    }

    fn signature(&self) -> Vec<u8> {
        crate::flips::decoded(&String::from_utf8(self.file("signature.b64")).unwrap())
    }
}

#[test]
fn every_signature_has_the_outcome_that_its_file_states() {
    for case in Case::all() {
        if let Some(says) = case.expect.strip_prefix("refused: ") {
            let error = case.key().expect_err(&case.name).to_string();
            assert!(error.contains(says), "{}: `{error}` does not say `{says}`", case.name);
            continue;
        }
        let key = case.key().unwrap();
        let outcome = key.verify(&case.file("message"), &case.signature());
        let outcome = outcome.map_or("invalid", |scheme| scheme.as_str());
        assert_eq!(outcome, case.expect, "{}", case.name);
    }
}

#[test]
fn a_flipped_cut_or_grown_signature_or_message_is_invalid() {
    for case in Case::all().iter().filter(|c| c.folder.join("message").exists()) {
        if case.expect == "invalid" {
            continue;
        }
        let (key, message, signature) =
            (case.key().unwrap(), case.file("message"), case.signature());
        for at in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert!(key.verify(&message, &flipped).is_err(), "{} byte {at}", case.name);
        }
        for at in 0..message.len() {
            let mut flipped = message.clone();
            flipped[at] ^= 1;
            assert!(key.verify(&flipped, &signature).is_err(), "{} byte {at}", case.name);
        }
        let grown = [signature.as_slice(), &[0]].concat();
        for other in [&grown, &signature[1..], &signature[..signature.len() - 1], &[]] {
            assert!(key.verify(&message, other).is_err(), "{}", case.name);
        }
    }
}

/// However a key is written, it is one key: an attacker, or a careless
/// policy, cannot make two signers out of it.
#[test]
fn encodings_of_one_key_have_one_id() {
    let keys: BTreeMap<String, PublicKey> = Case::all()
        .into_iter()
        .filter_map(|case| Some((case.name.clone(), case.key().ok()?)))
        .collect();
    for (one, other) in [
        ("rsa2048", "rsa2048-pkcs1"),
        ("p256-sha256", "prime256v1-compressed"),
        ("p384-sha256", "secp384r1-compressed"),
        ("p521-sha256", "secp521r1-compressed"),
        ("p256-sha256", "text-around"),
    ] {
        assert_eq!(keys[one], keys[other]);
        assert_eq!(keys[one].id(), keys[other].id());
        assert_eq!(keys[one].to_pem(), keys[other].to_pem());
    }
    let ids: std::collections::BTreeSet<_> = keys.values().map(PublicKey::id).collect();
    assert_eq!(ids.len(), 9, "three curves, Ed25519, four RSA lengths and one exponent");
}

/// openssl writes the canonical form itself.
#[test]
fn the_canonical_form_is_what_openssl_writes() {
    for name in ["p256-sha256", "p384-sha384", "p521-sha512", "ed25519", "rsa2048", "rsa8192"] {
        let case = Case::all().into_iter().find(|case| case.name == name).unwrap();
        assert_eq!(case.key().unwrap().to_pem().into_bytes(), case.file("key.pub"), "{name}");
    }
}
