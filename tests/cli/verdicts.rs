//! The verdict as `verify` prints it.

use super::demo;

#[test]
fn the_verdict_as_json_has_a_version_and_says_the_same_as_the_code() {
    let s = demo();
    s.ocisign("copy --no-referrers oci:demo:v1 oci:unsigned:v1").exits(0);
    super::common::run::copy_folder(&s.path("demo"), &s.path("partial"));
    std::fs::remove_file(super::damage::layer(&s.path("partial"))).unwrap();
    for (image, code, decision) in [
        ("oci:demo:v1", 0, "allow"),
        ("oci:unsigned:v1", 1, "deny"),
        ("oci:partial:v1", 2, "undecided"),
    ] {
        let line = format!("verify --key me.pub --output json {image}");
        let verdict = s.ocisign(&line).exits(code).json();
        assert_eq!(verdict["version"], "verdict/1");
        assert_eq!(verdict["decision"], decision, "{verdict}");
        assert!(verdict["digest"].as_str().unwrap().starts_with("sha256:"), "{verdict}");
    }
}

#[test]
fn an_allow_names_the_digest_to_run() {
    let s = demo();
    let json = s.ocisign("verify --key me.pub --output json oci:demo:v1").exits(0).json();
    let digest = json["digest"].as_str().unwrap();
    let pinned = format!("run localhost/demo@{digest}");
    s.ocisign("verify --key me.pub oci:demo:v1").exits(0).says(&pinned);
    s.ocisign("verify --key other.pub oci:demo:v1").exits(1).lacks("\nrun ");
}

/// The same question at the same instant has the same answer, byte for byte.
#[test]
fn the_verdict_depends_on_the_instant_that_was_given() {
    let s = demo();
    let verify = "verify --key me.pub --output json --now 2026-11-23T08:00:00Z oci:demo:v1";
    let first = s.ocisign(verify).exits(0);
    assert_eq!(s.ocisign(verify).exits(0).stdout, first.stdout);
    assert_eq!(first.json()["now"], "2026-11-23T08:00:00Z");
}

#[test]
fn depth_is_asked_for_and_shown() {
    let s = demo();
    for depth in ["manifests", "layers", "contents"] {
        let line = format!("verify --key me.pub --output json --depth {depth} oci:demo:v1");
        assert_eq!(s.ocisign(&line).exits(0).json()["depth"], depth);
        let tree = s.ocisign(&format!("tree --depth {depth} --output json oci:demo:v1")).exits(0);
        assert!(tree.json().is_object(), "{tree}");
    }
}
