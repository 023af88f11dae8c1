//! `policy`: check, fmt, init, explain, test.

use super::common::run::{Sandbox, copy_folder, source};
use super::demo;

/// Copies of the shipped policies and the keys that they name.
fn shipped() -> Sandbox {
    let s = Sandbox::with_layouts(&["demo"]);
    for folder in ["policies", "keys-test"] {
        copy_folder(&source(folder), &s.path(folder));
    }
    s
}

const NAMES: [&str; 7] =
    ["audit", "demo", "deny-all", "openpgp", "production", "release", "threshold"];

fn all() -> String {
    NAMES.map(|name| format!("policies/{name}.json")).join(" ")
}

#[test]
fn the_shipped_policies_are_valid_canonical_and_tested() {
    let s = shipped();
    let now = "--now 2026-11-23T08:00:00Z";
    let checked = s.ocisign(&format!("policy check {now} {}", all())).exits(0);
    assert_eq!(checked.stderr.matches(": valid").count(), NAMES.len(), "{checked}");
    s.ocisign(&format!("policy fmt --check {}", all())).exits(0);
    s.ocisign(&format!("policy test {}", all())).exits(0).says(" passed, 0 failed");
}

#[test]
fn check_points_at_what_is_wrong() {
    let s = shipped();
    let good = String::from_utf8(s.read("policies/demo.json")).unwrap();
    for (from, to, says) in [
        ("\"policy/1\"", "\"policy/9\"", "policy/9"),
        ("\"scope\"", "\"scoop\"", "scoop"),
        ("[\"demo.example/app\"]", "[]", "scope"),
        ("[\"demo\"]", "[\"dmeo\"]", "dmeo"),
        ("ecdsa-p256/key.pub", "README.md", "README.md"),
        ("\"reference\": \"repository\"", "\"reference\": \"nearly\"", "nearly"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        s.write("policies/bad.json", bad);
        s.ocisign("policy check policies/bad.json").exits(1).says("bad.json").says(says);
        s.ocisign("verify --policy policies/bad.json oci:demo:v1").exits(1).lacks("counts: ");
    }
    s.write("policies/bad.json", good.replace("ecdsa-p256/key.pub", "nobody.pub"));
    s.ocisign("policy check policies/bad.json").exits(2).says("nobody.pub");
}

#[test]
fn remarks_are_a_no_only_when_strict() {
    let s = shipped();
    let check = "policy check --now 2027-12-01T00:00:00Z policies/release.json";
    let ran = s.ocisign(check).exits(0);
    assert!(!ran.stdout.is_empty(), "an expired policy gets a remark: {ran}");
    s.ocisign(&format!("{check} --strict")).exits(1);
}

#[test]
fn fmt_prints_checks_and_rewrites() {
    let s = shipped();
    let good = s.read("policies/demo.json");
    let value: serde_json::Value = serde_json::from_slice(&good).unwrap();
    s.write("policies/squeezed.json", value.to_string());
    let printed = s.ocisign("policy fmt policies/squeezed.json").exits(0).stdout;
    s.ocisign("policy fmt --check policies/squeezed.json").exits(1).says("squeezed.json");
    assert_eq!(s.read("policies/squeezed.json"), value.to_string().into_bytes());
    s.ocisign("policy fmt --write policies/squeezed.json").exits(0);
    assert_eq!(s.read("policies/squeezed.json"), printed.into_bytes());
    s.ocisign("policy fmt --check policies/squeezed.json policies/demo.json").exits(0);
    s.ocisign("policy check policies/squeezed.json").exits(0);
}

#[test]
fn init_prints_a_policy_that_decides() {
    let s = demo();
    let init = "policy init --name mine --scope registry.example/app --signer me=me.pub";
    s.write("mine.json", s.ocisign(init).exits(0).stdout);
    s.ocisign("policy check --strict mine.json").exits(0);
    s.ocisign("policy fmt --check mine.json").exits(0);
    let sign = "sign --key me.key --as registry.example/app:v1 oci:demo:v1";
    s.ocisign(sign).exits(0);
    for (name, code) in [("registry.example/app:v1", 0), ("registry.example/other:v1", 1)] {
        s.ocisign(&format!("verify --policy mine.json --as {name} oci:demo:v1")).exits(code);
    }
    // the key file is pinned by its digest
    s.write("me.pub", s.read("other.pub"));
    let verify = "verify --policy mine.json --as registry.example/app:v1 oci:demo:v1";
    s.ocisign(verify).exits(1).says("the policy pins");
    s.ocisign("policy init --scope a//b --signer me=me.pub").exits(1);
    s.ocisign("policy init --scope ** --signer me=none.pub").exits(2).says("none.pub");
}

#[test]
fn explain_says_what_is_asked_of_a_name() {
    let s = shipped();
    for (image, says) in [
        ("demo.example/app:v1", "signed-by-demo"),
        ("demo.example/other:v1", "no rule matches"),
        ("--as demo.example/app:v1 oci:demo:v1", "signed-by-demo"),
        ("oci:demo:v1", "no rule matches"),
    ] {
        s.ocisign(&format!("policy explain --policy policies/demo.json {image}"))
            .exits(0)
            .says(says);
    }
}

#[test]
fn a_failed_case_is_a_no_and_named() {
    let s = shipped();
    let tests = String::from_utf8(s.read("policies/demo.test.json")).unwrap();
    s.write("policies/demo.test.json", tests.replacen("\"allow\"", "\"deny\"", 1));
    let ran = s.ocisign("policy test policies/demo.json").exits(1);
    ran.says("signed under its own name").says("1 failed");
    s.write("policies/demo.test.json", "{}");
    s.ocisign("policy test policies/demo.json").exits(1);
    std::fs::remove_file(s.path("policies/demo.test.json")).unwrap();
    s.ocisign("policy test policies/demo.json").exits(2).says("demo.test.json");
}

#[test]
fn the_policy_behind_key_is_shown_and_loads() {
    let s = demo();
    let options = "--key me.pub --key other.pub -a env=prod --reference repository";
    let printed =
        s.ocisign(&format!("verify {options} --print-policy oci:demo:v1")).exits(0).stdout;
    s.write("printed.json", &printed);
    s.ocisign("policy check printed.json").exits(0);
    s.ocisign("sign --key other.key -a env=prod --as a.example/app:v1 oci:demo:v1").exits(0);
    for name in ["a.example/app:v1", "b.example/app:v1"] {
        let image = format!("--as {name} --output json oci:demo:v1");
        let now = "--now 2026-11-23T08:00:00Z";
        let by_keys = s.ocisign(&format!("verify {now} {options} {image}"));
        let by_policy = s.ocisign(&format!("verify {now} --policy printed.json {image}"));
        assert_eq!((by_keys.code, by_keys.json()), (by_policy.code, by_policy.json()));
    }
}
