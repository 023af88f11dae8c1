//! `ocisign blob verify`: files that are no images, by bundles that the real
//! cosign made (`tests/data/make-blob-vectors.sh`), without a log.
//!
//! Certificates, logs and timestamps are in `vectors`, case by case of the
//! Sigstore project's conformance suite.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod certificate;
#[path = "../common/mod.rs"]
mod common;

use common::run::{Ran, Sandbox, copy_folder, source};
use sha2::{Digest as _, Sha256};

const KINDS: [&str; 5] = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"];

/// A sandbox with the vectors.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    copy_folder(&source("tests/data/blob"), &s.path("."));
    s
}

fn verify(s: &Sandbox, key: &str, bundle: &str, artifact: &str) -> Ran {
    s.ocisign(&format!("blob verify --key {key}.pub --bundle {bundle}.sigstore.json {artifact}"))
}

fn digest(s: &Sandbox) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(s.read("artifact"))))
}

#[test]
fn what_cosign_signed_with_a_key_holds() {
    let s = sandbox();
    for kind in KINDS {
        let ran = verify(&s, kind, kind, "artifact").exits(0);
        ran.says(&digest(&s)).says("log     not asked");
    }
    verify(&s, "ecdsa-p256", "attestation", "artifact").exits(0);
}

#[test]
fn a_digest_is_enough_where_a_sha_256_was_signed() {
    let s = sandbox();
    let digest = digest(&s);
    for kind in ["ecdsa-p256", "rsa-2048"] {
        verify(&s, kind, kind, &digest).exits(0).says(&digest);
    }
    verify(&s, "ecdsa-p256", "attestation", &digest).exits(0);
    for kind in ["ecdsa-p384", "ecdsa-p521", "ed25519"] {
        verify(&s, kind, kind, &digest).exits(2).says("give the file");
    }
    let other = format!("sha256:{}", "0".repeat(64));
    for bundle in ["ecdsa-p256", "attestation"] {
        verify(&s, "ecdsa-p256", bundle, &other).exits(1).says("about something else");
    }
}

#[test]
fn another_key_or_another_file_is_refused() {
    let s = sandbox();
    for kind in KINDS {
        let other = if kind == "ecdsa-p256" { "ecdsa-p384" } else { "ecdsa-p256" };
        verify(&s, other, kind, "artifact").exits(1);
        s.write("changed", "another artifact\n");
        verify(&s, kind, kind, "changed").exits(1);
    }
    verify(&s, "ecdsa-p384", "attestation", "artifact").exits(1).says("another key");
    verify(&s, "ecdsa-p256", "attestation", "changed").exits(1).says("about something else");
}

#[test]
fn a_changed_byte_of_the_bundle_is_refused() {
    let s = sandbox();
    for bundle in ["ecdsa-p256", "attestation"] {
        let good = s.read(format!("{bundle}.sigstore.json"));
        for field in ["\"sig\":\"", "\"signature\":\"", "\"payload\":\"", "\"digest\":\""] {
            let found = good.windows(field.len()).position(|window| window == field.as_bytes());
            let Some(at) = found else { continue };
            let mut bytes = good.clone();
            let byte = &mut bytes[at + field.len() + 9];
            *byte = if *byte == b'A' { b'B' } else { b'A' };
            s.write("changed.sigstore.json", bytes);
            verify(&s, "ecdsa-p256", "changed", "artifact").exits(1);
        }
        s.write("cut.sigstore.json", &good[..good.len() - 2]);
        verify(&s, "ecdsa-p256", "cut", "artifact").exits(1).says("malformed");
    }
}

/// With a root the signature must be in one of its logs.
#[test]
fn a_root_asks_for_a_log_entry() {
    let s = sandbox();
    let root = source("policies/roots/sigstore-public.json");
    for bundle in ["ecdsa-p256", "attestation"] {
        let key = "--key ecdsa-p256.pub --bundle";
        let line = format!("{key} {bundle}.sigstore.json --trusted-root {}", root.display());
        s.ocisign(&format!("blob verify {line} artifact")).exits(1).says("inclusion proof");
    }
    // nor does a key stand in for a certificate
    let who = "--certificate-identity me@example.test --certificate-oidc-issuer https://x.example";
    let line = format!("blob verify {who} --bundle ecdsa-p256.sigstore.json artifact");
    s.ocisign(&line).exits(1);
}

