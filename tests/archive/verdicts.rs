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
    let digest = format!("sha256:{}", sha256(expected().as_bytes()));
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
    let digest = format!("sha256:{}", sha256(expected().as_bytes()));
    s.ocisign("tree --depth contents oci:out:v1").exits(0).says(&digest);
}
