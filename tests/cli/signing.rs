//! `sign`, `attach`, `signatures` and `copy` on layouts: what is written, and
//! what is not.

use super::{demo, files};

#[test]
fn signing_twice_adds_nothing() {
    let s = demo();
    for format in ["sigstore", "cosign"] {
        let sign = format!("sign --key other.key -a env=prod --format {format} oci:demo:v1");
        s.ocisign(&sign).exits(0).says("signed sha256:");
        let before = files(&s.path("demo"));
        s.ocisign(&sign).exits(0).says("is signed so already");
        assert_eq!(files(&s.path("demo")), before);
        let differently = sign.replace("env=prod", "env=dev");
        s.ocisign(&differently).exits(0).says("signed sha256:");
        assert_ne!(files(&s.path("demo")), before);
    }
}

#[test]
fn a_dry_run_shows_the_payload_and_writes_nothing() {
    let s = demo();
    let before = files(&s.path(""));
    for (format, part) in
        [("sigstore", "\"predicateType\""), ("cosign", "\"docker-manifest-digest\"")]
    {
        let sign = format!("sign --key other.key -a env=prod --format {format} --dry-run");
        let named = s.ocisign(&format!("{sign} --as registry.example/app:v1 oci:demo:v1"));
        named.exits(0).says("would sign sha256:").says(part).says("registry.example/app:v1");
        let all = s.ocisign(&format!("{sign} --recursive oci:demo:v1")).exits(0);
        assert_eq!(all.stdout.matches("would sign sha256:").count(), 3, "{all}");
    }
    assert_eq!(files(&s.path("")), before);
}

#[test]
fn a_bundle_goes_to_a_file_and_from_there_to_its_image() {
    let s = demo();
    let before = files(&s.path("demo"));
    s.ocisign("sign --key other.key -a env=prod --output-bundle b.json oci:demo:v1").exits(0);
    assert_eq!(files(&s.path("demo")), before);
    s.ocisign("verify --key other.pub oci:demo:v1").exits(1);
    s.ocisign("attach --bundle b.json oci:demo:v1").exits(0);
    s.ocisign("verify --key other.pub -a env=prod oci:demo:v1").exits(0);

    let bundle = s.read("b.json");
    s.ocisign("sign --key other.key --output-bundle b.json oci:demo:v1").exits(2);
    assert_eq!(s.read("b.json"), bundle, "an existing file is kept");
}

#[test]
fn recursive_signs_every_manifest_once() {
    let s = demo();
    let ran = s.ocisign("sign --key other.key --recursive oci:demo:v1").exits(0);
    assert_eq!(ran.stdout.matches("signed sha256:").count(), 3, "{ran}");
    let again = s.ocisign("sign --key other.key --recursive oci:demo:v1").exits(0);
    assert_eq!(again.stdout.matches("is signed so already").count(), 3, "{again}");
}

#[test]
fn the_signed_name_is_the_one_that_was_given() {
    let s = demo();
    let name = "--as registry.example/team/app:v1";
    s.ocisign(&format!("sign --key other.key {name} oci:demo:v1")).exits(0);
    for (reference, asked, code) in [
        ("exact", "registry.example/team/app:v1", 0),
        ("exact", "registry.example/team/app:v2", 1),
        ("repository", "registry.example/team/app:v2", 0),
        ("repository", "registry.example/team/other:v1", 1),
        ("none", "registry.example/team/other:v1", 0),
    ] {
        let verify = format!("verify --key other.pub --reference {reference} --as {asked}");
        s.ocisign(&format!("{verify} oci:demo:v1")).exits(code);
    }
}

/// `registry.example/app` alone is the image's own tag there, not `latest`.
#[test]
fn a_name_without_a_tag_takes_the_images() {
    let s = demo();
    let sign = "sign --key other.key --dry-run --as registry.example/app";
    s.ocisign(&format!("{sign} oci:demo:v1")).exits(0).says("\"registry.example/app:v1\"");
    s.ocisign(&format!("{sign}:v7 oci:demo:v1")).exits(0).says("\"registry.example/app:v7\"");
    s.ocisign(&format!("{sign} oci:demo")).exits(0).says("\"registry.example/app\"");
}

#[test]
fn signatures_says_that_nothing_is_verified() {
    let s = demo();
    s.ocisign("sign --key other.key -a env=prod oci:demo:v1").exits(0);
    let text = s.ocisign("signatures oci:demo:v1").exits(0);
    text.says("nothing below is verified").says("env=prod").lacks("allow");
    let json = s.ocisign("signatures --output json oci:demo:v1").exits(0).json();
    assert_eq!(json["version"], "signatures/1");
    let entries = json["listing"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{json}");
    for entry in entries {
        assert!(entry["item"].is_string() && entry["unverified"].is_object(), "{json}");
        assert!(entry.get("verified").is_none(), "{json}");
    }
    s.ocisign("copy --no-referrers oci:demo:v1 oci:bare:v1").exits(0);
    s.ocisign("signatures oci:bare:v1").exits(0).says("nothing is attached");
}

#[test]
fn copy_takes_the_signatures_along_or_leaves_them() {
    let s = demo();
    s.ocisign("sign --key other.key --format cosign oci:demo:v1").exits(0);
    for (options, destination, code) in [
        ("", "oci:one:v1", 0),
        ("", "oci-archive:two.tar:v1", 0),
        ("--no-referrers", "oci:three:v1", 1),
    ] {
        s.ocisign(&format!("copy {options} oci:demo:v1 {destination}")).exits(0);
        for key in ["me", "other"] {
            s.ocisign(&format!("verify --key {key}.pub {destination}")).exits(code);
        }
    }
    // a second copy finds everything there
    let again = s.ocisign("copy oci:demo:v1 oci:one:v1").exits(0);
    again.says("0 blobs, 0 bytes");
}
