//! An image in which a byte is wrong, missing or too many: no damage to the
//! image is allowed, and none to its signature counts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::common::run::Sandbox;
use super::demo;

/// A way to damage a file, with its name.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 5] = [
    ("flip", flip),
    ("flip the first byte", |file| change(file, |bytes| bytes[0] ^= 0x20)),
    ("cut", |file| change(file, |bytes| bytes.truncate(bytes.len() - 1))),
    ("cut all", |file| change(file, Vec::clear)),
    ("grow", |file| change(file, |bytes| bytes.push(b'\n'))),
];

#[test]
fn no_damage_to_the_image_is_allowed() {
    let blobs = tree(&demo().path("demo")).len();
    assert_eq!(blobs, 8, "an index, and per platform a manifest, a config and layers");
    for position in 0..blobs {
        for (name, damage) in DAMAGES {
            let s = demo();
            let blob = tree(&s.path("demo")).remove(position);
            damage(&blob);
            let what = format!("{name} {}", blob.display());
            eprintln!("{what}");
            s.ocisign("verify --key me.pub oci:demo:v1").exits(1).says("integrity").lacks("allow");
            s.ocisign("tree oci:demo:v1").exits(1);
        }
    }
}

#[test]
fn damage_to_the_image_is_neither_signed_nor_copied() {
    let blobs = tree(&demo().path("demo")).len();
    for position in 0..blobs {
        let s = demo();
        flip(&tree(&s.path("demo")).remove(position));
        s.ocisign("sign --key other.key oci:demo:v1").exits(1).says("nothing was signed");
        s.ocisign("copy oci:demo:v1 oci:copy:v1").exits(1).says("integrity");
        s.ocisign("verify --key me.pub oci:copy:v1").exits(2);
    }
}

/// A wrong signature is no signature: it is shown and does not count.
#[test]
fn no_damaged_signature_counts() {
    for part in [0, 1] {
        for (name, damage) in DAMAGES {
            let s = demo();
            let blob = signature(&s.path("demo"))[part].clone();
            damage(&blob);
            let verdict =
                s.ocisign("verify --key me.pub --output json oci:demo:v1").exits(1).json();
            assert_eq!(verdict["row"], "checks", "{name}: {verdict}");
            let rejections = verdict["rejections"].as_array().unwrap();
            assert_eq!(rejections.len(), 1, "{name}: {verdict}");
            let why = rejections[0]["reason"]["why"].as_str().unwrap();
            assert!(["corrupt", "malformed"].contains(&why), "{name}: {verdict}");
        }
    }
}

/// Nothing says that what is missing is wrong: it was not seen.
#[test]
fn a_missing_part_of_the_image_is_undecided() {
    let blobs = tree(&demo().path("demo")).len();
    for position in 1..blobs {
        let s = demo();
        fs::remove_file(tree(&s.path("demo")).remove(position)).unwrap();
        let verdict = s.ocisign("verify --key me.pub --output json oci:demo:v1").exits(2).json();
        assert_eq!(verdict["row"], "incomplete", "{verdict}");
        s.ocisign("tree oci:demo:v1").exits(2);
        s.ocisign("sign --key other.key oci:demo:v1").exits(2);
        s.ocisign("copy oci:demo:v1 oci:copy:v1").exits(2);
    }
}

/// A bundle that is gone is no signature. Of a manifest that is gone nobody
/// knows to which image it belonged.
#[test]
fn a_missing_signature_does_not_count() {
    for (part, code) in [(0, 2), (1, 1)] {
        let s = demo();
        fs::remove_file(&signature(&s.path("demo"))[part]).unwrap();
        s.ocisign("verify --key me.pub oci:demo:v1").exits(code).lacks("counts: ");
        s.ocisign("sign --key other.key oci:demo:v1").exits(0);
        s.ocisign("verify --key other.pub oci:demo:v1").exits(0);
    }
}

/// A good signature beside a damaged one, and beside junk, still counts.
#[test]
fn junk_does_not_hide_a_good_signature() {
    let s = demo();
    s.ocisign("sign --key me.key -a again=yes oci:demo:v1").exits(0);
    flip(&signature(&s.path("demo"))[1]);
    s.ocisign("verify --key me.pub oci:demo:v1").exits(0).says("candidates that prove nothing");
}

/// An intact image of other content under the same tag is another image.
#[test]
fn a_signature_does_not_follow_a_tag() {
    let s = Sandbox::with_layouts(&["demo"]);
    s.key("ecdsa-p256/key.pub", "me.pub");
    let layout = s.path("demo");
    let index = read_json(&layout.join("index.json"));
    let child = read_json(&blob(&layout, &index["manifests"][0]["digest"]))["manifests"][0].clone();
    let mut swapped = index.clone();
    swapped["manifests"][0]["digest"] = child["digest"].clone();
    swapped["manifests"][0]["size"] = child["size"].clone();
    swapped["manifests"][0]["mediaType"] = child["mediaType"].clone();
    fs::write(layout.join("index.json"), swapped.to_string()).unwrap();
    s.ocisign("verify --key me.pub oci:demo:v1").exits(1).says("deny: checks");
}

/// Changes one bit in the middle of a file.
pub(crate) fn flip(file: &Path) {
    change(file, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
}

/// A layer of the image in a layout.
pub(crate) fn layer(layout: &Path) -> PathBuf {
    tree(layout).pop().unwrap()
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// The files of the image tagged first, index first, without its signature.
fn tree(layout: &Path) -> Vec<PathBuf> {
    let top = read_json(&layout.join("index.json"));
    let index = blob(layout, &top["manifests"][0]["digest"]);
    let mut files = vec![index.clone()];
    for child in read_json(&index)["manifests"].as_array().unwrap() {
        let manifest = blob(layout, &child["digest"]);
        let parts = read_json(&manifest);
        files.push(manifest);
        files.push(blob(layout, &parts["config"]["digest"]));
        let layers = parts["layers"].as_array().unwrap().iter();
        files.extend(layers.map(|layer| blob(layout, &layer["digest"])));
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

/// The signature of the demo: its manifest and its bundle.
fn signature(layout: &Path) -> [PathBuf; 2] {
    let top = read_json(&layout.join("index.json"));
    let manifest = blob(layout, &top["manifests"][1]["digest"]);
    let bundle = blob(layout, &read_json(&manifest)["layers"][0]["digest"]);
    [manifest, bundle]
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    let (algorithm, hex) = digest.as_str().unwrap().split_once(':').unwrap();
    layout.join("blobs").join(algorithm).join(hex)
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
