//! `key generate` and `key show`: what is written, and where passwords come
//! from.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::common::run::Sandbox;
use super::demo;

fn mode(s: &Sandbox, file: &str) -> u32 {
    s.path(file).metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn every_algorithm_makes_a_pair_that_signs() {
    let s = demo();
    for algorithm in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072", "rsa-4096"] {
        let generate = format!("key generate --algorithm {algorithm} --output {algorithm}");
        s.ocisign(&generate).exits(0).says(&format!("{algorithm} key sha256:"));
        let (private, public) = (format!("{algorithm}.key"), format!("{algorithm}.pub"));
        assert_eq!((mode(&s, &private), mode(&s, &public)), (0o600, 0o644));
        assert!(s.read(&private).starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let shown = s.ocisign(&format!("key show {private}")).exits(0).stdout;
        assert_eq!(shown, s.ocisign(&format!("key show {public}")).exits(0).stdout);
        s.ocisign(&format!("sign --key {private} oci:demo:v1")).exits(0);
        s.ocisign(&format!("verify --key {public} oci:demo:v1")).exits(0);
    }
}

#[test]
fn cosigns_form_and_no_password() {
    let s = demo();
    s.ocisign("key generate --format cosign --output theirs").exits(0);
    s.ocisign("key generate --no-password --output open").exits(0);
    s.ocisign("key generate --no-password --format cosign --output empty").exits(0);
    for (file, head) in [
        ("theirs.key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"),
        ("open.key", "-----BEGIN PRIVATE KEY-----"),
        ("empty.key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"),
    ] {
        assert!(s.read(file).starts_with(head.as_bytes()), "{file}");
        assert_eq!(mode(&s, file), 0o600, "{file}");
        s.ocisign(&format!("sign --key {file} oci:demo:v1")).exits(0);
    }
}

#[test]
fn existing_files_are_kept_unless_forced() {
    let s = Sandbox::new();
    s.write("me.pub", "mine");
    s.ocisign("key generate --output me").exits(2).says("me.pub");
    assert!(!s.path("me.key").exists());
    assert_eq!(s.read("me.pub"), b"mine");
    s.ocisign("key generate --force --output me").exits(0);
    let first = s.read("me.key");
    s.ocisign("key generate --output me").exits(2).says("me.key");
    assert_eq!(s.read("me.key"), first);
    s.ocisign("key generate --force --output me").exits(0);
    assert_ne!(s.read("me.key"), first);
    assert_eq!(mode(&s, "me.key"), 0o600);
}

#[test]
fn the_password_comes_from_a_variable() {
    let mut s = demo();
    s.set("OCISIGN_PASSWORD", "ocisign-test");
    for file in ["pkcs8-default.pem", "pkcs8-scrypt.pem", "cosign.pem"] {
        s.key(&format!("ecdsa-p256/{file}"), "locked.key");
        let shown = s.ocisign("key show locked.key").exits(0).stdout;
        assert_eq!(shown, s.ocisign("key show me.pub").exits(0).stdout, "{file}");
        s.ocisign("sign --key locked.key --dry-run oci:demo:v1").exits(0);
    }
    s.set("OCISIGN_PASSWORD", "guess");
    s.ocisign("sign --key locked.key oci:demo:v1").exits(2).lacks("guess");
}

#[test]
fn an_empty_variable_is_the_empty_password() {
    let mut s = demo();
    s.unset("COSIGN_PASSWORD");
    s.set("OCISIGN_PASSWORD", "");
    s.ocisign("key generate --output new").exits(0);
    s.ocisign("sign --key new.key oci:demo:v1").exits(0);
    s.set("OCISIGN_PASSWORD", "another");
    s.ocisign("sign --key new.key -a a=b oci:demo:v1").exits(2);
    s.unset("OCISIGN_PASSWORD");
    s.set("COSIGN_PASSWORD", "");
    s.ocisign("sign --key new.key -a a=b oci:demo:v1").exits(0);
}

/// Nobody is there to answer, so nobody is asked.
#[test]
fn without_a_variable_and_a_terminal_it_ends_at_once() {
    let mut s = demo();
    s.key("ecdsa-p256/pkcs8-default.pem", "locked.key");
    s.unset("COSIGN_PASSWORD");
    let began = Instant::now();
    for line in
        ["key generate --output new", "key show locked.key", "sign --key locked.key oci:demo:v1"]
    {
        s.ocisign(line).exits(2).says("OCISIGN_PASSWORD").says("no terminal");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!s.path("new.key").exists() && !s.path("new.pub").exists());
}

#[test]
fn a_key_that_others_can_read_is_warned_of_and_used() {
    let s = demo();
    s.ocisign("sign --key me.key --dry-run oci:demo:v1").exits(0).lacks("warning");
    for mode in [0o644, 0o640, 0o620] {
        s.chmod("me.key", mode);
        let ran = s.ocisign("sign --key me.key --dry-run oci:demo:v1").exits(0);
        assert!(
            ran.stderr.contains("warning:") && ran.stderr.contains("chmod 600 me.key"),
            "{ran}"
        );
    }
}

#[test]
fn a_key_from_a_variable() {
    let mut s = demo();
    s.set("MY_KEY", String::from_utf8(s.read("other.key")).unwrap());
    s.ocisign("sign --key env://MY_KEY oci:demo:v1").exits(0);
    s.ocisign("verify --key other.pub oci:demo:v1").exits(0);
    s.ocisign("sign --key env://NO_KEY oci:demo:v1").exits(2).says("NO_KEY");
}

/// What is refused is named, and none of its text is shown.
#[test]
fn keys_that_are_refused() {
    let s = demo();
    for entry in std::fs::read_dir(super::common::run::source("keys-test/refused")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        s.key(&format!("refused/{name}"), "refused.key");
        let ran = s.ocisign("sign --key refused.key oci:demo:v1").exits(2).says("refused.key");
        let text = String::from_utf8(s.read("refused.key")).unwrap();
        let secret = text.lines().nth(2).unwrap();
        assert!(!ran.stderr.contains(secret), "{name}: {ran}");
    }
}
