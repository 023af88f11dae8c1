//! `ocisign inspect`: what something is, with nothing of it verified.

use super::common::run::Sandbox;
use super::{demo, files};

#[test]
fn a_signed_image_is_described_by_name_and_by_path() {
    let s = demo();
    for image in ["oci:demo:v1", "demo"] {
        s.ocisign(&format!("inspect {image}"))
            .exits(0)
            .says("OCI image")
            .says("covers   every byte")
            .says("├─ manifest")
            .says("└─ manifest")
            .says("(nothing below is verified)")
            .says("name    demo.example/app:v1")
            .lacks("to do");
    }
}

#[test]
fn what_nobody_signed_says_how_to_sign_it() {
    let s = Sandbox::with_layouts(&["unsigned", "docker"]);
    let said = "nobody signed it: `ocisign sign --key KEY oci:unsigned`";
    s.ocisign("inspect unsigned").exits(0).says("none").says(said);
    s.ocisign("inspect oci:docker").exits(0).says("Docker v2, schema 2");
}

#[test]
fn json_has_the_same() {
    let s = demo();
    let json = s.ocisign("inspect --depth layers --output json demo").exits(0).json();
    assert_eq!(json["version"], "inspect/1");
    let found = &json["inspection"];
    assert_eq!(found["generation"], "oci");
    assert_eq!(found["addressed"], "whole");
    assert_eq!(found["signatures"][0]["unverified"]["format"], "sigstore");
    let nodes = found["tree"]["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["state"]["state"] == "verified"), "{json:#}");
}

#[test]
fn the_kind_of_a_file_is_found_out() {
    let s = demo();
    s.ocisign("copy oci:demo:v1 oci-archive:demo.tar:v1").exits(0);
    s.ocisign("inspect demo.tar").exits(0).says("oci-archive:demo.tar").says("OCI image");
    s.write("noise", "no archive");
    s.ocisign("inspect noise").exits(2).says("no archive that ocisign knows");
    s.ocisign("inspect ./absent").exits(2);
}

#[test]
fn a_broken_image_is_shown_with_what_to_do() {
    let s = demo();
    let layer = files(&s.path("demo/blobs"))
        .into_iter()
        .find(|(_, bytes)| bytes.starts_with(&[0x1f, 0x8b]))
        .unwrap();
    std::fs::write(&layer.0, b"other").unwrap();
    s.ocisign("inspect --depth layers demo")
        .exits(0)
        .says("size mismatch")
        .says("get the image again from its source");
}
