//! Signing on a machine without the registry, attaching on another.

use super::common::peers;
use super::push_demo;
use super::real::Real;

#[test]
fn a_bundle_made_without_the_registry_is_attached_and_cosign_verifies_it() {
    if !peers(&["cosign", "distribution"]) {
        return;
    }
    let (real, s) = (Real::start("distribution").unwrap(), super::sandbox());
    let image = format!("{}/app:v1", real.host);
    push_demo(&s, &image);
    let verify = format!("verify --insecure-ignore-tlog --key me.pub -a env=prod {image}");
    s.peer("cosign", &verify).fails();

    let name = format!("--as {image}");
    s.ocisign(&format!("sign --key me.key -a env=prod {name} --output-bundle b.json oci:demo:v1"))
        .exits(0);
    s.peer("cosign", &verify).fails();
    s.ocisign(&format!("attach --bundle b.json {image}")).exits(0).says("attached to sha256:");
    s.peer("cosign", &verify).exits(0);
    s.ocisign(&format!("verify --key me.pub -a env=prod --reference exact {image}")).exits(0);
}

/// `attach` looks at what a bundle is about; who signed it is for `verify`.
#[test]
fn a_bundle_of_another_image_is_not_attached() {
    if !peers(&["crane", "distribution"]) {
        return;
    }
    let (real, s) = (Real::start("distribution").unwrap(), super::sandbox());
    let (image, other) = (format!("{}/app:v1", real.host), format!("{}/app:other", real.host));
    push_demo(&s, &image);
    s.peer("crane", &format!("copy --platform linux/amd64 {image} {other}")).exits(0);
    s.ocisign("sign --key me.key --output-bundle b.json oci:demo:v1").exits(0);
    s.ocisign(&format!("attach --bundle b.json {other}")).exits(1).says("not about");
    s.write("b.json", "{}");
    s.ocisign(&format!("attach --bundle b.json {image}")).exits(1);
}

#[test]
fn cosign_verifies_files_that_ocisign_signed() {
    if !peers(&["cosign"]) {
        return;
    }
    let s = super::sandbox();
    s.write("app.tar", "a release artifact");
    for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072"] {
        s.key(&format!("{kind}/key.pem"), "own.key");
        s.key(&format!("{kind}/key.pub"), "own.pub");
        let bundle = format!("{kind}.json");
        s.ocisign(&format!("blob sign --key own.key --bundle {bundle} app.tar")).exits(0);
        let verify = format!("verify-blob --insecure-ignore-tlog --bundle {bundle}");
        s.peer("cosign", &format!("{verify} --key own.pub app.tar")).exits(0).says("Verified OK");
        s.write("other.tar", "another artifact");
        s.peer("cosign", &format!("{verify} --key own.pub other.tar")).fails();
    }
}
