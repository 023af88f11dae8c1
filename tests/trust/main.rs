//! Keys by the names of images: `ocisign trust`, and `verify --keyring DIR`.
//!
//! The folders are laid out as rkt's trusted keys. The image is an ACI that
//! ocisign signed; the keys are gpg's (`tests/data/make-openpgp.sh`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../archive/build/mod.rs"]
#[allow(dead_code)]
mod build;
#[path = "../common/mod.rs"]
mod common;

use build::Tar;
use common::run::{Sandbox, source};

/// An ACI that the key `nist` signed, and public keys of two.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    let mut tar = Tar::default();
    tar.file(
        "manifest",
        br#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/foo/app"}"#,
    )
    .entry("rootfs", tar::EntryType::Directory, "", b"");
    s.write("app.aci", tar.finish());
    for name in ["nist.sec.asc", "nist.pub.asc", "other.pub.asc", "all.pub.asc"] {
        s.write(name, std::fs::read(source(&format!("tests/data/openpgp/{name}"))).unwrap());
    }
    s.chmod("nist.sec.asc", 0o600);
    s.ocisign("sign --format appc --key nist.sec.asc aci:app.aci").exits(0);
    s
}

/// Adds a key, and gives its fingerprint.
fn add(s: &Sandbox, folder: &str, scope: &str, key: &str) -> String {
    let ran = s.ocisign(&format!("trust add --keyring {folder} {scope} {key}")).exits(0);
    ran.stdout.split_whitespace().next().unwrap().to_owned()
}

fn verify(s: &Sandbox, keyrings: &[&str], name: &str) -> common::run::Ran {
    let keyrings: Vec<_> = keyrings.iter().map(|dir| format!("--keyring {dir}")).collect();
    let name = if name.is_empty() { String::new() } else { format!("--as {name}") };
    s.ocisign(&format!("verify {} {name} aci:app.aci", keyrings.join(" ")))
}

#[test]
fn a_key_is_trusted_for_its_name_and_what_is_below_it() {
    let s = sandbox();
    let fingerprint = add(&s, "keys", "--prefix example.com/foo", "nist.pub.asc");
    assert!(s.path(format!("keys/prefix.d/example.com/foo/{fingerprint}")).is_file());
    verify(&s, &["keys"], "example.com/foo/app").exits(0).says("counts: trusted-1");
    // it is the name that was asked for that matters, and all of each part
    for name in ["example.com/foobar", "example.com", "other.example/foo"] {
        verify(&s, &["keys"], name).exits(2).says("no key is trusted for");
    }
    // and never the name that the image gives itself
    verify(&s, &["keys"], "").exits(2).says("--as");
    let listed = s.ocisign("trust list --keyring keys").exits(0);
    listed.says(&format!("{fingerprint}  example.com/foo"));
    s.ocisign("trust list --keyring keys example.com/foo/app").exits(0).says(&fingerprint);
    s.ocisign("trust list --keyring keys example.com/foobar").exits(0).lacks(&fingerprint);
}

#[test]
fn a_key_of_root_is_trusted_for_every_image() {
    let s = sandbox();
    add(&s, "keys", "--root", "nist.pub.asc");
    verify(&s, &["keys"], "").exits(0);
    verify(&s, &["keys"], "example.com/foo/app").exits(0);
    // a name that is not the image's own is another image
    verify(&s, &["keys"], "example.com/foo").exits(1).says("calls itself");
}

#[test]
fn another_key_is_no_reason_to_allow() {
    let s = sandbox();
    add(&s, "none", "--prefix other.example", "nist.pub.asc");
    // a folder without a key for the name takes nothing from a file beside it
    s.ocisign("verify --keyring none --keyring nist.pub.asc aci:app.aci").exits(0);
    add(&s, "keys", "--prefix example.com", "other.pub.asc");
    verify(&s, &["keys"], "example.com/foo/app").exits(1).says("no signature counts");
    s.ocisign("verify --keyring keys --keyring nist.pub.asc --as example.com/foo/app aci:app.aci")
        .exits(0);
}

#[test]
fn an_empty_file_takes_a_key_away() {
    let s = sandbox();
    let fingerprint = add(&s, "system", "--root", "nist.pub.asc");
    add(&s, "own", "--root", "other.pub.asc");
    let name = "example.com/foo/app";
    verify(&s, &["system", "own"], name).exits(0);
    let mask = format!("trust remove --keyring own --root --mask {}", fingerprint.to_uppercase());
    s.ocisign(&mask).exits(0).says("is masked");
    verify(&s, &["system", "own"], name).exits(1).says("no signature counts");
    s.ocisign("trust list --keyring own").exits(0).says("the file is empty");
    // the folder that is given later counts more
    verify(&s, &["own", "system"], name).exits(0);
    // prefix.d comes after root.d of every folder
    add(&s, "system", "--prefix example.com", "nist.pub.asc");
    verify(&s, &["system", "own"], name).exits(0);
    // adding it again takes the mask off
    add(&s, "own", "--root", "nist.pub.asc");
    s.ocisign(&format!("trust remove --keyring own --root {fingerprint}")).exits(0);
    s.ocisign(&format!("trust remove --keyring own --root {fingerprint}"))
        .exits(2)
        .says("is not there");
}

#[test]
fn a_folder_that_is_not_what_it_says_is_refused() {
    let s = sandbox();
    let fingerprint = add(&s, "keys", "--root", "nist.pub.asc");
    let refused = |code: i32, says: &str| {
        verify(&s, &["keys"], "example.com/foo/app").exits(code).says(says);
    };
    let other = std::fs::read(s.path("other.pub.asc")).unwrap();
    s.write(&format!("keys/root.d/{fingerprint}"), &other);
    refused(1, "another key than its name says");
    s.write(&format!("keys/root.d/{fingerprint}"), "junk");
    refused(1, "no key to trust");
    s.write(&format!("keys/root.d/{fingerprint}"), "");
    s.write("keys/root.d/README", "keys");
    refused(2, "named by a fingerprint");
    std::fs::create_dir(s.path("empty")).unwrap();
    verify(&s, &["empty"], "").exits(2).says("neither root.d nor prefix.d");
}

#[test]
fn what_is_added_is_one_key_and_the_one_that_was_meant() {
    let s = sandbox();
    let add = |line: &str| s.ocisign(&format!("trust add --keyring keys {line}"));
    add("--root app.aci").exits(1).says("no key to trust");
    add("--root all.pub.asc").exits(1).says("one by one");
    add("--root nist.sec.asc").exits(1).says("PRIVATE KEY BLOCK");
    add("--prefix ../../etc nist.pub.asc").exits(2).says("no name");
    add("nist.pub.asc").exits(2).says("--prefix");
    add(&format!("--root --fingerprint {} nist.pub.asc", "0".repeat(40)))
        .exits(1)
        .says("do not trust");
    assert!(!s.path("keys").exists());
    add("--root nist.pub.asc").exits(0);
    add("--root nist.pub.asc").exits(2).says("exists already");
}
