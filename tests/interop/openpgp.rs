//! OpenPGP with the tools that have it: skopeo's simple signing in both
//! directions, and ACIs that actool built and gpg signed.

use std::path::Path;

use super::common::peers;
use super::common::run::{Sandbox, source};
use super::real::Real;

/// The fingerprint of `nist`, a key without a password and without subkeys.
fn fingerprint(s: &Sandbox) -> String {
    let listed = s.peer("gpg", "--batch --with-colons --list-keys").exits(0).stdout;
    let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}

/// A sandbox with the demo image, gpg's keyring and the key as files.
fn sandbox() -> Sandbox {
    let s = super::sandbox();
    let data = |name: &str| std::fs::read(source("tests/data/openpgp").join(name)).unwrap();
    for name in ["nist.sec.asc", "nist.pub.asc", "other.pub.asc"] {
        s.write(name, data(name));
    }
    s.chmod("nist.sec.asc", 0o600);
    std::fs::create_dir(s.path(".gnupg")).unwrap();
    s.chmod(".gnupg", 0o700);
    s.peer("gpg", "--batch --import nist.sec.asc").exits(0);
    s
}

/// A policy that wants a signature by the keys in a file.
fn policy(s: &Sandbox, name: &str, keyring: &str, reference: &str) {
    s.write(
        name,
        format!(
            r#"{{
  "ocisign": "policy/1",
  "name": "openpgp",
  "signers": {{ "lea": {{ "pgp": {{ "keyring": {{ "file": "{keyring}" }} }} }} }},
  "rules": [
    {{ "id": "all", "scope": ["**"],
      "require": [{{ "id": "signed", "signed": {{ "by": ["lea"], "reference": "{reference}" }} }}] }}
  ]
}}"#
        ),
    );
}

/// Where skopeo and podman find signatures, and what they accept.
fn containers_config(s: &Sandbox, host: &str) {
    std::fs::create_dir(s.path("registries.d")).unwrap();
    let place = s.path("look").display().to_string();
    let text = format!("docker:\n  {host}:\n    lookaside: file://{place}\n");
    s.write("registries.d/test.yaml", text);
    let key = s.path("nist.pub.asc").display().to_string();
    let policy = |key: &str| {
        format!(
            r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"{host}":
            [{{"type":"signedBy","keyType":"GPGKeys","keyPath":"{key}"}}]}},
            "dir":{{"":[{{"type":"insecureAcceptAnything"}}]}},
            "oci":{{"":[{{"type":"insecureAcceptAnything"}}]}}}}}}"#
        )
    };
    s.write("policy.json", policy(&key));
    let stranger = s.path("other.pub.asc").display().to_string();
    s.write("stranger.json", policy(&stranger));
}

#[test]
fn skopeo_pulls_what_ocisign_signed() {
    if !peers(&["skopeo", "gpg", "crane"]) {
        return;
    }
    let Some(real) = Real::start("distribution") else { return };
    let s = sandbox();
    let image = format!("{}/app:v1", real.host);
    super::push_demo(&s, &image);
    containers_config(&s, &real.host);
    std::fs::create_dir(s.path("look")).unwrap();
    let pull = |policy: &str, tag: &str| {
        let copy = format!(
            "--registries.d registries.d --policy {policy} copy -q --all --remove-signatures"
        );
        let from = format!("docker://{}/app:{tag}", real.host);
        s.peer("skopeo", &format!("{copy} --src-tls-verify=false {from} oci:out-{tag}"))
    };
    pull("policy.json", "v1").fails().says("signature was required");
    let sign = "--recursive --format simple --key nist.sec.asc --registries-d registries.d";
    s.ocisign(&format!("sign {image} {sign}")).exits(0);
    pull("policy.json", "v1").exits(0);
    pull("stranger.json", "v1").fails();
    // the same image under a name that nobody signed
    super::push_demo(&s, &format!("{}/app:v2", real.host));
    pull("policy.json", "v2").fails().says("is not accepted");
}

#[test]
fn ocisign_verifies_what_skopeo_signed() {
    if !peers(&["skopeo", "gpg", "crane"]) {
        return;
    }
    let Some(real) = Real::start("distribution") else { return };
    let s = sandbox();
    containers_config(&s, &real.host);
    std::fs::create_dir(s.path("look")).unwrap();
    let image = format!("{}/app:v1", real.host);
    let by = fingerprint(&s);
    let copy = "--registries.d registries.d --policy policy.json copy -q --all";
    let to = format!("--dest-tls-verify=false --sign-by {by} oci:demo:v1 docker://{image}");
    s.peer("skopeo", &format!("{copy} {to}")).exits(0);
    policy(&s, "lea.json", "nist.pub.asc", "exact");
    policy(&s, "other.json", "other.pub.asc", "exact");
    let verify = |image: &str, policy: &str| {
        s.ocisign(&format!("verify {image} --policy {policy} --registries-d registries.d"))
    };
    verify(&image, "lea.json").exits(0).says("counts: lea, simple");
    verify(&image, "other.json").exits(1).says("made with a key that the policy does not name");
    s.ocisign(&format!("copy --no-referrers {image} {}/app:v2", real.host)).exits(0);
    let other = format!("{}/app:v2", real.host);
    verify(&other, "lea.json").exits(1).says("signed for the tag `v1`, not for `v2`");
    // a byte of the signature
    let digest = super::digest(&s, &image).replace(':', "=");
    let file = format!("look/app@{digest}/signature-1");
    let mut bytes = s.read(&file);
    *bytes.last_mut().unwrap() ^= 1;
    s.write(&file, bytes);
    verify(&image, "lea.json").exits(1).says("prove nothing");
}

