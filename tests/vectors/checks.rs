//! The numbered checks of a Sigstore verifier (client specification, section
//! 4) that the conformance suite has no case for: a good bundle of the suite
//! with one thing changed, and what the refusal says.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::conformance::{IDENTITY, ISSUER};

/// `FOLDER`'s bundle after `change`: the exit code, and what was said.
fn verify(
    suite: &Path,
    folder: &str,
    by: &[&str],
    change: fn(&mut Value),
) -> (Option<i32>, String) {
    let case = suite.join("bundle-verify").join(folder);
    let text = std::fs::read(case.join("bundle.sigstore.json")).unwrap();
    let mut bundle: Value = serde_json::from_slice(&text).unwrap();
    change(&mut bundle);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.json");
    std::fs::write(&path, bundle.to_string()).unwrap();
    let own = case.join("trusted_root.json");
    let root = if own.exists() { own } else { suite.join("trusted_root.public.json") };
    let own = case.join("artifact");
    let artifact = if own.exists() { own } else { suite.join("bundle-verify/a.txt") };
    let output = Command::new(env!("CARGO_BIN_EXE_ocisign"))
        .args(["blob", "verify", "--bundle"])
        .arg(&path)
        .arg("--trusted-root")
        .arg(root)
        .args(by)
        .arg(artifact)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

fn repeat(list: &mut Value, times: usize) {
    let one = list[0].clone();
    *list = Value::Array(vec![one; times]);
}

/// Number of the check, the change, and what is said of it.
type Case = (u8, fn(&mut Value), &'static str);

const CASES: &[Case] = &[
    (1, |b| b["verificationMaterial"]["more"] = json!(1), "unknown field"),
    (2, |b| b["mediaType"] = json!("application/json"), "media type"),
    (2, |b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json"), "media type"),
    (3, |b| b["verificationMaterial"]["publicKey"] = json!({"hint": "x"}), "exactly one of"),
    (3, |b| drop(b["verificationMaterial"]["certificate"].take()), "exactly one of"),
    (3, |b| b["dsseEnvelope"] = envelope(), "exactly one of"),
    (3, |b| drop(b["messageSignature"].take()), "exactly one of"),
    (3, chain, "with a chain"),
    (4, |b| b["verificationMaterial"]["tlogEntries"] = json!([]), "inclusion proof"),
    (4, |b| drop(entry(b)["inclusionProof"].take()), "inclusion proof"),
    (5, |b| repeat(&mut b["verificationMaterial"]["tlogEntries"], 2), "comes twice"),
    (5, |b| repeat(&mut b["verificationMaterial"]["tlogEntries"], 33), "limit exceeded"),
    (6, |b| entry(b)["logIndex"] = json!("-1"), "negative"),
    // an entry of Rekor v2 has one index, its place in that tree
    (6, |b| entry(b)["kindVersion"]["version"] = json!("0.0.2"), "out of range for tree size"),
    (6, |b| entry(b)["kindVersion"]["version"] = json!("9.9.9"), "unsupported Rekor entry format"),
    (6, |b| entry(b)["kindVersion"]["kind"] = json!("other"), "unsupported Rekor entry format"),
    (8, |b| entry(b)["logId"]["keyId"] = digest(), "not proven"),
    (9, |b| entry(b)["integratedTime"] = json!("1710869187"), "SET verification failed"),
    (17, |b| drop(entry(b)["inclusionPromise"].take()), "no verified timestamp"),
    (
        22,
        |b| b["messageSignature"]["signature"] = json!("MEUCIQ=="),
        "the signature does not verify",
    ),
    (23, |b| b["messageSignature"]["messageDigest"]["digest"] = digest(), "something else"),
];

fn envelope() -> Value {
    json!({"payload": "e30=", "payloadType": "application/vnd.in-toto+json",
           "signatures": [{"sig": "AAAA"}]})
}

fn digest() -> Value {
    json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
}

fn chain(bundle: &mut Value) {
    let leaf = bundle["verificationMaterial"]["certificate"].take();
    bundle["verificationMaterial"].as_object_mut().unwrap().remove("certificate");
    bundle["verificationMaterial"]["x509CertificateChain"] = json!({"certificates": [leaf]});
}

const BY: [&str; 4] = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER];

#[test]
fn one_thing_changed_is_refused_for_that_thing() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let good = "happy-path-v0.3-new-mediaType";
    assert_eq!(verify(&suite, good, &BY, |_| ()).0, Some(0));
    for (at, (number, change, says)) in CASES.iter().enumerate() {
        let (code, said) = verify(&suite, good, &BY, *change);
        assert_eq!(code, Some(1), "check {number}, case {at}: {said}");
        assert!(said.contains(says), "check {number}, case {at}: {said}");
    }
}

#[test]
fn an_envelope_has_one_signature_over_a_statement() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let good = "rekor2-dsse-happy-path";
    let cases: [Case; 3] = [
        (7, |b| repeat(&mut b["dsseEnvelope"]["signatures"], 2), "exactly one signature"),
        (7, |b| b["dsseEnvelope"]["signatures"] = json!([]), "exactly one signature"),
        (24, |b| b["dsseEnvelope"]["payloadType"] = json!("application/json"), "payload type"),
    ];
    assert_eq!(verify(&suite, good, &BY, |_| ()).0, Some(0));
    for (number, change, says) in cases {
        let (code, said) = verify(&suite, good, &BY, change);
        assert_eq!(code, Some(1), "check {number}: {said}");
        assert!(said.contains(says), "check {number}: {said}");
    }
}

/// Check 26: a key never stands in for a certificate, nor the reverse.
#[test]
fn keys_and_certificates_are_two_things() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let managed = suite.join("bundle-verify/managed-key-happy-path");
    let key = managed.join("key.pub");
    let by_key = ["--key", key.to_str().unwrap()];
    assert_eq!(verify(&suite, "managed-key-happy-path", &by_key, |_| ()).0, Some(0));
    assert_eq!(verify(&suite, "managed-key-happy-path", &BY, |_| ()).0, Some(1));
    let keyless = "happy-path-v0.3-new-mediaType";
    assert_eq!(verify(&suite, keyless, &by_key, |_| ()).0, Some(1));
}
