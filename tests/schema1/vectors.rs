//! The files of `tests/data/schema1`: frames, contents, digests, signatures.

use std::collections::BTreeMap;

use ocisign::envelope::libtrust;
use ocisign::evidence::Reason;
use ocisign::image::schema1::{Frame, payload};
use ocisign::image::{
    Algorithm, Digest, Document, DocumentError, Schema1, manifest_digest, media_type as mt,
};
use ocisign::limits::Limits;

use super::vector;

/// The bytes as whoever pulls them sees them: digest and contents.
fn read(kind: &str, bytes: &[u8]) -> Result<(Digest, Schema1), DocumentError> {
    let limits = Limits::default();
    let payload = payload(Some(kind), bytes, &limits)?;
    match Document::parse(&payload, Some(kind), &limits)? {
        Document::Schema1(read, _) => Ok((Digest::sha256(&payload), read)),
        other => panic!("{other:?}"),
    }
}

fn word(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::Ambiguous(_) => "ambiguous",
        DocumentError::Malformed(_) => "malformed",
        DocumentError::Limit(_) => "limit",
    }
}

fn names() -> Vec<String> {
    let folder = format!("{}/tests/data/schema1", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name());
    let names = files.map(|name| name.into_string().unwrap().replace(".json", ""));
    let mut names: Vec<_> = names.filter(|name| name != "digests").collect();
    names.sort();
    names
}

#[test]
fn every_vector_has_the_outcome_that_its_name_states() {
    let digests: BTreeMap<String, Digest> = serde_json::from_slice(&vector("digests")).unwrap();
    let names = names();
    assert!(names.len() > 80, "the vectors must be found");
    for name in &names {
        let (kind, outcome) = match name.strip_prefix("unsigned-") {
            Some(outcome) => (mt::DOCKER_SCHEMA_1, outcome),
            None => (mt::DOCKER_SCHEMA_1_SIGNED, name.as_str()),
        };
        let bytes = vector(name);
        match (outcome.split('-').next().unwrap(), read(kind, &bytes)) {
            ("good" | "forged", Ok((digest, manifest))) => {
                assert_eq!(digest, digests[name], "{name}");
                let named =
                    manifest_digest(Algorithm::Sha256, Some(kind), &bytes, &Limits::default());
                assert_eq!(named, digest, "{name}");
                assert_eq!(manifest.platform.to_string(), "linux/amd64", "{name}");
                assert_eq!(manifest.layers.len(), 3, "{name}");
            }
            (expected, Err(error)) => assert_eq!(word(&error), expected, "{name}: {error}"),
            (expected, Ok(_)) => panic!("{name}: read instead of {expected}"),
        }
    }
}

#[test]
fn signatures_hold_or_the_manifest_breaks_its_format() {
    for name in names().iter().filter(|n| n.starts_with("good") || n.starts_with("forged")) {
        match (name.starts_with("good"), libtrust::check(&vector(name), &Limits::default())) {
            (true, Ok(keys)) => {
                let most = if name == "good-two-signatures" { 2 } else { 1 };
                assert_eq!(keys.len(), most, "{name}");
                // twelve groups of four, as libtrust writes its key ids
                assert!(keys.iter().all(|k| k.len() == 59 && k.split(':').count() == 12), "{name}");
            }
            (false, Err(Reason::BadSignature | Reason::Malformed(_))) => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
    }
    // the key id in the manifest is the one that openssl and python made
    let name = "good-es256";
    let frame = Frame::parse(&vector(name), &Limits::default()).unwrap();
    let told = frame.signatures[0].header.jwk.as_ref().unwrap().kid.clone().unwrap();
    assert_eq!(libtrust::check(&vector(name), &Limits::default()).unwrap(), [told]);
}

#[test]
fn layers_stand_the_base_first_as_in_later_formats() {
    let (_, manifest) = read(mt::DOCKER_SCHEMA_1, &vector("unsigned-good")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&vector("unsigned-good")).unwrap();
    let stated = json["fsLayers"].as_array().unwrap().iter().rev();
    let stated: Vec<_> = stated.map(|l| l["blobSum"].as_str().unwrap().to_owned()).collect();
    let read: Vec<_> = manifest.layers.iter().map(|l| l.digest.to_string()).collect();
    assert_eq!(read, stated);
}

/// Both forms of one manifest have one name; no signature is part of it.
#[test]
fn the_signed_and_the_unsigned_form_share_a_digest() {
    let digest = |kind, name: &str| {
        manifest_digest(Algorithm::Sha256, Some(kind), &vector(name), &Limits::default())
    };
    let unsigned = digest(mt::DOCKER_SCHEMA_1, "unsigned-good");
    for name in ["good-es256", "good-rs512", "good-two-signatures"] {
        for kind in [mt::DOCKER_SCHEMA_1_SIGNED, mt::DOCKER_SCHEMA_1, "application/json", ""] {
            assert_eq!(digest(kind, name), unsigned, "{name} as {kind}");
        }
        // under the type of another format the same bytes are another thing
        for kind in [mt::DOCKER_MANIFEST, mt::OCI_MANIFEST] {
            assert_eq!(digest(kind, name), Digest::sha256(&vector(name)));
        }
    }
}
