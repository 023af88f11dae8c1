//! The signature extension of a registry (OpenShift's), that lies.

use base64::Engine as _;

use super::common::registry::Lie;
use super::common::run::Ran;
use super::lookaside::{Signed, image};

const OFFERED: &str = "x-registry-supports-signatures";

/// What the registry answers for the list of signatures of the demo image.
fn lists(signed: &Signed, status: u16, body: &[u8]) {
    let digest = &signed.scene.root.digest;
    let pattern = format!("GET /extensions/v2/{}/signatures/{digest}", super::REPOSITORY);
    let json = vec![("content-type", "application/json".to_owned())];
    signed.scene.registry.lie(&pattern, Lie::StatusWith(status, json));
    signed.scene.registry.lie(&pattern, Lie::Body(body.to_vec()));
}

fn offers(signed: &Signed) {
    signed.scene.registry.lie("GET /v2/", Lie::Header(OFFERED, "1".to_owned()));
}

/// A list as `getExtensionsSignatures` of containers/image reads it.
fn list(entries: &[(u64, &str, &[u8])]) -> Vec<u8> {
    let entry = |(version, kind, content): &(u64, &str, &[u8])| {
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        serde_json::json!({"schemaVersion": version, "type": kind, "name": "x@y", "content": content})
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    serde_json::json!({ "signatures": entries }).to_string().into_bytes()
}

fn verify(signed: &Signed) -> Ran {
    let command = format!("verify --keyring nist.pub.asc {}", image(&signed.scene));
    signed.sandbox.ocisign(&command)
}

#[test]
fn a_good_signature_counts_and_only_where_the_registry_offers_it() {
    let signed = Signed::new();
    lists(&signed, 200, &list(&[(2, "atomic", &signed.signature)]));
    verify(&signed).exits(1);
    assert_eq!(signed.scene.registry.count("GET /extensions/*"), 0);
    offers(&signed);
    verify(&signed).exits(0);
}

#[test]
fn junk_hides_nothing_and_another_kind_is_none() {
    let signed = Signed::new();
    offers(&signed);
    lists(&signed, 200, &list(&[(2, "atomic", b"junk"), (2, "atomic", &signed.signature)]));
    verify(&signed).exits(0);
    for (version, kind) in [(1, "atomic"), (2, "other")] {
        let signed = Signed::new();
        offers(&signed);
        lists(&signed, 200, &list(&[(version, kind, &signed.signature)]));
        verify(&signed).exits(1);
    }
}

#[test]
fn what_cannot_be_had_is_undecided() {
    let many = vec![(2, "atomic", b"junk".as_slice()); 1000];
    let cases: [(u16, Vec<u8>, i32, &str); 5] = [
        (404, Vec::new(), 1, "no signature"),
        (403, Vec::new(), 2, "is forbidden"),
        (200, b"{".to_vec(), 2, "no strict JSON"),
        (200, br#"{"signatures":[{"schemaVersion":2}]}"#.to_vec(), 2, "no list of signatures"),
        (200, list(&many), 2, "more than"),
    ];
    for (status, body, code, says) in cases {
        let signed = Signed::new();
        offers(&signed);
        lists(&signed, status, &body);
        verify(&signed).exits(code).says(says);
    }
    for (status, code) in [(403, 2), (500, 2), (404, 1)] {
        let signed = Signed::new();
        signed.scene.registry.lie("GET /v2/", Lie::Status(status));
        verify(&signed).exits(code);
    }
}

#[test]
fn a_broken_configuration_of_lookasides_hides_no_signature() {
    let signed = Signed::new();
    let folder = signed.sandbox.path(".config/containers/registries.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.yaml"), "docker: [").unwrap();
    verify(&signed).exits(2).says("a.yaml");
    offers(&signed);
    lists(&signed, 200, &list(&[(2, "atomic", &signed.signature)]));
    verify(&signed).exits(0);
}
