//! What policies make of schema 1: a JWS is a frame, and evidence only for
//! the key that a policy pins; media types tell the formats apart.

use std::path::Path;

use jiff::Timestamp;
use ocisign::crypto::{Curve, PublicKey};
use ocisign::engine::{self, Ask, Image};
use ocisign::evidence::Format;
use ocisign::image::{Depth, media_type as mt};
use ocisign::store::Memory;
use ocisign::{Decision, Engine, Limits, Verdict};
use serde_json::{Value, json};

use super::{image, key, layer, sign, unsigned, vector};

fn pem(seed: u8) -> String {
    let point = key(seed).verifying_key().to_encoded_point(false);
    PublicKey::from_sec1(Curve::P256, point.as_bytes()).unwrap().to_pem()
}

/// A policy with one signer, who has the key of this seed.
fn engine(seed: u8, require: &Value) -> Engine {
    let policy = json!({
        "ocisign": "policy/1", "name": "test",
        "signers": {"docker": {"keys": [{"pem": pem(seed)}]}},
        "rules": [{"id": "all", "scope": ["**"], "require": require}],
    });
    let text = policy.to_string();
    Engine::from_text("p.json", text.as_bytes(), Path::new("."), &Limits::default()).unwrap()
}

fn signed() -> Value {
    json!([{"id": "signed", "signed": {"by": ["docker"], "reference": "none"}}])
}

fn check(engine: &Engine, image: &Image, depth: Depth) -> Verdict {
    let ask = Ask { depth, ..Ask::default() };
    let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
    engine::block_on(engine.check(image, &ask, now)).unwrap()
}

fn stored(bytes: &[u8], kind: &str) -> Image {
    let memory = Memory::new("memory");
    memory.put_blob(mt::DOCKER_SCHEMA_1_LAYER, layer("a"));
    memory.put_manifest(kind, bytes.to_vec(), Some("v1"));
    image(memory, "oci:dir:v1")
}

#[test]
fn a_jws_counts_for_the_key_that_a_policy_pins_and_for_no_other() {
    let payload = unsigned(&[&layer("a")]);
    let image = stored(&sign(&payload, &key(1)), mt::DOCKER_SCHEMA_1_SIGNED);
    let verdict = check(&engine(1, &signed()), &image, Depth::Layers);
    assert_eq!(verdict.decision, Decision::Allow, "{verdict:?}");
    let verdict = check(&engine(2, &signed()), &image, Depth::Layers);
    assert_eq!(verdict.decision, Decision::Deny);
    // without its signatures it is the same image, signed by nobody
    let image = stored(&payload, mt::DOCKER_SCHEMA_1);
    let verdict = check(&engine(1, &signed()), &image, Depth::Layers);
    assert_eq!(verdict.decision, Decision::Deny);
}

#[test]
fn no_name_is_signed_by_it() {
    let image = stored(&sign(&unsigned(&[&layer("a")]), &key(1)), mt::DOCKER_SCHEMA_1_SIGNED);
    for rule in ["exact", "repository", "exactOrDigest"] {
        let named = json!([{"id": "signed", "signed": {"by": ["docker"], "reference": rule}}]);
        let verdict = check(&engine(1, &named), &image, Depth::Layers);
        assert_eq!(verdict.decision, Decision::Deny, "{rule}");
    }
}

#[test]
fn a_signature_that_does_not_hold_denies_whatever_the_policy_asks() {
    let any = json!([{"id": "any", "image": {}}]);
    for name in ["forged-zeros", "forged-other-payload", "forged-alg-none"] {
        let image = stored(&vector(name), mt::DOCKER_SCHEMA_1_SIGNED);
        let verdict = check(&engine(1, &any), &image, Depth::Manifests);
        assert_eq!(verdict.decision, Decision::Deny, "{name}");
    }
}

#[test]
fn the_image_check_tells_schema_1_apart() {
    let payload = unsigned(&[&layer("a")]);
    let image = stored(&sign(&payload, &key(1)), mt::DOCKER_SCHEMA_1_SIGNED);
    let decide = |ask: Value, depth| {
        check(&engine(1, &json!([{"id": "image", "image": ask}])), &image, depth).decision
    };
    for (ask, depth, want) in [
        (json!({}), Depth::Layers, Decision::Allow),
        (json!({"manifestTypes": [mt::DOCKER_SCHEMA_1_SIGNED]}), Depth::Layers, Decision::Allow),
        (json!({"manifestTypes": [mt::DOCKER_SCHEMA_1]}), Depth::Layers, Decision::Deny),
        (
            json!({"manifestTypes": [mt::DOCKER_MANIFEST, mt::OCI_MANIFEST]}),
            Depth::Layers,
            Decision::Deny,
        ),
        (json!({"layerTypes": [mt::DOCKER_SCHEMA_1_LAYER]}), Depth::Layers, Decision::Allow),
        (json!({"layerTypes": [mt::DOCKER_LAYER_GZIP]}), Depth::Layers, Decision::Deny),
        (json!({"platforms": {"allow": ["linux/amd64"]}}), Depth::Layers, Decision::Allow),
        (json!({"platforms": {"allow": ["linux/arm64"]}}), Depth::Layers, Decision::Deny),
        // it has no config, so nothing that is asked of one holds
        (json!({"configTypes": [mt::DOCKER_CONFIG]}), Depth::Layers, Decision::Deny),
        // sizes count once they were measured
        (json!({"maxLayerBytes": 100_000}), Depth::Layers, Decision::Allow),
        (json!({"maxLayerBytes": 10}), Depth::Layers, Decision::Deny),
        (json!({"maxImageBytes": 100_000}), Depth::Layers, Decision::Allow),
        (json!({"maxLayerBytes": 100_000, "depth": "manifests"}), Depth::Manifests, Decision::Deny),
        (json!({"maxImageBytes": 100_000, "depth": "manifests"}), Depth::Manifests, Decision::Deny),
    ] {
        assert_eq!(decide(ask.clone(), depth), want, "{ask}");
    }
}

#[test]
fn signatures_lists_the_keys_unverified() {
    let payload = unsigned(&[&layer("a")]);
    let image = stored(&sign(&payload, &key(1)), mt::DOCKER_SCHEMA_1_SIGNED);
    let limits = Limits::default();
    let listing = engine::block_on(engine::signatures(&image, &limits)).unwrap();
    let says = listing.entries[0].unverified.as_ref().unwrap();
    assert_eq!(says.format, Format::Libtrust);
    assert_eq!(says.subjects[0].digests, [listing.digest.to_string()]);
    assert_eq!(says.hint.as_ref().unwrap().split(':').count(), 12);
    let image = stored(&payload, mt::DOCKER_SCHEMA_1);
    let listing = engine::block_on(engine::signatures(&image, &limits)).unwrap();
    assert!(listing.entries.is_empty());
}
