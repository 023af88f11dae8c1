//! Archives of `docker save`, of every generation that has a manifest.json:
//! which manifest they go by, what lies in them, and what is refused.
//!
//! They are built here, file by file; what skopeo writes is in `interop`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod aci;
mod build;
#[path = "../common/mod.rs"]
mod common;
mod convert;
mod dependencies;
mod hostile;
mod v1;
mod verdicts;

use build::{Tar, sha256};
use common::run::Sandbox;

/// The exit code and output of `tree` on what a builder made.
fn tree(tar: Tar, line: &str) -> common::run::Ran {
    let s = Sandbox::new();
    s.write("image.tar", tar.finish());
    s.ocisign(&format!("tree docker-archive:image.tar{line}"))
}

#[test]
fn an_archive_of_docker_1_10_goes_by_the_manifest_that_docker_25_writes() {
    let root = format!("sha256:{}", sha256(build::own_manifest().as_bytes()));
    tree(build::docker(), "").exits(0).says(&root).says("4 verified");
    // it does not matter in which order the files lie, nor what else does
    let mut tar = Tar::default();
    tar.file("VERSION", b"1.0").file("repositories", b"{}");
    tar.append(build::docker());
    tree(tar, "").exits(0).says(&root);
    tree(build::docker(), " --depth contents").exits(0).says(&root);
}

#[test]
fn an_archive_of_docker_25_goes_by_its_own_manifest() {
    let own = build::own_manifest().replace(r#"{"schemaVersion""#, r#"{ "schemaVersion""#);
    let root = format!("sha256:{}", sha256(own.as_bytes()));
    let manifests = format!(
        r#"[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{root}","size":{}}}]"#,
        own.len()
    );
    tree(build::docker_25(&manifests, &own), "").exits(0).says(&root).says("4 verified");
    // 25.0 lists nothing for an image that was saved by its id
    let derived = format!("sha256:{}", sha256(build::own_manifest().as_bytes()));
    tree(build::docker_25("null", &own), "").exits(0).says(&derived);
    // what is listed and is no descriptor could be the manifest
    let short = format!(r#"[{{"digest":"{root}","size":-1}}]"#);
    tree(build::docker_25(&short, &own), "").exits(2).says("listed wrongly");
}

#[test]
fn two_descriptions_of_one_image_must_agree() {
    let layers = build::layers();
    let (a, b) = (sha256(&layers[0]), sha256(&layers[1]));
    let swapped = build::own_manifest().replace(&a, "x").replace(&b, &a).replace('x', &b);
    let wrong = build::own_manifest().replace(&a, &"0".repeat(64));
    for own in [swapped, wrong] {
        let manifests = format!(
            r#"[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":{}}}]"#,
            sha256(own.as_bytes()),
            own.len()
        );
        let tar = build::docker_25(&manifests, &own);
        tree(tar, "").exits(2).says("name different layers");
    }
    let other = r#"{"schemaVersion":2,"config":{"digest":"sha256:00"},"layers":[]}"#;
    let manifests = format!(
        r#"[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":{}}}]"#,
        sha256(other.as_bytes()),
        other.len()
    );
    tree(build::docker_25(&manifests, other), "").exits(2).says("name different images");
}

#[test]
fn layers_that_images_share_are_links() {
    let layers = build::layers();
    let mut tar = Tar::default();
    tar.file("shared/layer.tar", &layers[0])
        .link("one/layer.tar", "../shared/layer.tar")
        .file("two/layer.tar", &layers[1]);
    tar.file(&build::config_name(), build::config().as_bytes());
    tar.file("manifest.json", build::manifest(&["app:v1"]).as_bytes());
    let root = format!("sha256:{}", sha256(build::own_manifest().as_bytes()));
    tree(tar, "").exits(0).says(&root);
}

#[test]
fn an_image_of_several_is_named() {
    let two = format!(
        "[{},{}]",
        build::entry(&["app:v1", "app:latest"]),
        build::entry(&["registry.example/other:v1"])
    );
    let archive = || {
        let mut tar = build::files();
        tar.file("manifest.json", two.as_bytes());
        tar
    };
    tree(archive(), "").exits(2).says("holds 2 images").says("`registry.example/other:v1`");
    tree(archive(), ":app:v1").exits(0);
    tree(archive(), ":docker.io/library/app:latest").exits(0);
    tree(archive(), ":registry.example/other:v1").exits(0);
    tree(archive(), ":app:v2").exits(2).says("the image `app:v2` does not exist");
    let digest = sha256(build::own_manifest().as_bytes());
    tree(archive(), &format!("@sha256:{digest}")).exits(0);
    tree(archive(), &format!("@sha256:{}", "0".repeat(64))).exits(2);
}

#[test]
fn a_compressed_layer_goes_by_what_lies_in_the_archive() {
    let layers = build::layers();
    let packed = build::gzip(&layers[0]);
    let mut tar = Tar::default();
    tar.file("one/layer.tar", &packed).file("two/layer.tar", &layers[1]);
    tar.file(&build::config_name(), build::config().as_bytes());
    tar.file("manifest.json", build::manifest(&["app:v1"]).as_bytes());
    let digest = format!("sha256:{}", sha256(&packed));
    let ran = tree(tar, " --depth contents").exits(0);
    ran.says(&digest).says("application/vnd.oci.image.layer.v1.tar+gzip");
}
