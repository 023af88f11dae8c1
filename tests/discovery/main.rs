//! Meta discovery: `aci:example.com/app:1.0` over HTTPS, and the keys that a
//! web server offers.
//!
//! The web server is one of this test, with a certificate for example.com by
//! a CA of this test. ocisign reaches it as it would from inside a company:
//! through a proxy (`HTTPS_PROXY`), which here leads to the one server.

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
mod web;

use build::Tar;
use common::run::{Ran, Sandbox, source};
use web::Web;

/// An ACI whose manifest states a name, a version and a platform.
fn aci(name: &str, version: &str) -> Vec<u8> {
    let mut tar = Tar::default();
    let labels = format!(
        r#"[{{"name":"version","value":"{version}"}},{{"name":"os","value":"linux"}},{{"name":"arch","value":"amd64"}}]"#
    );
    let manifest = format!(
        r#"{{"acKind":"ImageManifest","acVersion":"0.8.11","name":"{name}","labels":{labels}}}"#
    );
    tar.file("manifest", manifest.as_bytes()).entry("rootfs", tar::EntryType::Directory, "", b"");
    build::gzip(&tar.finish())
}

/// A page with `meta` elements: a name, a prefix and an address each.
fn page(metas: &[(&str, &str, &str)]) -> String {
    let meta = |(name, prefix, address): &(&str, &str, &str)| {
        format!(r#"<meta name="{name}" content="{prefix} {address}">"#)
    };
    format!(
        "<html><head>{}</head><body>hello</body></html>",
        metas.iter().map(meta).collect::<String>()
    )
}

const TEMPLATE: &str = "https://example.com/images/{name}-{version}-{os}-{arch}.{ext}";

/// A web server with a page for example.com, the image example.com/foo/app in
/// version 1.0 that the key `nist` signed, and that key.
fn served() -> (Sandbox, Web) {
    let mut s = Sandbox::new();
    let web = Web::start();
    s.set("HTTPS_PROXY", web.proxy());
    s.unset("NO_PROXY");
    s.write("ca.pem", web.ca());
    for name in ["nist.sec.asc", "nist.pub.asc"] {
        s.write(name, std::fs::read(source(&format!("tests/data/openpgp/{name}"))).unwrap());
    }
    s.chmod("nist.sec.asc", 0o600);
    s.write("app.aci", aci("example.com/foo/app", "1.0"));
    s.ocisign("sign --format appc --key nist.sec.asc aci:app.aci").exits(0);
    let image = "/images/example.com/foo/app-1.0-linux-amd64.aci";
    web.put(image, s.read("app.aci"));
    web.put(&format!("{image}.asc"), s.read("app.aci.asc"));
    web.put("/keys/nist.asc", s.read("nist.pub.asc"));
    web.put(
        "/?ac-discovery=1",
        page(&[
            ("ac-discovery", "example.com", TEMPLATE),
            ("ac-discovery-pubkeys", "example.com", "https://example.com/keys/nist.asc"),
        ]),
    );
    (s, web)
}

const APP: &str = "aci:example.com/foo/app:1.0,os=linux,arch=amd64";

fn verify(s: &Sandbox, image: &str) -> Ran {
    s.ocisign(&format!("verify --ca ca.pem --keyring nist.pub.asc {image}"))
}

#[test]
fn an_image_is_found_by_its_name_and_verified() {
    let (s, web) = served();
    verify(&s, APP).exits(0).says("counts: keyring-1");
    let asked = web.asked();
    // the page of the name itself first, then of what is above it
    assert_eq!(asked[..3], ["/foo/app?ac-discovery=1", "/foo?ac-discovery=1", "/?ac-discovery=1"]);
    s.ocisign(&format!("tree --ca ca.pem {APP}")).exits(0).says("example.com/foo/app,version=1.0");
    s.ocisign(&format!("inspect --ca ca.pem {APP}")).exits(0).says("appc ACI");
    // it is only read
    web.take("/images/example.com/foo/app-1.0-linux-amd64.aci.asc");
    s.ocisign(&format!("sign --ca ca.pem --format appc --key nist.sec.asc {APP}"))
        .exits(2)
        .says("was fetched");
}

#[test]
fn what_is_found_must_be_what_was_asked_for() {
    let (s, web) = served();
    let image = "/images/example.com/foo/app-1.0-linux-amd64.aci";
    for (name, version, says) in [
        ("example.com/foo/other", "1.0", "it calls itself"),
        ("example.com/foo/app", "0.9", "its label version is `0.9`"),
    ] {
        s.write("app.aci", aci(name, version));
        std::fs::remove_file(s.path("app.aci.asc")).unwrap();
        s.ocisign("sign --format appc --key nist.sec.asc aci:app.aci").exits(0);
        web.put(image, s.read("app.aci"));
        web.put(&format!("{image}.asc"), s.read("app.aci.asc"));
        verify(&s, APP).exits(1).says(says);
    }
}

#[test]
fn a_signature_that_is_not_there_is_a_no() {
    let (s, web) = served();
    let image = "/images/example.com/foo/app-1.0-linux-amd64.aci";
    web.take(&format!("{image}.asc"));
    verify(&s, APP).exits(1).says("no signature counts");
    // one that cannot be had is no answer
    web.fail(&format!("{image}.asc"), 503);
    verify(&s, APP).exits(2).says("503");
}

#[test]
fn an_image_that_is_not_there_is_no_answer() {
    let (s, web) = served();
    verify(&s, "aci:example.com/foo/app:2.0,os=linux,arch=amd64").exits(2).says("does not exist");
    web.take("/?ac-discovery=1");
    verify(&s, APP).exits(2).says("meta discovery");
    for status in [500, 429] {
        web.fail("/foo?ac-discovery=1", status);
        verify(&s, APP).exits(2).says(&status.to_string());
    }
    let long = "x".repeat((1 << 20) + 1);
    web.put("/foo/app?ac-discovery=1", long);
    verify(&s, APP).exits(2).says("larger than the limit");
}

#[test]
fn a_prefix_ends_where_a_part_of_the_name_ends() {
    let (s, web) = served();
    web.put("/?ac-discovery=1", page(&[("ac-discovery", "example.com/fo", TEMPLATE)]));
    verify(&s, APP).exits(2).says("meta discovery");
}

#[test]
fn a_page_leads_nowhere_but_to_https_outside() {
    let (s, web) = served();
    for address in [
        "http://example.com/{name}.{ext}",
        "file:///etc/{name}.{ext}",
        "https://127.0.0.1/{name}.{ext}",
        "http://localhost:9/{name}.{ext}",
        "https://me:secret@example.com/{name}.{ext}",
        "https://example.com/the-same",
        "https://example.com/{channel}.{ext}",
    ] {
        web.put("/?ac-discovery=1", page(&[("ac-discovery", "example.com", address)]));
        verify(&s, APP).exits(2).says("gives no https address");
    }
    // of several the first one that has it is taken
    let other = "https://example.com/none/{name}.{ext}";
    web.put(
        "/?ac-discovery=1",
        page(&[("ac-discovery", "example.com", other), ("ac-discovery", "example.com", TEMPLATE)]),
    );
    verify(&s, APP).exits(0);
}

#[test]
fn a_certificate_of_another_ca_is_not_believed() {
    let (s, _web) = served();
    s.ocisign(&format!("verify --keyring nist.pub.asc {APP}")).exits(2).says("cannot be reached");
}

#[test]
fn keys_that_are_offered_are_trusted_only_by_their_fingerprint() {
    let (s, web) = served();
    let add = "trust add --ca ca.pem --keyring keys --prefix example.com/foo";
    let ran = s.ocisign(add).exits(2).says("nothing is trusted yet");
    let fingerprint = ran.stdout.split_whitespace().next().unwrap().to_owned();
    assert!(!s.path("keys").exists());
    let by = |fingerprint: &str| s.ocisign(&format!("{add} --fingerprint {fingerprint}"));
    by(&"0".repeat(40)).exits(2).says("none of the keys");
    by(&fingerprint).exits(0).says("is trusted for example.com/foo");
    // the name that was asked for says which keys count
    s.ocisign(&format!("verify --ca ca.pem --keyring keys {APP}")).exits(0).says("trusted-1");
    web.put("/keys/nist.asc", "junk");
    by(&fingerprint).exits(1).says("no key to trust");
    s.ocisign("trust add --keyring keys --root").exits(2).says("FILE");
}
