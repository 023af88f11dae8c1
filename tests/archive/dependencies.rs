//! ACIs that depend on others: followed by image ID, in folders and in a
//! store of rkt.

use sha2::{Digest as _, Sha512};

use super::*;
use build::aci::document;

/// The ID by which an ACI names another.
fn id(tar: &[u8]) -> String {
    format!("sha512-{}", hex::encode(Sha512::digest(tar)))
}

/// The ACI `example.com/NAME` that depends on what `on` says.
fn image(name: &str, on: &str) -> Vec<u8> {
    let mut tar = Tar::default();
    let on = format!(r#","dependencies":[{on}]"#);
    tar.file("manifest", document(&on).replace("/app\"", &format!("/{name}\"")).as_bytes())
        .entry("rootfs", tar::EntryType::Directory, "", b"")
        .file("rootfs/file", on.as_bytes());
    tar.finish()
}

fn pinned(name: &str, tar: &[u8]) -> String {
    format!(r#"{{"imageName":"{name}","imageID":"{}"}}"#, id(tar))
}

/// `app.aci` on `libs/middle.aci` on `libs/base.aci`, signed.
fn chain() -> Sandbox {
    let s = Sandbox::new();
    let base = image("base", "");
    let middle = image("middle", &pinned("example.com/base", &base));
    s.write("app.aci", image("app", &pinned("example.com/middle", &middle)));
    s.write("libs/middle.aci", build::gzip(&middle));
    s.write("libs/base.aci", &base);
    s.key("ecdsa-p256/key.pem", "me.key");
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.ocisign("sign --key me.key --dependencies libs aci:app.aci").exits(0);
    s
}

#[test]
fn what_is_pinned_is_recomputed_however_it_is_packed() {
    let s = chain();
    let ran = s.ocisign("tree --dependencies libs aci:app.aci").exits(0);
    ran.says(&id(&image("base", "")).replace('-', ":"));
    s.ocisign("verify --key me.pub --dependencies libs aci:app.aci").exits(0);
    // what a store of rkt has is named by the first half of its ID
    let base = s.read("libs/base.aci");
    let name = &id(&base)[.."sha512-".len() + 64];
    let folder = &name["sha512-".len()..][..2];
    std::fs::remove_file(s.path("libs/base.aci")).unwrap();
    s.write(&format!("store/blob/sha512/{folder}/{name}"), &base);
    s.ocisign("verify --key me.pub --dependencies libs --dependencies store aci:app.aci").exits(0);
}

#[test]
fn what_is_not_there_is_undecided() {
    let s = chain();
    s.ocisign("verify --key me.pub aci:app.aci").exits(2).says("missing");
    std::fs::remove_file(s.path("libs/base.aci")).unwrap();
    s.ocisign("tree --dependencies libs aci:app.aci").exits(2).says("missing");
    s.ocisign("verify --key me.pub --dependencies libs aci:app.aci").exits(2);
    s.ocisign("tree --dependencies nowhere aci:app.aci").exits(2).says("nowhere");
}

#[test]
fn a_changed_byte_makes_it_another_image() {
    let s = chain();
    let mut base = s.read("libs/base.aci");
    let at = base.windows(12).position(|window| window == b"dependencies").unwrap();
    base[at] ^= 1;
    s.write("libs/base.aci", base);
    s.ocisign("verify --key me.pub --dependencies libs aci:app.aci").exits(2).says("missing");
}

#[test]
fn what_is_not_pinned_is_denied() {
    let s = Sandbox::new();
    s.write("app.aci", image("app", r#"{"imageName":"example.com/base"}"#));
    s.write("libs/base.aci", image("base", ""));
    s.key("ecdsa-p256/key.pem", "me.key");
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.ocisign("tree --dependencies libs aci:app.aci").exits(1).says("unpinned");
    s.ocisign("sign --key me.key --dependencies libs aci:app.aci").fails();
    s.ocisign("verify --key me.pub --dependencies libs aci:app.aci").exits(1).says("not pinned");
    s.ocisign("inspect app.aci").says("imageID");
}

#[test]
fn an_id_is_no_path_and_no_other_hash() {
    let s = Sandbox::new();
    for id in ["sha512-../../etc/passwd", "sha512-", "sha256-00", "sha512-XY", "md5-00"] {
        let on = format!(r#"{{"imageName":"example.com/base","imageID":"{id}"}}"#);
        s.write("app.aci", image("app", &on));
        s.ocisign("tree --dependencies . aci:app.aci").exits(1).says("malformed");
    }
}