#[test]
fn what_cannot_be_read_is_undecided() {
    let s = sandbox();
    verify(&s, "ecdsa-p256", "ecdsa-p256", "absent").exits(2).says("no file");
    verify(&s, "ecdsa-p256", "absent", "artifact").exits(2).says("absent.sigstore.json");
    verify(&s, "absent", "ecdsa-p256", "artifact").exits(2);
    let who = "--certificate-identity me --certificate-oidc-issuer https://x.example";
    let line = format!("blob verify {who} --bundle ecdsa-p256.sigstore.json");
    s.write("root.json", "{}");
    s.ocisign(&format!("{line} --trusted-root root.json artifact")).exits(2).says("trusted root");
    s.write("root.json", vec![b' '; 2 << 20]);
    s.ocisign(&format!("{line} --trusted-root root.json artifact")).exits(2).says("larger");
    s.ocisign("blob verify --bundle ecdsa-p256.sigstore.json artifact").exits(2);
    s.write("large.sigstore.json", vec![b' '; 32 << 20]);
    verify(&s, "ecdsa-p256", "large", "artifact").exits(2).says("larger");
}

#[test]
fn json_says_who_and_when() {
    let s = sandbox();
    let line =
        "blob verify --output json --key ed25519.pub --bundle ed25519.sigstore.json artifact";
    let json = s.ocisign(line).exits(0).json();
    assert_eq!(json["version"], "blob/1");
    assert_eq!(json["digest"], digest(&s));
    assert_eq!(json["logged"], false);
    assert!(json["signer"]["key"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn what_is_signed_verifies_and_nothing_is_overwritten() {
    let s = Sandbox::new();
    s.write("app.tar", vec![7; 3 << 20]);
    for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072"] {
        s.key(&format!("{kind}/key.pem"), "me.key");
        s.key(&format!("{kind}/key.pub"), "me.pub");
        let bundle = format!("{kind}.json");
        s.ocisign(&format!("blob sign --key me.key --bundle {bundle} app.tar")).exits(0);
        let verify = format!("blob verify --key me.pub --bundle {bundle} app.tar");
        s.ocisign(&verify).exits(0);
    }
    let signed = s.ocisign("blob sign --key me.key app.tar").exits(0);
    signed.says("app.tar.sigstore.json");
    s.ocisign("blob sign --key me.key app.tar").exits(2).says("exists already");
    s.ocisign("blob verify --key me.pub --bundle app.tar.sigstore.json app.tar").exits(0);
    s.ocisign("blob sign --key me.key absent").exits(2).says("absent");
    assert!(!s.path("absent.sigstore.json").exists());
}

/// A file streams, but for Ed25519, which signs the file itself.
#[test]
fn a_file_may_be_larger_than_memory() {
    let s = Sandbox::new();
    let most = ocisign::Limits::default().blob_bytes;
    std::fs::File::create(s.path("large")).unwrap().set_len(most + 1).unwrap(); // sparse
    for (kind, code) in [("ecdsa-p256", 0), ("ed25519", 2)] {
        s.key(&format!("{kind}/key.pem"), "me.key");
        s.key(&format!("{kind}/key.pub"), "me.pub");
        let ran = s.ocisign(&format!("blob sign --key me.key --bundle {kind}.json large"));
        let ran = ran.exits(code);
        if code == 0 {
            s.ocisign(&format!("blob verify --key me.pub --bundle {kind}.json large")).exits(0);
        } else {
            ran.says("larger than");
        }
    }
    // nor is what somebody else signed with Ed25519 held beyond the limit
    let bundle = source("tests/data/blob/ed25519.sigstore.json");
    let key = source("tests/data/blob/ed25519.pub");
    let line = format!("--key {} --bundle {}", key.display(), bundle.display());
    s.ocisign(&format!("blob verify {line} large")).exits(2).says("fits into memory");
}
