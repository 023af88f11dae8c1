//! What is remembered, for how long, and what never is.

use std::time::Duration;

use ocisign::gate::{Origin, Settings};
use ocisign::{Decision, Limits};
use serde_json::json;

use crate::common::registry::{Lie, Options, Registry};
use crate::scene::*;

#[tokio::test]
async fn an_allow_is_remembered_for_ten_minutes() {
    let (registry, _) = signed_app();
    let hands = Hands::new();
    let gate = gate_with(engine(&signed_by("ana")), hands.settings());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
    hands.pass(599);
    assert_eq!(ask(&gate, &tagged).await, STILL_ALLOWED);
    hands.pass(1);
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
}

/// Whoever signs now is admitted soon.
#[tokio::test]
async fn a_deny_is_remembered_for_ten_seconds_and_a_fresh_signature_counts() {
    let registry = Registry::start(Options::default());
    let image = push(&registry, REPOSITORY, "v1", "one");
    let hands = Hands::new();
    // a caller cannot have it longer
    let settings = Settings { deny_for: Duration::from_secs(3600), ..hands.settings() };
    let gate = gate_with(engine(&signed_by("ana")), settings);
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, DENIED);
    sign(&registry, REPOSITORY, &image, "ana", None);
    hands.pass(9);
    assert_eq!(ask(&gate, &tagged).await, STILL_DENIED);
    hands.pass(1);
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
}

#[tokio::test]
async fn a_caller_may_have_it_shorter() {
    let registry = Registry::start(Options::default());
    push(&registry, REPOSITORY, "v1", "one");
    let signed = push(&registry, "signed", "v1", "one");
    sign(&registry, "signed", &signed, "ana", None);
    let none =
        Settings { deny_for: Duration::ZERO, allow_for: Duration::ZERO, ..Settings::default() };
    let gate = gate_with(engine(&signed_by("ana")), none);
    for _ in 0..2 {
        assert_eq!(ask(&gate, name(&registry, REPOSITORY, ":v1")).await, DENIED);
        assert_eq!(ask(&gate, name(&registry, "signed", ":v1")).await, ALLOWED);
    }
    assert_eq!(gate.load().verdicts, 0);
}

/// Audit lets it through with a warning; who signs it wants the warning gone.
#[tokio::test]
async fn what_audit_let_through_is_remembered_as_a_deny_is() {
    let registry = Registry::start(Options::default());
    let image = push(&registry, REPOSITORY, "v1", "one");
    let mut rules = signed_by("ana");
    rules[0]["mode"] = json!({"auditUntil": "9000-01-01T00:00:00Z"});
    let hands = Hands::new();
    let gate = gate_with(engine(&rules), hands.settings());
    let tagged = question(name(&registry, REPOSITORY, ":v1"));
    let would_deny = async || {
        let answer = gate.judge(&tagged).await.unwrap();
        assert_eq!(answer.verdict().decision, Decision::Allow);
        answer.verdict().would_deny.clone()
    };
    assert_eq!(would_deny().await, ["signed/s"]);
    sign(&registry, REPOSITORY, &image, "ana", None);
    hands.pass(9);
    assert_eq!(would_deny().await, ["signed/s"]);
    hands.pass(1);
    assert!(would_deny().await.is_empty());
}

/// Neither an error nor a verdict that says undecided.
#[tokio::test]
async fn what_could_not_be_decided_is_never_remembered() {
    let (registry, image) = signed_app();
    let gate = gate();
    let tagged = question(name(&registry, REPOSITORY, ":v1"));
    // an error: the list of signatures cannot be had
    registry.lie_times(limits().attempts as usize, "GET /v2/app/referrers/*", Lie::Status(500));
    assert!(gate.judge(&tagged).await.is_err());
    // a verdict: a signature is listed and cannot be had
    let bundle = sign(&registry, REPOSITORY, &image, "bo", None);
    let others = registry.count("GET /v2/app/blobs/*");
    assert_eq!(others, 1, "the config, before the list failed");
    registry.lie_times(4, "GET /v2/app/blobs/*", Lie::Status(500));
    let answer = gate.judge(&tagged).await.unwrap();
    assert_eq!(answer.verdict().decision, Decision::Undecided, "{}", bundle.digest);
    assert!(answer.admit().is_err());
    assert_eq!(gate.load().verdicts, 0);
    assert_eq!(told(gate.judge(&tagged).await), ALLOWED);
}

/// A failing registry costs the questions that ask it, and an allow that is
/// remembered goes on: the image is the same.
#[tokio::test]
async fn what_is_remembered_of_a_digest_outlasts_its_registry() {
    let (registry, image) = signed_app();
    let gate = gate();
    let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
    let tagged = question(name(&registry, REPOSITORY, ":v1"));
    assert_eq!(ask(&gate, &pinned).await, ALLOWED);
    registry.lie("GET /v2/*", Lie::Status(503));
    assert_eq!(ask(&gate, &pinned).await, STILL_ALLOWED);
    let why = gate.judge(&tagged).await.unwrap_err();
    assert!(why.to_string().contains("503"), "{why}");
}

/// The memory is bounded, whatever comes.
#[tokio::test]
async fn verdicts_are_remembered_up_to_a_number_of_bytes() {
    let registry = Registry::start(Options::default());
    let limits = Limits { remembered_verdict_bytes: 40 << 10, ..limits() };
    let engine = engine_of(&policy(&signed_by("ana"), &json!({})), &limits);
    let gate = gate_with(engine, Settings::default());
    for number in 0..60 {
        let image = push(&registry, REPOSITORY, "v1", &number.to_string());
        let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
        assert_eq!(ask(&gate, pinned).await, DENIED);
    }
    let kept = gate.load().verdicts;
    assert!((1..=15).contains(&kept), "{kept} verdicts of over 2 KiB each in 40 KiB");
}

/// Questions at once and one after the other are answered the same.
#[tokio::test]
async fn an_answer_says_where_it_comes_from() {
    let (registry, _) = signed_app();
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let (first, second) = tokio::join!(ask(&gate, &tagged), ask(&gate, &tagged));
    // either may be first
    let mut origins = [first.1, second.1].map(|origin| format!("{origin:?}"));
    origins.sort();
    assert_eq!(origins, ["Joined", "Verified"]);
    assert_eq!(ask(&gate, &tagged).await.1, Origin::Remembered);
}
