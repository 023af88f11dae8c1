//! Another policy or other keys, while questions are under way.

use std::time::Duration;

use ocisign::Engine;
use ocisign::gate::Settings;
use serde_json::json;

use crate::common::registry::Lie;
use crate::scene::*;

/// Questions under way are answered by the policy that they began with, and
/// no later one by anything of it.
#[tokio::test]
async fn a_new_policy_answers_every_question_that_comes_after_it() {
    let (registry, _) = signed_app();
    registry.lie("GET /v2/app/referrers/*", Lie::Drip(200, Duration::from_millis(50)));
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let first = {
        let (gate, question) = (gate.clone(), question(&tagged));
        tokio::spawn(async move { told(gate.judge(&question).await) })
    };
    until("the listing is read", || registry.count("GET /v2/app/referrers/*") > 0).await;
    gate.replace(engine(&json!([
        {"id": "no", "scope": ["**"], "reject": {"reason": "a test"}}
    ])));
    let second = ask(&gate, &tagged);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), ALLOWED);
    assert_eq!(second, DENIED, "it joins no verification under another policy");
    assert_eq!(ask(&gate, &tagged).await, STILL_DENIED);
    gate.replace(engine(&signed_by("ana")));
    assert_eq!(ask(&gate, &tagged).await, STILL_ALLOWED, "the policy is the one of before");
}

/// The bytes of the policy are the same, and a key file beside it is not.
#[tokio::test]
async fn other_keys_under_the_same_policy_are_another_trust() {
    let (registry, _) = signed_app();
    let folder = tempfile::tempdir().unwrap();
    let text = json!({
        "ocisign": "policy/1", "name": "p",
        "signers": {"ana": {"keys": [{"file": "key.pub"}]}},
        "rules": signed_by("ana"),
    });
    let load = |key: &str| {
        std::fs::copy(path(key), folder.path().join("key.pub")).unwrap();
        let text = text.to_string();
        Engine::from_text("p.json", text.as_bytes(), folder.path(), &limits()).unwrap()
    };
    let old = load("keys-test/ecdsa-p256/key.pub");
    let (policy, epoch) = (old.policy().document().digest.clone(), old.epoch().clone());
    let gate = gate_with(old, Settings::default());
    let tagged = name(&registry, REPOSITORY, ":v1");
    assert_eq!(ask(&gate, &tagged).await, ALLOWED);
    gate.replace(load("keys-test/ed25519/key.pub"));
    assert_eq!(gate.engine().policy().document().digest, policy);
    assert_ne!(*gate.engine().epoch(), epoch);
    assert_eq!(ask(&gate, &tagged).await, DENIED);
    gate.replace(load("keys-test/ecdsa-p256/key.pub"));
    assert_eq!(*gate.engine().epoch(), epoch);
    assert_eq!(ask(&gate, &tagged).await, STILL_ALLOWED);
}

/// A reload in the middle of load: every answer is what the policy says that
/// it names, and that is no older than the question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_mixes_nothing() {
    let (registry, _) = signed_app();
    let gate = gate();
    let load = |round: u64| {
        // each round has a policy of its own; every other one rejects
        let rules = match round % 2 {
            0 => signed_by("ana"),
            _ => json!([{"id": "no", "scope": ["**"], "reject": {"reason": "a test"}}]),
        };
        engine_of(&policy(&rules, &json!({"serial": round + 1})), &limits())
    };
    let mut asked = Vec::new();
    for round in 0..20 {
        gate.replace(load(round));
        for _ in 0..5 {
            let (gate, question) = (gate.clone(), question(name(&registry, REPOSITORY, ":v1")));
            asked.push(tokio::spawn(async move { (round, gate.judge(&question).await.unwrap()) }));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for one in asked {
        let (round, answer) = one.await.unwrap();
        let judged_in = answer.verdict().serial.unwrap() - 1;
        assert!(judged_in >= round, "asked in round {round}, judged by {judged_in}");
        assert_eq!(answer.admit().is_ok(), judged_in % 2 == 0, "{judged_in}");
    }
}
