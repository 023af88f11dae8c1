//! `ocisign export`: the files that are written, and when none are.

use std::os::unix::fs::PermissionsExt as _;

use super::common::run::Sandbox;
use super::{demo, files};

const EXPORT: &str = "export containers-policy --policy p.json --output-dir out";

/// A policy for `r.example/**` in which `field` stands beside the rules.
fn with_policy(check: &str, field: &str) -> Sandbox {
    let s = demo();
    let policy = format!(
        r#"{{"ocisign": "policy/1", "name": "p", {field}
  "signers": {{"me": {{"keys": [{{"file": "me.pub"}}]}}}},
  "rules": [{{"id": "r", "scope": ["r.example/**"], "require": [{check}]}}]}}"#
    );
    s.write("p.json", policy);
    s
}

const SIGNED: &str = r#"{"id": "s", "signed": {"by": ["me"], "reference": "exact"}}"#;

#[test]
fn two_files_that_anyone_can_read() {
    let s = with_policy(SIGNED, "");
    let ran = s.ocisign(EXPORT).exits(0).says("--format cosign --recursive");
    assert_eq!(ran.stdout, "out/registries.d/ocisign.yaml\nout/policy.json\n");
    let written = files(&s.path("out"));
    assert_eq!(written.len(), 2);
    for file in ["out/policy.json", "out/registries.d/ocisign.yaml"] {
        let mode = s.path(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
    // the same policy gives the same bytes
    s.ocisign(&format!("{EXPORT} --force")).exits(0);
    assert_eq!(files(&s.path("out")), written);
    let quiet = s.ocisign(&format!("-q {EXPORT} --force")).exits(0);
    assert!(quiet.stderr.is_empty(), "{quiet}");
}

#[test]
fn files_that_exist_are_kept_without_force() {
    let s = with_policy(SIGNED, "");
    for file in ["out/policy.json", "out/registries.d/ocisign.yaml"] {
        s.write(file, "mine");
        s.ocisign(EXPORT).exits(2).says(file).says("--force");
        assert_eq!(files(&s.path("out")).len(), 1, "all or nothing");
        assert_eq!(s.read(file), b"mine");
        std::fs::remove_file(s.path(file)).unwrap();
    }
    s.write("out/policy.json", "mine");
    s.ocisign(&format!("{EXPORT} --force")).exits(0);
    assert_ne!(s.read("out/policy.json"), b"mine");
    // nothing else is left behind
    assert_eq!(files(&s.path("out")).len(), 2);
}

#[test]
fn nothing_is_written_where_something_cannot_be_said() {
    let layers = format!(r#"{SIGNED}, {{"id": "small", "image": {{"maxLayers": 9}}}}"#);
    let s = with_policy(&layers, r#""expires": "2999-01-01T00:00:00Z","#);
    s.write("out/policy.json", "mine");
    let ran = s.ocisign(&format!("{EXPORT} --force")).exits(1);
    // all of it, each with its place
    let ran = ran.says("`/expires`: it ends at 2999-01-01T00:00:00Z").says("--snapshot");
    assert!(ran.says("`r/small`: policy.json does not look into images").stdout.is_empty());
    assert_eq!(s.read("out/policy.json"), b"mine");
    assert_eq!(files(&s.path("out")).len(), 1);
}

#[test]
fn a_snapshot_says_how_long_it_is_good() {
    let s = with_policy(SIGNED, r#""expires": "2999-01-01T00:00:00Z","#);
    s.ocisign(&format!("{EXPORT} --snapshot")).exits(0).says("good until 2999-01-01T00:00:00Z");
    let yaml = String::from_utf8(s.read("out/registries.d/ocisign.yaml")).unwrap();
    assert!(yaml.contains("# Export again before 2999-01-01T00:00:00Z."), "{yaml}");
}

#[test]
fn what_is_denied_in_excess_is_told() {
    let none = SIGNED.replace("exact", "none");
    let s = with_policy(&none, "");
    s.ocisign(EXPORT).exits(0).says("stricter than the policy: `r/s`");
}

#[test]
fn policies_that_do_not_load_and_places_that_cannot_be_written() {
    let s = with_policy(SIGNED, "");
    s.write("bad.json", "{}");
    s.ocisign("export containers-policy --policy bad.json --output-dir out").exits(1);
    s.ocisign("export containers-policy --policy none.json --output-dir out").exits(2);
    s.ocisign("export containers-policy --policy p.json").exits(2).says("--output-dir");
    s.ocisign("export").exits(2);
    s.write("file", "");
    s.ocisign("export containers-policy --policy p.json --output-dir file").exits(2).says("file");
}
