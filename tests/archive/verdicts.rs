//! Signing an archive: the bundle lies beside it.

use super::*;

fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    s.write("image.tar", build::docker().finish());
    s.key("ecdsa-p256/key.pem", "me.key");
    s.chmod("me.key", 0o600);
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.key("ed25519/key.pub", "other.pub");
    s
}

#[test]
fn an_archive_is_signed_by_the_digest_of_its_manifest() {
    let s = sandbox();
    let digest = format!("sha256:{}", sha256(build::own_manifest().as_bytes()));
    let verify = |key: &str| s.ocisign(&format!("verify --key {key} docker-archive:image.tar"));
    verify("me.pub").exits(1).says("no signature counts");
    let signed = s.ocisign("sign --key me.key docker-archive:image.tar").exits(0);
    signed.says(&digest).says("image.tar.sigstore.json");
    verify("me.pub").exits(0).says("image.tar.sigstore.json");
    verify("other.pub").exits(1);
    s.ocisign("sign --key me.key docker-archive:image.tar").exits(0).says("already");
    // packed otherwise, it is the same image
    let mut other = Tar::default();
    other.file("repositories", b"{}");
    other.append(build::docker());
    s.write("image.tar", other.finish());
    verify("me.pub").exits(0);
    let mut bytes = s.read("image.tar");
    let at = bytes.windows(5).position(|window| window == b"amd64").unwrap();
    bytes[at] = b'A';
    s.write("image.tar", bytes);
    verify("me.pub").exits(1).says("integrity");
}

#[test]
fn one_signature_of_several_is_enough() {
    let s = sandbox();
    s.write("image.tar.sigstore.json", "junk");
    s.ocisign("sign --key me.key docker-archive:image.tar")
        .exits(0)
        .says("image.tar.2.sigstore.json");
    s.ocisign("verify --key me.pub docker-archive:image.tar").exits(0);
}

#[test]
fn inspect_says_what_an_archive_is() {
    let s = sandbox();
    s.ocisign("inspect image.tar").exits(0).says("docker-archive:image.tar");
}

#[test]
fn an_archive_becomes_a_layout_by_copy() {
    let s = sandbox();
    s.ocisign("copy docker-archive:image.tar oci:out:v1").exits(0);
    let digest = format!("sha256:{}", sha256(build::own_manifest().as_bytes()));
    s.ocisign("tree --depth contents oci:out:v1").exits(0).says(&digest);
}

#[test]
fn a_bundle_that_was_made_elsewhere_is_put_beside_the_file() {
    for image in ["docker-archive:image.tar", "docker-archive:old.tar", "aci:app.aci"] {
        let s = sandbox();
        s.write("old.tar", build::v1::named().finish());
        s.write("app.aci", build::aci::aci(&build::aci::document(build::aci::LABELS)).finish());
        s.ocisign(&format!("sign --key me.key --output-bundle bundle {image}")).exits(0);
        s.ocisign(&format!("verify --key me.pub {image}")).exits(1);
        s.ocisign(&format!("attach --bundle bundle {image}")).exits(0).says(".sigstore.json");
        s.ocisign(&format!("verify --key me.pub {image}")).exits(0);
        s.ocisign(&format!("signatures {image}")).exits(0).says("format  sigstore");
        let other = image.replace("image.tar", "other.tar").replace("old.tar", "image.tar");
        s.write("other.tar", build::v1::images().finish());
        s.write("app.aci", build::aci::aci(&build::aci::document("")).finish());
        s.ocisign(&format!("attach --bundle bundle {other}")).exits(1).says("about");
    }
}

#[test]
fn what_lies_beside_an_aci_is_listed() {
    let s = sandbox();
    s.write("app.aci", build::aci::aci(&build::aci::document(build::aci::LABELS)).finish());
    let key = "tests/data/openpgp/nist.sec.asc";
    s.write("nist.sec.asc", std::fs::read(common::run::source(key)).unwrap());
    s.chmod("nist.sec.asc", 0o600);
    s.ocisign("inspect app.aci").exits(0).says("nobody signed it");
    s.ocisign("sign --format appc --key nist.sec.asc aci:app.aci").exits(0);
    let fingerprint = "2fcb01e8e9d9036c7da71f56f8249c03cb5bf6cc";
    for verb in ["signatures aci:app.aci", "inspect app.aci"] {
        let ran = s.ocisign(verb).exits(0).says("app.aci.asc").says("format  appc");
        ran.says(fingerprint).lacks("nobody signed it");
    }
    s.write("app.aci.asc", "junk");
    s.ocisign("signatures aci:app.aci").exits(0).says("app.aci.asc").lacks("format");
}
