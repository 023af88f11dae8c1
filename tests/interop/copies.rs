//! `ocisign copy`: the road over a layout into a registry that knows nothing
//! of referrers; and what it does with bytes that were changed.

use super::common::peers;
use super::common::run::Sandbox;
use super::push_demo;
use super::real::Real;

#[test]
fn signatures_survive_the_way_over_a_layout() {
    if !peers(&["cosign", "referrers-registry", "docker-registry"]) {
        return;
    }
    let s = super::sandbox();
    let (outside, inside) =
        (Real::start("referrers-registry").unwrap(), Real::start("docker-registry").unwrap());
    let (from, to) = (format!("{}/app:v1", outside.host), format!("{}/app:v1", inside.host));
    push_demo(&s, &from);
    for format in ["sigstore", "cosign"] {
        s.ocisign(&format!("sign --key me.key -a env=prod --format {format} {from}")).exits(0);
    }

    s.ocisign(&format!("copy {from} oci:airgap:v1")).exits(0);
    s.ocisign("copy oci:airgap:v1 oci-archive:airgap.tar:v1").exits(0);
    s.ocisign("verify --key me.pub -a env=prod oci-archive:airgap.tar:v1").exits(0);
    s.ocisign(&format!("copy oci-archive:airgap.tar:v1 {to}")).exits(0);

    let verify = "verify --key me.pub -a env=prod";
    s.ocisign(&format!("{verify} {to}")).exits(0);
    for form in ["", "--new-bundle-format=false"] {
        s.peer("cosign", &format!("{verify} --insecure-ignore-tlog {form} {to}")).exits(0);
    }
    // the name that was signed is the one outside
    s.ocisign(&format!("{verify} --reference repository {to}")).exits(1);
    s.ocisign(&format!("copy --no-referrers {from} {to}-bare")).exits(0);
}

/// A layer that somebody changed on a registry's disk: the registry serves
/// it, cosign does not look at it, ocisign denies and copies no image.
#[test]
fn a_changed_layer_is_denied_and_not_copied() {
    if !peers(&["cosign", "crane", "distribution", "docker-registry"]) {
        return;
    }
    let s = super::sandbox();
    let (from, to) =
        (Real::start("distribution").unwrap(), Real::start("docker-registry").unwrap());
    let (image, copy) = (format!("{}/app:v1", from.host), format!("{}/app:v1", to.host));
    push_demo(&s, &image);
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    s.ocisign(&format!("verify --key me.pub {image}")).exits(0);
    let layer = first_layer(&s, &image);
    let file = from.blob_file(&layer);
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();

    s.peer("cosign", &format!("verify --insecure-ignore-tlog --key me.pub {image}")).exits(0);
    s.ocisign(&format!("verify --key me.pub {image}")).exits(1).says("integrity").says(&layer);
    s.ocisign(&format!("sign --key me.key {image}")).exits(1).says("nothing was signed");
    s.ocisign(&format!("copy {image} {copy}")).exits(1).says("integrity");
    s.peer("crane", &format!("digest {copy}")).fails();
    s.ocisign(&format!("copy {image} oci:copy:v1")).exits(1).says("integrity");
    s.ocisign("verify --key me.pub oci:copy:v1").exits(2);
}

/// A blob that is gone is no denial: it was not seen.
#[test]
fn a_missing_layer_is_undecided_and_not_copied() {
    if !peers(&["crane", "distribution", "docker-registry"]) {
        return;
    }
    let s = super::sandbox();
    let (from, to) =
        (Real::start("distribution").unwrap(), Real::start("docker-registry").unwrap());
    let (image, copy) = (format!("{}/app:v1", from.host), format!("{}/app:v1", to.host));
    push_demo(&s, &image);
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    std::fs::remove_file(from.blob_file(&first_layer(&s, &image))).unwrap();
    s.ocisign(&format!("verify --key me.pub {image}")).exits(2);
    s.ocisign(&format!("copy {image} {copy}")).exits(2);
    s.peer("crane", &format!("digest {copy}")).fails();
}

/// The digest of the first layer of the image for linux/amd64.
fn first_layer(s: &Sandbox, image: &str) -> String {
    let manifest = format!("manifest --platform linux/amd64 {image}");
    let manifest = s.peer("crane", &manifest).exits(0).json();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}
