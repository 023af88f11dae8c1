//! Broken keys: an answer, never a panic, and never another key.

use ocisign::crypto::{KeyError, KeyRef, Password, Pkcs11Uri, PrivateKey, Signer};
use ocisign::limits::Limits;
use proptest::prelude::*;

use super::{open, public, read};

/// One of each form; the encrypted ones with the cheapest derivation that
/// openssl writes.
const FORMS: [&str; 8] = [
    "ecdsa-p256/key.pem",
    "ecdsa-p384/key.pem",
    "ecdsa-p521/key.pem",
    "ed25519/key.pem",
    "ecdsa-p256/sec1.pem",
    "rsa-3072/pkcs1.pem",
    "ecdsa-p256/pkcs8-default.pem",
    "ecdsa-p256/pkcs8-aes128-sha1.pem",
];

/// Keeps the work of a mutated derivation small, as a fuzzer would.
fn limits() -> Limits {
    Limits { kdf_iterations: 5_000, kdf_bytes: 1 << 20, ..Limits::default() }
}

fn parse(pem: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(pem, &mut || Ok(Password::new(super::PASSWORD)), &limits())
}

/// The DER of a PEM file, and its label.
fn der(file: &str) -> (String, Vec<u8>) {
    let block = ocisign::crypto::pem::one(&read(file), 1 << 16).unwrap();
    (block.label, block.bytes.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_der_gives_an_error_or_a_key(
        form in 0..FORMS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let (label, mut bytes) = der(FORMS[form]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        // whatever is read must be a whole key: it can be written and read
        if let Ok(key) = parse(ocisign::crypto::pem::encode(&label, &bytes).as_bytes()) {
            let pem = key.to_pem(ocisign::crypto::KeyFormat::Pkcs8, None).unwrap();
            let again = open(pem.as_bytes()).unwrap();
            prop_assert_eq!(again.public_key(), key.public_key());
        }
    }

    #[test]
    fn mutated_text_gives_an_error_or_a_key(
        form in 0..FORMS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = read(FORMS[form]);
        for (at, value) in changes {
            let at = at.index(text.len());
            text[at] = value;
        }
        let _ = parse(&text);
    }

    #[test]
    fn a_mutated_cosign_envelope_gives_an_error(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let (label, mut bytes) = der("ecdsa-p256/cosign.pem");
        // not the parameters alone: scrypt would run for each case
        let start = bytes.windows(10).position(|w| w == b"ciphertext").unwrap();
        let at = at.index(start);
        prop_assume!(bytes[at] != value && value != b' ');
        bytes[at] = value;
        let mut refuse = || Err(KeyError::NoPassword("not asked here".into()));
        let pem = ocisign::crypto::pem::encode(&label, &bytes);
        prop_assert!(PrivateKey::from_pem(pem.as_bytes(), &mut refuse, &limits()).is_err());
    }

    #[test]
    fn any_bytes_in_any_label_give_an_answer(
        label in prop::sample::select(vec![
            "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY",
            "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse(ocisign::crypto::pem::encode(label, &bytes).as_bytes());
    }

    #[test]
    fn any_text_is_a_key_reference_or_an_error(text in "(pkcs11:)?[ -~]{0,60}") {
        let _ = KeyRef::parse(&text);
    }

    #[test]
    fn a_label_survives_percent_encoding(label in "[^\\x00]{1,20}") {
        let encoded: String = label.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri = Pkcs11Uri::parse(&format!("pkcs11:object={encoded}")).unwrap();
        prop_assert_eq!(uri.object, Some(label));
    }
}

#[test]
fn a_key_with_the_public_half_of_another_is_refused() {
    let (label, mine) = der("ecdsa-p256/key.pem");
    let other = PrivateKey::generate(ocisign::crypto::KeyAlgorithm::EcdsaP256).unwrap();
    // both end in the 64 bytes of the point
    let own = public(&read("ecdsa-p256/key.pub")).to_spki_der()[27..].to_vec();
    let start = mine.windows(64).position(|window| window == own).unwrap();
    let mut mixed = mine.clone();
    mixed[start..start + 64].copy_from_slice(&other.public_key().to_spki_der()[27..]);
    let refused = open(ocisign::crypto::pem::encode(&label, &mixed).as_bytes()).unwrap_err();
    assert!(matches!(refused, KeyError::Inconsistent(_)), "{refused}");
}

#[test]
fn no_flipped_bit_of_a_key_that_states_its_public_half_gives_another_key() {
    for (file, step) in [
        ("ecdsa-p256/key.pem", 1),
        ("ecdsa-p384/key.pem", 3),
        ("ecdsa-p521/key.pem", 5),
        ("ecdsa-p256/sec1.pem", 1),
        ("rsa-3072/pkcs1.pem", 29),
    ] {
        let (label, bytes) = der(file);
        let whole = open(&read(file)).unwrap();
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let pem = ocisign::crypto::pem::encode(&label, &flipped);
            if let Ok(key) = open(pem.as_bytes()) {
                assert_eq!(key.public_key(), whole.public_key(), "{file}: byte {at}");
                assert!(key.sign(b"message").is_ok(), "{file}: byte {at}");
            }
        }
    }
}
