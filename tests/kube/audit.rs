//! What users and auditors are told.

use std::time::Duration;

use super::cluster::eventually;
use super::world::{Hook, World, simple_pod};

/// The annotations of the webhook on one creation, from the API server's
/// audit log.
fn annotations(w: &World, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    eventually(Duration::from_secs(10), || {
        let lines = w.cluster.audited(&w.namespace);
        let line = lines.iter().find(|line| {
            line["verb"] == "create"
                && line["objectRef"]["resource"] == "pods"
                && line["objectRef"]["name"] == name
        });
        let Some(line) = line else { return false };
        let map = line["annotations"].as_object().cloned().unwrap_or_default();
        found = map
            .into_iter()
            .filter(|(key, _)| key.starts_with("validate.admission.ocisign/"))
            .map(|(key, value)| (key, value.as_str().unwrap().to_owned()))
            .collect();
        true
    });
    found
}

#[test]
fn every_verdict_is_in_the_audit_log_of_the_api_server() {
    let Some(w) = World::guarded("annotated", &[Hook::Validate]) else { return };
    w.cluster.create(&w.collection("Pod"), &simple_pod("good", &w.signed)).succeeds();
    w.cluster.create(&w.collection("Pod"), &simple_pod("bad", &w.unsigned)).denied();
    let good = annotations(&w, "good");
    let text = format!("{good:?}");
    assert!(text.contains("allow") && text.contains(&w.signed), "{text}");
    let bad = format!("{:?}", annotations(&w, "bad"));
    assert!(bad.contains("deny") && bad.contains(&w.unsigned), "{bad}");
}

#[test]
fn in_audit_mode_users_are_warned_of_what_would_be_denied() {
    let Some(mut w) = World::new("warned") else { return };
    w.serve("--audit");
    w.register(&[Hook::Validate], |_| {});
    let pinned = format!("{}@{}", w.signed, w.digest());
    let good = w.cluster.create(&w.collection("Pod"), &simple_pod("good", &pinned)).succeeds();
    assert_eq!(good.warnings, [""; 0]);
    // it may be another image by the time that a node pulls it
    let tag = w.cluster.create(&w.collection("Pod"), &simple_pod("tag", &w.signed)).succeeds();
    assert!(tag.warnings.concat().contains(&w.digest()), "{tag:#?}");
    let bad = w.cluster.create(&w.collection("Pod"), &simple_pod("bad", &w.unsigned)).succeeds();
    let text = bad.warnings.join("\n");
    assert!(text.contains(&w.unsigned) && text.contains("signed-by-me"), "{text}");
    assert!(bad.warnings.iter().all(|warning| warning.len() <= 256), "{text}");
    let noted = format!("{:?}", annotations(&w, "bad"));
    assert!(noted.contains("deny") && noted.contains(&w.unsigned), "{noted}");
}

#[test]
fn a_policy_in_audit_mode_warns_too() {
    let Some(mut w) = World::new("would-deny") else { return };
    let mode = r#""id": "all", "mode": { "auditUntil": "2999-01-01T00:00:00Z" },"#;
    let policy = super::world::POLICY.replace(r#""id": "all","#, mode);
    w.sandbox.write("policy.json", policy);
    w.serve("");
    w.register(&[Hook::Validate], |_| {});
    let bad = w.cluster.create(&w.collection("Pod"), &simple_pod("bad", &w.unsigned)).succeeds();
    let text = bad.warnings.join("\n");
    assert!(text.contains(&w.unsigned), "{text}");
}

#[test]
fn every_decision_is_a_line_of_json_in_the_log() {
    let Some(w) = World::guarded("logged", &[Hook::Validate]) else { return };
    w.cluster.create(&w.collection("Pod"), &simple_pod("bad", &w.unsigned)).denied();
    let line = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let found = eventually(Duration::from_secs(5), || {
        w.log().lines().filter(|l| l.contains("\"decision\"")).map(line).any(|line| {
            line["image"] == w.unsigned.as_str()
                && line["decision"] == "deny"
                && line["namespace"] == "logged"
                && line["name"] == "bad"
                && line["user"] == "admin"
        })
    });
    assert!(found, "{}", w.log());
}
