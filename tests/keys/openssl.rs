//! The real openssl reads what is written here and verifies what is signed
//! here.

use std::fs;
use std::path::Path;
use std::process::Command;

use ocisign::crypto::{KeyFormat, Password, PrivateKey, Signer};

use super::common::peer;
use super::{GENERATED, PASSWORD, open, public, run};

#[test]
fn openssl_reads_the_keys_that_we_write() {
    let Some(openssl) = peer("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    for algorithm in GENERATED {
        let key = PrivateKey::generate(algorithm).unwrap();
        let file = folder.path().join("key.pem");
        for password in [None, Some(Password::new(PASSWORD)), Some(Password::new(""))] {
            let pem = key.to_pem(KeyFormat::Pkcs8, password.as_ref()).unwrap();
            fs::write(&file, pem.as_bytes()).unwrap();
            let given = password
                .map_or("unused".into(), |p| String::from_utf8(p.as_bytes().into()).unwrap());
            let shown = run(
                Command::new(&openssl).args([
                    "pkey",
                    "-pubout",
                    "-passin",
                    &format!("pass:{given}"),
                    "-in",
                ]),
                [&file],
            );
            assert_eq!(&public(&shown), key.public_key(), "{algorithm}");
        }
    }
}

#[test]
fn openssl_verifies_what_we_sign() {
    let Some(openssl) = peer("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("message"), b"the message").unwrap();
    for algorithm in GENERATED {
        let key = PrivateKey::generate(algorithm).unwrap();
        fs::write(at("key.pub"), key.public_key().to_pem()).unwrap();
        fs::write(at("signature"), key.sign(b"the message").unwrap()).unwrap();
        verify(
            &openssl,
            folder.path(),
            !matches!(algorithm, ocisign::crypto::KeyAlgorithm::Ed25519),
        );
    }
}

/// Ed25519 hashes by itself; everything else is hashed with SHA-256.
fn verify(openssl: &Path, folder: &Path, hashed: bool) {
    let mut command = Command::new(openssl);
    command.current_dir(folder).args(["pkeyutl", "-verify", "-rawin"]);
    if hashed {
        command.args(["-digest", "sha256"]);
    }
    run(&mut command, ["-pubin", "-inkey", "key.pub", "-in", "message", "-sigfile", "signature"]);
}

#[test]
fn we_read_what_this_openssl_writes() {
    let Some(openssl) = peer("openssl") else { return };
    let pass = format!("pass:{PASSWORD}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    for (algorithm, option) in [
        ("EC", Some("ec_paramgen_curve:P-256")),
        ("EC", Some("ec_paramgen_curve:P-384")),
        ("EC", Some("ec_paramgen_curve:P-521")),
        ("ED25519", None),
        ("RSA", Some("rsa_keygen_bits:2048")),
    ] {
        let mut make = Command::new(&openssl);
        make.args(["genpkey", "-algorithm", algorithm, "-out"]).arg(&file);
        make.args(option.iter().flat_map(|option| ["-pkeyopt", option]));
        run(&mut make, ["-aes-128-cbc", "-pass", &pass]);
        let key = open(&fs::read(&file).unwrap()).unwrap();
        for extra in [&["-scrypt"][..], &["-v2", "aes-192-cbc"], &["-v2prf", "hmacWithSHA1"]] {
            let again = run(
                Command::new(&openssl)
                    .args(["pkcs8", "-topk8", "-passin", &pass, "-passout", &pass])
                    .args(extra)
                    .arg("-in"),
                [&file],
            );
            assert_eq!(
                open(&again).unwrap().public_key(),
                key.public_key(),
                "{algorithm} {extra:?}"
            );
        }
    }
}
