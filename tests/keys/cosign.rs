//! The real cosign reads our keys and signs with them, and we read its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use ocisign::crypto::{KeyFormat, Password, PrivateKey, Signer};

use super::common::peer;
use super::{GENERATED, PASSWORD, open, open_with, public, run};

/// Signing with no log, no timestamp and no network.
const OFFLINE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig":{},"tsaConfig":{}}"#;

fn cosign(program: &Path, folder: &Path, password: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("COSIGN_PASSWORD", password).env("HOME", folder);
    command
}

#[test]
fn cosign_reads_the_keys_that_we_write() {
    let Some(program) = peer("cosign") else { return };
    let folder = tempfile::tempdir().unwrap();
    for algorithm in GENERATED {
        let key = PrivateKey::generate(algorithm).unwrap();
        for password in [PASSWORD, ""] {
            let pem = key.to_pem(KeyFormat::Cosign, Some(&Password::new(password))).unwrap();
            fs::write(folder.path().join("our.key"), pem.as_bytes()).unwrap();
            let shown = run(
                &mut cosign(&program, folder.path(), password),
                ["public-key", "--key", "our.key"],
            );
            assert_eq!(&public(&shown), key.public_key(), "{algorithm}");
        }
    }
}

#[test]
fn without_a_password_cosigns_form_has_the_empty_one() {
    let Some(program) = peer("cosign") else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate(ocisign::crypto::KeyAlgorithm::EcdsaP256).unwrap();
    let pem = key.to_pem(KeyFormat::Cosign, None).unwrap();
    fs::write(folder.path().join("our.key"), pem.as_bytes()).unwrap();
    run(&mut cosign(&program, folder.path(), ""), ["public-key", "--key", "our.key"]);
}

#[test]
fn cosign_signs_a_blob_with_our_key_and_we_verify_it() {
    let Some(program) = peer("cosign") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("blob"), b"the message").unwrap();
    fs::write(folder.path().join("offline.json"), OFFLINE).unwrap();
    for algorithm in GENERATED {
        let key = PrivateKey::generate(algorithm).unwrap();
        let pem = key.to_pem(KeyFormat::Cosign, Some(&Password::new(PASSWORD))).unwrap();
        fs::write(folder.path().join("our.key"), pem.as_bytes()).unwrap();
        run(
            &mut cosign(&program, folder.path(), PASSWORD),
            [
                "sign-blob",
                "--yes",
                "--key",
                "our.key",
                "--signing-config",
                "offline.json",
                "--bundle",
                "bundle.json",
                "blob",
            ],
        );
        let signature = message_signature(&folder.path().join("bundle.json"));
        assert!(key.public_key().verify(b"the message", &signature).is_ok(), "{algorithm}");
    }
}

#[test]
fn cosign_verifies_a_blob_that_we_signed() {
    let Some(program) = peer("cosign") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("blob"), b"the message").unwrap();
    for algorithm in GENERATED {
        let key = PrivateKey::generate(algorithm).unwrap();
        fs::write(folder.path().join("our.pub"), key.public_key().to_pem()).unwrap();
        fs::write(folder.path().join("signature"), base64(&key.sign(b"the message").unwrap()))
            .unwrap();
        run(
            &mut cosign(&program, folder.path(), ""),
            [
                "verify-blob",
                "--key",
                "our.pub",
                "--signature",
                "signature",
                "--insecure-ignore-tlog",
                "--new-bundle-format=false",
                "blob",
            ],
        );
    }
}

#[test]
fn we_read_what_this_cosign_generates() {
    let Some(program) = peer("cosign") else { return };
    for password in [PASSWORD, ""] {
        let folder = tempfile::tempdir().unwrap();
        run(&mut cosign(&program, folder.path(), password), ["generate-key-pair"]);
        let at = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let key = open_with(&at("cosign.key"), password).unwrap();
        assert_eq!(key.public_key(), &public(&at("cosign.pub")));
    }
}

#[test]
fn cosign_imports_the_pkcs8_that_we_write() {
    let Some(program) = peer("cosign") else { return };
    for algorithm in GENERATED {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate(algorithm).unwrap();
        let pem = key.to_pem(KeyFormat::Pkcs8, None).unwrap();
        fs::write(folder.path().join("our.pem"), pem.as_bytes()).unwrap();
        run(
            &mut cosign(&program, folder.path(), PASSWORD),
            ["import-key-pair", "--key", "our.pem", "--output-key-prefix", "imported"],
        );
        let imported = fs::read(folder.path().join("imported.key")).unwrap();
        assert_eq!(open(&imported).unwrap().public_key(), key.public_key(), "{algorithm}");
    }
}

fn message_signature(bundle: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let bundle: serde_json::Value = serde_json::from_slice(&fs::read(bundle).unwrap()).unwrap();
    let text = bundle["messageSignature"]["signature"].as_str().unwrap();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
