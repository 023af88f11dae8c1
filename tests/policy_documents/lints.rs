//! What is allowed and most likely not meant.

use super::*;
use ocisign::policy::lint;
use ocisign::policy::test::link_by_name;

const NOW: &str = "2026-11-10T00:00:00Z";

fn lints_at(policy: &Value, now: &str) -> Vec<(&'static str, String)> {
    let document = load(policy).unwrap_or_else(|p| panic!("{p:#?}"));
    let policy = link_by_name(document).unwrap();
    lint(&policy, now.parse().unwrap()).into_iter().map(|l| (l.code, l.about)).collect()
}

/// A policy about which there is nothing to remark.
fn clean() -> Value {
    json!({
        "ocisign": "policy/1", "name": "clean", "serial": 1,
        "issued": "2026-11-01T00:00:00Z", "expires": "2027-11-01T00:00:00Z",
        "signers": { "ana": { "keys": [{ "file": "a", "sha256": "1".repeat(64) }] },
                     "bo": { "keys": [{ "file": "b", "sha256": "2".repeat(64) }] } },
        "rules": [
            { "id": "wide", "scope": ["a.example/**"], "require": [
                { "id": "both", "signed": { "by": ["ana", "bo"], "atLeast": 2, "reference": "repository" } }] },
            { "id": "app", "scope": ["a.example/app"], "require": [
                { "id": "both", "signed": { "by": ["ana", "bo"], "atLeast": 2, "reference": "exact" } }] }]
    })
}

fn found(pointer: &str, value: Value) -> Vec<(&'static str, String)> {
    let mut policy = clean();
    set(&mut policy, pointer, value);
    lints_at(&policy, NOW)
}

fn one(code: &'static str, about: &str) -> Vec<(&'static str, String)> {
    vec![(code, about.to_owned())]
}

#[test]
fn a_clean_policy_has_none() {
    assert_eq!(lints_at(&clean(), NOW), vec![]);
}

#[test]
fn l1_rules_that_never_decide() {
    let reject = json!([{ "id": "stop", "scope": ["a.example/**"], "reject": { "reason": "x" } }]);
    assert_eq!(found("/baseline", reject), [("L1", "app".to_owned()), ("L1", "wide".to_owned())]);
    assert_eq!(found("/rules/1/scope/1", json!("a.example/app/**")), vec![]);
    assert_eq!(found("/rules/0/scope/1", json!("a.example/team/x")), one("L1", "wide"));
    // between the two another rule decides, so that the inner one is needed
    let mut between = clean();
    set(&mut between, "/rules/1/scope/0", json!("a.example/team/**"));
    set(&mut between, "/rules/0/scope/1", json!("a.example/team/x"));
    assert_eq!(lints_at(&between, NOW), one("L11", "wide"));
}

#[test]
fn l2_checks_that_nothing_can_pass() {
    let revoked = json!([{ "signer": "bo", "reason": "left" }]);
    assert_eq!(
        found("/revoked", revoked),
        [("L2", "app/both".to_owned()), ("L2", "wide/both".to_owned())]
    );
    let ended = found("/signers/bo/keys/0/until", json!("2026-11-01T00:00:00Z"));
    assert_eq!(ended.iter().filter(|(code, _)| *code == "L2").count(), 2);
}

#[test]
fn l3_checks_that_nothing_can_pass_one_day() {
    let both = [("L3", "app/both".to_owned()), ("L3", "wide/both".to_owned())];
    let ends = |until: &str| {
        let mut policy = clean();
        set(&mut policy, "/signers/bo/keys/0/until", json!(until));
        policy
    };
    // long before it ends, and not where the policy ends first
    assert_eq!(lints_at(&ends("2027-06-01T00:00:00Z"), NOW), both);
    assert_eq!(lints_at(&ends("2027-12-01T00:00:00Z"), NOW), vec![]);
    // the next key is there
    let mut next = ends("2027-06-01T00:00:00Z");
    set(&mut next, "/signers/bo/keys/1", json!({ "file": "c", "sha256": "3".repeat(64) }));
    assert_eq!(lints_at(&next, NOW), vec![]);
    // one of two is enough
    let mut one_of_two = ends("2027-06-01T00:00:00Z");
    for rule in 0..2 {
        let at_least = format!("/rules/{rule}/require/0/signed/atLeast");
        set(&mut one_of_two, &at_least, json!(1));
    }
    assert_eq!(lints_at(&one_of_two, NOW), vec![]);
}

