//! What is tested inside the process that has a token. `keys_in_a_token_sign`
//! starts it; by themselves these tests have no token, so they are ignored.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ocisign::crypto::{
    KeyAlgorithm, KeyError, KeyRef, Password, Pkcs11Key, Pkcs11Uri, PublicKey, Signer,
};
use ocisign::engine::keys::{Secrets, load_public, load_signer};
use ocisign::limits::Limits;

pub(crate) const PIN: &str = "4711";

fn uri(selector: &str) -> Pkcs11Uri {
    let library = std::env::var("OCISIGN_TEST_LIBRARY").unwrap();
    Pkcs11Uri::parse(&format!("pkcs11:{selector}?module-path={library}")).unwrap()
}

fn open(selector: &str) -> Result<Pkcs11Key, KeyError> {
    Pkcs11Key::open(&uri(selector), &mut || Ok(Password::new(PIN)))
}

const TOKEN: &str = "token=ocisign%20test";

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn every_algorithm_signs_and_its_public_half_verifies() {
    for (label, id, algorithm) in [
        ("p256", "%01", KeyAlgorithm::EcdsaP256),
        ("p384", "%02", KeyAlgorithm::EcdsaP384),
        ("p521", "%03", KeyAlgorithm::EcdsaP521),
        ("rsa", "%04", KeyAlgorithm::Rsa { bits: 3072 }),
        ("ed25519", "%05", KeyAlgorithm::Ed25519),
    ] {
        let by_label = open(&format!("{TOKEN};object={label}")).unwrap();
        let by_id = open(&format!("{TOKEN};id={id};type=private")).unwrap();
        assert_eq!(by_label.public_key(), by_id.public_key());
        assert_eq!(by_label.public_key().algorithm(), algorithm);
        let signature = by_label.sign(b"message").unwrap();
        assert!(by_id.public_key().verify(b"message", &signature).is_ok(), "{label}");
        assert!(by_id.public_key().verify(b"massage", &signature).is_err(), "{label}");
    }
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn a_certificate_stands_in_for_the_public_key() {
    let der = std::fs::read(folder().join("08.der")).unwrap();
    let expected = PublicKey::from_spki_der(&der).unwrap();
    let key = open(&format!("{TOKEN};object=certified")).unwrap();
    assert_eq!(key.public_key(), &expected);
    assert!(expected.verify(b"message", &key.sign(b"message").unwrap()).is_ok());
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn what_the_uri_does_not_decide_is_an_error() {
    for (selector, says) in [
        ("object=p256".into(), "selects 2 tokens"),
        ("token=absent;object=p256".into(), "`another`"),
        (format!("{TOKEN};object=absent"), "no such key"),
        (format!("{TOKEN};object=twice"), "selects 2 keys"),
        (format!("{TOKEN};object=p256;id=%02"), "no such key"),
        (format!("{TOKEN};object=bare"), "no public key and no certificate"),
        ("token=another;object=p256".into(), "no such key"),
    ] {
        let error = open(&selector).unwrap_err().to_string();
        assert!(error.contains(says), "{selector}: {error}");
    }
    assert!(open(&format!("{TOKEN};object=twice;id=%07")).is_ok());
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn a_wrong_pin_is_tried_once_and_reported() {
    let tries = AtomicUsize::new(0);
    let mut wrong = || {
        tries.fetch_add(1, Ordering::Relaxed);
        Ok(Password::new("0000"))
    };
    let error = Pkcs11Key::open(&uri(&format!("{TOKEN};object=p256")), &mut wrong).unwrap_err();
    assert!(error.to_string().contains("PIN"), "{error}");
    assert_eq!(tries.into_inner(), 1);
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn the_public_half_needs_no_pin() {
    let public = Pkcs11Key::public(&uri(&format!("{TOKEN};object=p256"))).unwrap();
    assert_eq!(&public, open(&format!("{TOKEN};object=p256")).unwrap().public_key());
    let certified = Pkcs11Key::public(&uri(&format!("{TOKEN};object=certified"))).unwrap();
    assert_eq!(certified.algorithm(), KeyAlgorithm::EcdsaP256);
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn the_engine_finds_the_library_and_the_pin() {
    let library = std::env::var_os("OCISIGN_TEST_LIBRARY").unwrap();
    let pin_file = folder().join("pin");
    std::fs::write(&pin_file, format!("{PIN}\n")).unwrap();
    let variables = |name: &str| match name {
        "COSIGN_PKCS11_MODULE_PATH" => Some(library.clone()),
        "OCISIGN_PKCS11_PIN" | "MY_PIN" => Some(PIN.into()),
        "OCISIGN_PASSWORD" => Some("not the PIN".into()),
        _ => None,
    };
    let from_file = format!("?pin-source=file:{}", pin_file.display());
    for source in ["", "?pin-source=env:MY_PIN", &from_file] {
        let key = KeyRef::parse(&format!("pkcs11:{TOKEN};object=p256{source}")).unwrap();
        let mut secrets = Secrets::new(&variables, None);
        let signer = load_signer(&key, &mut secrets, &Limits::default()).unwrap();
        let public = load_public(&key, &mut secrets, &Limits::default()).unwrap();
        assert!(public.verify(b"m", &signer.sign(b"m").unwrap()).is_ok(), "{source}");
    }
}

#[test]
#[ignore = "needs the token that keys_in_a_token_sign makes"]
fn a_key_serves_several_threads() {
    let key = open(&format!("{TOKEN};object=p256")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| drop(key.sign(b"message").unwrap())));
        }
    });
}

fn folder() -> PathBuf {
    std::env::var_os("OCISIGN_TEST_FOLDER").unwrap().into()
}

/// A certificate over somebody else's public key, which openssl makes with a
/// key of its own: nobody checks who signed it.
pub(crate) fn certify(public_der: &Path, certificate: &Path) {
    let folder = certificate.parent().unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        super::run(command.current_dir(folder), arguments);
    };
    let (public, out) = (public_der.to_str().unwrap(), certificate.to_str().unwrap());
    openssl(&[
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
        "-subj", "/CN=ca", "-days", "2",
    ]);
    openssl(&[
        "x509",
        "-new",
        "-force_pubkey",
        public,
        "-subj",
        "/CN=key",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-days",
        "2",
        "-out",
        "pem.crt",
    ]);
    openssl(&["x509", "-in", "pem.crt", "-outform", "DER", "-out", out]);
}