/// Builds an ACI as actool does.
fn aci(s: &Sandbox, name: &str) {
    std::fs::create_dir_all(s.path("image/rootfs/etc")).unwrap();
    s.write("image/rootfs/etc/motd", "hello");
    s.write(
        "image/manifest",
        r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app","labels":[
            {"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]}"#,
    );
    s.peer("actool", &format!("build image {name}")).exits(0);
}

#[test]
fn an_aci_by_actool_that_gpg_signed() {
    if !peers(&["actool", "gpg"]) {
        return;
    }
    let s = sandbox();
    aci(&s, "app.aci");
    policy(&s, "lea.json", "nist.pub.asc", "none");
    policy(&s, "other.json", "other.pub.asc", "none");
    s.ocisign("tree aci:app.aci").exits(0).says("example.com/app,version=1.0");
    let verify = |policy: &str| s.ocisign(&format!("verify aci:app.aci --policy {policy}"));
    verify("lea.json").exits(1).says("no signature counts");
    s.peer("gpg", "--batch --armor --detach-sign app.aci").exits(0);
    verify("lea.json").exits(0).says("counts: lea, appc app.aci.asc");
    verify("other.json").exits(1).says("made with a key that the policy does not name");
    s.ocisign("verify aci:app.aci --keyring nist.pub.asc").exits(0).says("counts: keyring-1");
    s.ocisign("verify aci:app.aci --keyring other.pub.asc").exits(1);
    s.ocisign("verify aci:app.aci --keyring other.pub.asc --keyring nist.pub.asc").exits(0);
    s.ocisign("verify aci:app.aci --keyring app.aci").exits(1).says("text outside of the armour");
    // recompressed: the same image ID, another file, and nobody signed that
    let before = s.ocisign("tree aci:app.aci").exits(0).stdout;
    let id = before.split_whitespace().find(|word| word.starts_with("sha512:")).unwrap().to_owned();
    s.peer("gzip", "-d -S .aci -k -f app.aci").exits(0);
    std::fs::rename(s.path("app"), s.path("app.aci")).unwrap();
    s.ocisign("tree aci:app.aci").exits(0).says(&id);
    verify("lea.json").exits(1).says("the signature does not verify");
    tamper(&s.path("app.aci"));
    s.ocisign("tree aci:app.aci").exits(1);
}

#[test]
fn gpg_verifies_an_aci_that_ocisign_signed() {
    if !peers(&["actool", "gpg"]) {
        return;
    }
    let s = sandbox();
    aci(&s, "app.aci");
    let sign = |format: &str, key: &str| {
        s.ocisign(&format!("sign aci:app.aci --format {format} --key {key}"))
    };
    sign("appc", "nist.sec.asc").exits(0).says("app.aci.asc");
    sign("appc", "nist.sec.asc").exits(0).says("already");
    s.peer("gpg", "--batch --verify app.aci.asc app.aci").exits(0);
    policy(&s, "lea.json", "nist.pub.asc", "none");
    s.ocisign("verify aci:app.aci --policy lea.json").exits(0).says("counts: lea, appc");
    // a bundle beside it, for people without OpenPGP
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.key("ecdsa-p256/key.pem", "me.key");
    s.chmod("me.key", 0o600);
    sign("sigstore", "me.key").exits(0).says("app.aci.sigstore.json");
    s.ocisign("verify aci:app.aci --key me.pub").exits(0).says("app.aci.sigstore.json");
    // both are over the file
    let mut bytes = s.read("app.aci");
    bytes[9] ^= 1; // the system that gzip ran on: the image ID stays
    s.write("app.aci", bytes);
    s.ocisign("tree aci:app.aci").exits(0);
    s.ocisign("verify aci:app.aci --policy lea.json").exits(1);
    s.ocisign("verify aci:app.aci --key me.pub").exits(1);
    let refused = s.ocisign("sign oci:demo:v1 --format appc --key nist.sec.asc");
    refused.exits(2).says("name one as `aci:FILE`");
}

/// Breaks the checksum of the first header of a tar.
fn tamper(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
