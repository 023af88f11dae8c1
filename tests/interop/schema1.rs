//! Docker's schema 1 and 2 as skopeo writes them, in Debian's docker-registry
//! 2.8 with schema 1 switched on, which signs and checks them with libtrust.

use super::common::peers;
use super::common::run::Sandbox;
use super::real::{Real, Setup};

const PEERS: [&str; 3] = ["skopeo", "umoci", "docker-registry"];

/// A layout `img:v1` of two layers and a change of the config, all of them in
/// its history, without which skopeo writes no schema 1.
fn layout(s: &Sandbox) {
    s.write("pol.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    s.peer("umoci", "init --layout img").exits(0);
    s.peer("umoci", "new --image img:v1").exits(0);
    s.peer("umoci", "unpack --rootless --image img:v1 bundle").exits(0);
    for name in ["one", "two"] {
        s.write(&format!("bundle/rootfs/{name}"), name);
        s.peer("umoci", "repack --refresh-bundle --image img:v1 bundle").exits(0);
    }
    s.peer("umoci", "config --image img:v1 --config.cmd /one").exits(0);
}

fn start() -> Option<(Real, Sandbox)> {
    if !peers(&PEERS) {
        return None;
    }
    let setup = Setup { schema1: true, ..Setup::default() };
    let (real, s) = (Real::start_with("docker-registry", setup)?, super::sandbox());
    layout(&s);
    Some((real, s))
}

/// Copies the layout to the registry in a format; gives the image's name.
fn push(s: &Sandbox, real: &Real, format: &str) -> String {
    let image = format!("{}/app:{format}", real.host);
    let copy = "--policy pol.json copy -q --dest-tls-verify=false";
    s.peer("skopeo", &format!("{copy} --format {format} oci:img:v1 docker://{image}")).exits(0);
    image
}

/// The manifest as it is stored, and the digest that skopeo computes for it.
fn by_skopeo(s: &Sandbox, image: &str) -> (String, String) {
    let raw = s.peer("skopeo", &format!("inspect --raw --tls-verify=false docker://{image}"));
    let raw = raw.exits(0).stdout;
    s.write("raw.json", &raw);
    let digest = s.peer("skopeo", "manifest-digest raw.json").exits(0).stdout;
    (raw, digest.trim().to_owned())
}

#[test]
fn every_format_of_docker_and_oci_in_one_registry() {
    let Some((real, s)) = start() else { return };
    for (format, kind) in [
        ("v2s1", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ("v2s2", "application/vnd.docker.distribution.manifest.v2+json"),
        ("oci", "application/vnd.oci.image.manifest.v1+json"),
    ] {
        let image = push(&s, &real, format);
        let (_, digest) = by_skopeo(&s, &image);
        let tree = format!("tree --depth contents --output json {image}");
        let tree = s.ocisign(&tree).exits(0).json();
        let root = &tree["tree"]["nodes"][0];
        assert_eq!((&root["digest"], &root["mediaType"]), (&digest.clone().into(), &kind.into()));
        let at = format!("{}/app@{digest}", real.host);
        for image in [&image, &at] {
            s.ocisign(&format!("verify --key me.pub {image}")).exits(1);
        }
        s.ocisign(&format!("sign --key me.key {image}")).exits(0).says(&digest);
        for image in [&image, &at] {
            s.ocisign(&format!("verify --key me.pub --depth contents {image}")).exits(0);
        }
        s.ocisign(&format!("verify --key other.pub {image}")).exits(1);
        s.ocisign(&format!("sign --key me.key --format cosign {image}")).exits(0).says(&digest);
        // one policy tells the three apart
        let policy = serde_json::json!({
            "ocisign": "policy/1", "name": "modern", "signers": {"me": {"keys": [{"file": "me.pub"}]}},
            "rules": [{"id": "all", "scope": ["**"], "require": [
                {"id": "signed", "signed": {"by": ["me"], "reference": "exact"}},
                {"id": "image", "image": {"manifestTypes": [
                    "application/vnd.docker.distribution.manifest.v2+json",
                    "application/vnd.oci.image.manifest.v1+json"]}}]}],
        });
        s.write("modern.json", policy.to_string());
        let modern = s.ocisign(&format!("verify --policy modern.json {image}"));
        modern.exits(i32::from(format == "v2s1"));
    }
}

#[test]
fn the_key_of_a_schema_1_is_shown_and_is_no_trust() {
    let Some((real, s)) = start() else { return };
    let image = push(&s, &real, "v2s1");
    let raw: serde_json::Value = serde_json::from_str(&by_skopeo(&s, &image).0).unwrap();
    let kid = raw["signatures"][0]["header"]["jwk"]["kid"].as_str().unwrap();
    // skopeo (or the registry) made the key up; the fingerprint is our own
    s.ocisign(&format!("tree {image}")).exits(0).says(&format!("signed by {kid}"));
    s.ocisign(&format!("signatures {image}")).exits(0).says("libtrust").says(kid);
    let verify = s.ocisign(&format!("verify --key me.pub --output json {image}"));
    verify.exits(1).says("libtrust").says("unknown-key");
}

#[test]
fn a_copy_between_registries_keeps_the_manifest_and_what_signs_it() {
    let Some((real, s)) = start() else { return };
    let image = push(&s, &real, "v2s1");
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    let before = by_skopeo(&s, &image);
    let setup = Setup { schema1: true, ..Setup::default() };
    let other = Real::start_with("docker-registry", setup).unwrap();
    let copied = format!("{}/mirror/app:v1", other.host);
    s.ocisign(&format!("copy {image} {copied}")).exits(0);
    // docker-registry keeps what is signed and signs it anew, each with a key
    // of its own, which is one more reason to take it for a frame
    let after = by_skopeo(&s, &copied);
    assert_eq!(after.1, before.1);
    let signed = |raw: &str| raw.split(",\"signatures\"").next().unwrap().to_owned();
    assert_eq!(signed(&after.0), signed(&before.0));
    s.ocisign(&format!("verify --key me.pub {copied}")).exits(0);
    // where schema 1 is not taken, it is not made anything else
    let modern = Real::start("docker-registry").unwrap();
    let refused = s.ocisign(&format!("copy {image} {}/app:v1", modern.host));
    refused.exits(2);
    s.ocisign(&format!("copy {image} oci:out:v1")).exits(2).says("copy it to a registry");
}

#[test]
fn a_registry_that_changes_a_byte_is_seen() {
    let Some((real, s)) = start() else { return };
    let image = push(&s, &real, "v2s1");
    let (raw, digest) = by_skopeo(&s, &image);
    let at = format!("{}/app@{digest}", real.host);
    s.ocisign(&format!("tree {at}")).exits(0);
    let json: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let layer = json["fsLayers"][1]["blobSum"].as_str().unwrap();
    let file = real.blob_file(layer);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[15] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    s.ocisign(&format!("tree {at}")).exits(1).says("mismatch");
    s.ocisign(&format!("sign --key me.key {at}")).exits(1).says("nothing was signed");
}

/// What cosign makes of the signatures that ocisign puts there: it resolves
/// the same digest and finds them.
#[test]
fn cosign_finds_what_ocisign_signed() {
    if !peers(&["cosign"]) {
        return;
    }
    let Some((real, s)) = start() else { return };
    let image = push(&s, &real, "v2s1");
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    s.ocisign(&format!("sign --key me.key --format cosign {image}")).exits(0);
    let digest = by_skopeo(&s, &image).1;
    let at = format!("{}/app@{digest}", real.host);
    s.peer("cosign", &format!("verify --insecure-ignore-tlog --key me.pub {at}")).exits(0);
    s.peer("cosign", &format!("verify --insecure-ignore-tlog --key other.pub {at}")).fails();
}