#[test]
fn l4_l5_l7_what_ends() {
    assert_eq!(found("/expires", json!("2026-11-20T00:00:00Z")), one("L4", "/expires"));
    assert_eq!(lints_at(&clean(), "2026-10-01T00:00:00Z"), one("L4", "/issued"));
    assert_eq!(
        found("/signers/bo/keys/0/until", json!("2026-12-01T00:00:00Z")).last(),
        one("L4", "/signers/bo/keys/0").last()
    );
    assert_eq!(
        found("/rules/1/mode", json!({"auditUntil": "2026-12-01T00:00:00Z"})),
        one("L7", "app")
    );
    assert_eq!(
        found("/rules/1/mode", json!({"auditUntil": "2026-11-01T00:00:00Z"})),
        one("L7", "app")
    );
    assert_eq!(found("/rules/1/mode", json!({"auditUntil": "2027-11-01T00:00:00Z"})), vec![]);
    let exception = |scope: &str, until: &str| {
        json!([{ "id": "e", "scope": [scope], "waive": ["app/both"], "from": "2026-10-01T00:00:00Z",
            "until": until, "reason": "x", "approvedBy": "y", "acceptUnsigned": true }])
    };
    assert_eq!(found("/exceptions", exception("a.example/app", "2027-03-01T00:00:00Z")), vec![]);
    assert_eq!(
        found("/exceptions", exception("a.example/app", "2026-11-09T00:00:00Z")),
        one("L5", "e")
    );
    assert_eq!(
        found("/exceptions", exception("a.example/app", "2026-11-19T00:00:00Z")),
        one("L4", "e")
    );
    assert_eq!(
        found("/exceptions", exception("a.example/x", "2027-03-01T00:00:00Z")),
        one("L5", "e")
    );
}

#[test]
fn l6_l11_what_permits_more_than_it_seems() {
    let accept = |scope: &str| json!({ "id": "x", "scope": [scope], "accept": { "reason": "r" } });
    assert_eq!(found("/rules/2", accept("b.example/**")), one("L6", "x"));
    assert_eq!(found("/rules/2", accept("b.example/x/**")), vec![]);
    assert_eq!(found("/rules/2", accept("a.example/x/**")), one("L11", "x"));
    assert_eq!(found("/rules/1/require/0/signed/atLeast", json!(1)), vec![]);
    let weaker = json!({ "by": ["ana", "bo"], "atLeast": 1, "reference": "repository" });
    assert_eq!(found("/rules/1/require/0/signed", weaker), one("L11", "app"));
}

#[test]
fn l13_what_is_not_used() {
    let eve = json!({ "keys": [{ "file": "e", "sha256": "3".repeat(64) }] });
    assert_eq!(found("/signers/eve", eve), one("L13", "/signers/eve"));
    assert_eq!(found("/schemas", json!({ "s": { "type": "object" } })), one("L13", "/schemas/s"));
    let mut used = clean();
    set(&mut used, "/schemas", json!({ "s": { "type": "object" } }));
    let image = json!({ "id": "i", "image": { "config": { "$ref": "#/schemas/s" } } });
    set(&mut used, "/rules/1/require/1", image);
    assert_eq!(lints_at(&used, NOW), vec![]);
}

#[test]
fn l16_l18_names_that_bind_nothing() {
    let at = "/rules/0/require/0/signed/reference";
    assert_eq!(found(at, json!("none")), one("L16", "wide/both"));
    let only_cosign = "/rules/1/require/0/signed/formats";
    assert_eq!(found(only_cosign, json!(["cosign"])), one("L16", "app/both"));
    let mut covering = clean();
    set(&mut covering, "/rules/1/require/0/signed/reference", json!("none"));
    set(&mut covering, "/rules/1/require/0/signed/on", json!("covering"));
    assert_eq!(lints_at(&covering, NOW), one("L18", "app/both"));
}

#[test]
fn what_a_policy_should_say_about_itself() {
    let mut bare = clean();
    for field in ["serial", "issued", "expires"] {
        bare.as_object_mut().unwrap().remove(field);
        let lints = lints_at(&bare, NOW);
        assert!(lints.contains(&(field, String::new())), "{lints:?}");
    }
    assert_eq!(
        found("/signers/bo/keys/0", json!({"file": "b"})),
        one("sha256", "/signers/bo/keys/0")
    );
    assert_eq!(found("/signers/bo/keys/0", json!({"pem": "-----BEGIN PUBLIC KEY-----"})), vec![]);
}
