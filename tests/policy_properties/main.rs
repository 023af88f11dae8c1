//! The properties of the decision (policy language, "Properties"), tested
//! with generated policies, images and signatures.
//!
//! Each test also counts how often the interesting case came up: a property
//! of allows that never sees one would hold of anything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

mod breakpoints;
mod generate;
mod interpreter;
mod meaning;
mod verdicts;

use std::collections::BTreeSet;

use generate::{STRANGER, World, facts, hour, key, load, states, world};
use ocisign::evidence::{Facts, Reason, Rejection, Signer};
use ocisign::image::NodeState;
use ocisign::policy::scope::Scope;
use ocisign::policy::{
    Action, CheckKind, CheckOutcome, Decision, Policy, Row, RuleOutcome, Verdict, simulate,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

/// Runs `test` on `cases` generated inputs. It answers whether the case was
/// one that the property is about; at least `share` in a hundred must be.
fn for_all<S: Strategy>(
    cases: u32,
    share: u32,
    strategy: S,
    test: impl Fn(S::Value) -> Result<bool, TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let telling = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&strategy, |input| {
        telling.set(telling.get() + u32::from(test(input)?));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let told = telling.get() * 100 / cases;
    assert!(told >= share, "only {told} in a hundred cases tell anything, {share} wanted");
}

fn judge(policy: &Policy, world: &World) -> Verdict {
    judge_with(policy, world, &[])
}

fn judge_with(policy: &Policy, world: &World, rejections: &[Rejection]) -> Verdict {
    let World { request, shape, facts, now, .. } = world;
    simulate(policy, request, shape, facts, rejections, *now).verdict().clone()
}

fn allows(verdict: &Verdict) -> bool {
    verdict.decision == Decision::Allow
}

/// Loads a policy that was changed.
fn loaded(world: &World) -> Policy {
    load(&world.policy).expect("the changed policy loads too")
}

fn rules(verdict: &Verdict) -> impl Iterator<Item = &RuleOutcome> {
    verdict.rule.iter().chain(&verdict.baseline)
}

/// Every check of the verdict, as `rule/check`, at any nesting.
fn checks(verdict: &Verdict) -> Vec<(String, &CheckOutcome)> {
    fn walk<'a>(rule: &str, list: &'a [CheckOutcome], all: &mut Vec<(String, &'a CheckOutcome)>) {
        for check in list {
            all.push((format!("{rule}/{}", check.id), check));
            check.branches.iter().for_each(|branch| walk(rule, branch, all));
        }
    }
    let mut all = Vec::new();
    rules(verdict).for_each(|rule| walk(&rule.id, &rule.checks, &mut all));
    all
}

/// What a verdict says apart from its digest of the evidence and what it
/// ignored.
fn counted(verdict: &Verdict) -> Value {
    let of = |check: &CheckOutcome| json!([check.held, check.counted]);
    json!({
        "decision": verdict.decision, "row": verdict.row, "wouldDeny": verdict.would_deny,
        "checks": checks(verdict).iter().map(|(id, c)| json!([id, of(c)])).collect::<Vec<_>>(),
    })
}

fn with_facts(world: &World, more: Vec<Facts>) -> World {
    let mut world = world.clone();
    world.facts.extend(more);
    world
}

/// A world and further signatures on its image.
fn world_and_more() -> impl Strategy<Value = (World, Vec<Facts>)> {
    world().prop_flat_map(|world| {
        let more = prop::collection::vec(facts(&world.shape, &world.request), 1..5);
        (Just(world), more)
    })
}

#[test]
fn the_engine_means_what_the_interpreter_says() {
    for_all(1000, 15, world(), |world| {
        let policy = &world.linked;
        let verdict = judge(policy, &world);
        let meaning = interpreter::meaning(policy, &world);
        prop_assert_eq!(verdict.decision, meaning.decision, "{:#?}", verdict);
        prop_assert_eq!(verdict.row, meaning.row, "{:#?}", verdict);
        prop_assert_eq!(verdict.rule.as_ref().map(|r| r.id.clone()), meaning.rule);
        prop_assert_eq!(&verdict.would_deny, &meaning.would_deny, "{:#?}", verdict);
        Ok(allows(&verdict))
    });
}

#[test]
fn the_worlds_reach_every_row() {
    let mut seen = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..2000 {
        let world = world().new_tree(&mut runner).unwrap().current();
        seen.insert(judge(&world.linked, &world).row);
        // seldom nobody has signed
        let unsigned = World { facts: Vec::new(), ..world };
        seen.insert(judge(&unsigned.linked, &unsigned).row);
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

/// P1: total and deterministic, whatever the order or duplication of
/// evidence, rules or keys.
#[test]
fn p1_order_and_copies_change_nothing() {
    let shuffled = world().prop_flat_map(|world| {
        let facts = [world.facts.clone(), world.facts.clone()].concat();
        (Just(world), Just(facts).prop_shuffle(), any::<bool>())
    });
    for_all(300, 10, shuffled, |(world, mixed, reverse)| {
        let rejections = [rejection("b", Reason::BadSignature), rejection("a", other())];
        let verdict = judge_with(&world.linked, &world, &rejections);
        let mut other = world.clone();
        other.facts = mixed;
        if reverse {
            reverse_lists(&mut other.policy);
        }
        let [first, second] = rejections;
        let rejections = [second.clone(), first, second];
        let mut again = judge_with(&loaded(&other), &other, &rejections);
        // the bytes of the policy differ where its lists do
        again.policy_digest = verdict.policy_digest.clone();
        prop_assert_eq!(&verdict, &again);
        Ok(allows(&verdict))
    });
}

fn other() -> Reason {
    Reason::Foreign("an SBOM".to_owned())
}

fn rejection(item: &str, reason: Reason) -> Rejection {
    Rejection { item: item.to_owned(), format: None, reason }
}

fn reverse_lists(policy: &mut Value) {
    for list in ["rules", "baseline", "exceptions", "revoked"] {
        if let Some(list) = policy.get_mut(list).and_then(Value::as_array_mut) {
            list.reverse();
        }
    }
}

/// P2: more evidence never turns allow to anything else.
#[test]
fn p2_more_evidence_never_takes_an_allow_away() {
    for_all(400, 10, world_and_more(), |(world, more)| {
        let policy = &world.linked;
        let before = judge(policy, &world);
        let after = judge(policy, &with_facts(&world, more));
        prop_assert!(!allows(&before) || allows(&after), "{before:#?} {after:#?}");
        Ok(allows(&before))
    });
}

/// P3: items that verify for no named signer change neither the decision nor
/// what counts.
#[test]
fn p3_noise_changes_nothing() {
    for_all(300, 10, world_and_more(), |(world, mut noise)| {
        for facts in &mut noise {
            facts.signer = Signer::Key { key: key(STRANGER) };
        }
        let policy = &world.linked;
        let before = judge(policy, &world);
        let after = judge(policy, &with_facts(&world, noise));
        prop_assert_eq!(counted(&before), counted(&after));
        Ok(allows(&before))
    });
}

/// P4: what a signer adds changes nothing in a check that does not name it.
/// (`newest`, by which a signer can supersede itself, comes later.)
#[test]
fn p4_a_signer_speaks_for_itself_alone() {
    for_all(300, 5, world_and_more(), |(world, mut more)| {
        for facts in &mut more {
            facts.signer = Signer::Key { key: key(2) }; // bo's
        }
        let policy = &world.linked;
        let (before, added) = (judge(policy, &world), with_facts(&world, more));
        let after = judge(policy, &added);
        let mut told = false;
        for ((id, old), (_, new)) in checks(&before).into_iter().zip(checks(&after)) {
            let of_bo = old.need.contains("bo") || !old.branches.is_empty();
            if !of_bo {
                prop_assert_eq!((old.held, &old.counted), (new.held, &new.counted), "{}", id);
                told |= !old.counted.is_empty();
            }
        }
        Ok(told)
    });
}

/// P5: nothing is allowed without a reason: a counted item, a written
/// `accept`, an exception that says `acceptUnsigned`, or an audit that names
/// what it let through.
#[test]
fn p5_every_allow_has_its_reason() {
    for_all(400, 10, world(), |world| {
        let policy = &world.linked;
        let verdict = judge(policy, &world);
        if !allows(&verdict) {
            return Ok(false);
        }
        let rule = verdict.rule.as_ref().expect("an allow has a rule");
        let by_item = checks(&verdict).iter().any(|(id, check)| {
            id.starts_with(&format!("{}/", rule.id)) && check.held && !check.counted.is_empty()
        });
        let unsigned = policy.document().exceptions.iter().any(|exception| {
            exception.accept_unsigned && verdict.exceptions_used.contains(&exception.id)
        });
        let audited = !verdict.would_deny.is_empty();
        prop_assert!(by_item || unsigned || audited || rule.reason.is_some(), "{verdict:#?}");
        Ok(true)
    });
}

/// P6: a check that holds was signed with at least k distinct keys; copies of
/// a signature in other envelopes and places never raise the count.
#[test]
fn p6_people_are_counted_and_not_signatures() {
    for_all(400, 10, world(), |world| {
        let policy = &world.linked;
        let verdict = judge(policy, &world);
        let mut copies = world.clone();
        for (at, mut copy) in world.facts.iter().cloned().enumerate() {
            copy.item = format!("copy {at}");
            copies.facts.push(copy.clone());
            copy.claims.annotations.insert("n".to_owned(), at.to_string());
            copies.facts.push(copy);
        }
        let again = judge(policy, &copies);
        prop_assert_eq!(verdict.decision, again.decision);
        let mut told = false;
        let asked = thresholds(policy);
        for ((id, one), (_, two)) in checks(&verdict).into_iter().zip(checks(&again)) {
            prop_assert_eq!(one.held, two.held, "{}", &id);
            prop_assert_eq!(votes(one), votes(two), "{}", &id);
            let Some(at_least) = asked.iter().find(|(name, _)| *name == id).map(|(_, k)| *k) else {
                continue;
            };
            if one.held && one.waived_by.is_empty() {
                let keys: BTreeSet<_> = one.counted.iter().map(|c| &c.key).collect();
                let people: BTreeSet<_> = one.counted.iter().map(|c| &c.signer).collect();
                prop_assert!(keys.len() >= at_least && people.len() >= at_least, "{:#?}", one);
                told = true;
            }
        }
        Ok(told)
    });
}

fn votes(check: &CheckOutcome) -> BTreeSet<(&str, String)> {
    check.counted.iter().map(|c| (c.signer.as_str(), c.node.to_string())).collect()
}

/// `atLeast` of every `signed`, as `rule/check`.
fn thresholds(policy: &Policy) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let document = policy.document();
    for rule in document.rules.iter().chain(&document.baseline) {
        let Action::Require { checks, .. } = &rule.action else { continue };
        let mut todo: Vec<_> = checks.iter().collect();
        while let Some(check) = todo.pop() {
            match &check.kind {
                CheckKind::Signed(signed) => {
                    found.push((format!("{}/{}", rule.id, check.id), signed.at_least));
                }
                CheckKind::AnyOf(branches) => todo.extend(branches.iter().flatten()),
                CheckKind::Image(_) => {}
            }
        }
    }
    found
}

/// P7: what makes a policy stricter never allows what was not allowed.
#[test]
fn p7_stricter_is_stricter() {
    let stricter = (world(), 0..5u8, any::<Index>(), 0..6u8);
    for_all(600, 10, stricter, |(world, how, at, number)| {
        let mut strict = world.clone();
        if !tighten(&mut strict.policy, how, at, number) {
            return Ok(false);
        }
        // a raised threshold may be one that no loaded policy can have
        let Some(policy) = load(&strict.policy) else { return Ok(false) };
        let (loose, strict) = (judge(&world.linked, &world), judge(&policy, &strict));
        prop_assert!(allows(&loose) || !allows(&strict), "{loose:#?} {strict:#?}");
        Ok(allows(&loose))
    });
}

/// Whether there was something to make stricter.
fn tighten(policy: &mut Value, how: u8, at: Index, number: u8) -> bool {
    match how {
        0 | 1 => {
            let mut signed = Vec::new();
            collect_signed(policy, &mut signed);
            if signed.is_empty() {
                return false;
            }
            let signed = signed.swap_remove(at.index(signed.len()));
            if how == 0 {
                signed["atLeast"] = json!(signed["atLeast"].as_u64().unwrap() + 1);
            } else {
                signed["annotations"] = json!({"env": "prod", "team": "*"});
            }
        }
        2 => {
            let by = json!({"by": ["bo"], "reference": "none"});
            let rule = json!({"id": "added", "scope": ["**"],
                              "require": [{"id": "x", "signed": by}]});
            push(policy, "baseline", rule);
        }
        3 => push(policy, "revoked", json!({"key": key(number).to_string(), "reason": "lost"})),
        _ => {
            let list = policy.get_mut("exceptions").and_then(Value::as_array_mut);
            let Some(list) = list else { return false };
            list.remove(at.index(list.len()));
            if list.is_empty() {
                policy.as_object_mut().unwrap().remove("exceptions");
            }
        }
    }
    true
}

fn push(policy: &mut Value, list: &str, item: Value) {
    let object = policy.as_object_mut().unwrap();
    let list = object.entry(list).or_insert_with(|| json!([]));
    list.as_array_mut().unwrap().push(item);
}

fn collect_signed<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if name == "signed" {
                    found.push(value);
                } else {
                    collect_signed(value, found);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| collect_signed(value, found)),
        _ => {}
    }
}

/// P9: two scopes are nested or disjoint, and the selected rule is the
/// smallest match.
#[test]
fn p9_the_smallest_matching_scope_decides() {
    for_all(300, 60, world(), |world| {
        let policy = &world.linked;
        let name = world.request.reference.repository();
        let entries: Vec<(&str, &Scope)> = policy
            .document()
            .rules
            .iter()
            .flat_map(|rule| rule.scope.iter().map(|scope| (rule.id.as_str(), scope)))
            .collect();
        for (_, one) in &entries {
            for (_, two) in &entries {
                let shared = one.matches(name) && two.matches(name);
                prop_assert!(!shared || one.contains(two) || two.contains(one), "{one} {two}");
            }
        }
        let matching = entries.iter().filter(|(_, scope)| scope.matches(name));
        let smallest = matching.min_by_key(|(_, scope)| {
            entries.iter().filter(|(_, other)| scope.contains(other)).count()
        });
        let verdict = judge(policy, &world);
        let read = !matches!(
            verdict.row,
            Row::PolicyExpired
                | Row::PolicyNotYetValid
                | Row::Integrity
                | Row::Revoked
                | Row::Rejected
        );
        if read {
            let chosen = verdict.rule.as_ref().map(|rule| (rule.id.as_str(), rule.scope.clone()));
            prop_assert_eq!(chosen, smallest.map(|(id, scope)| (*id, scope.to_string())));
        }
        Ok(read)
    });
}

/// P10: wrong bytes anywhere in the tree are a denial that no policy, mode or
/// exception lifts.
#[test]
fn p10_a_wrong_node_is_denied_by_every_policy() {
    let broken = (world(), any::<Index>(), 0..5usize);
    for_all(400, 10, broken, |(world, at, how)| {
        let policy = &world.linked;
        let before = judge(policy, &world);
        let mut broken = world.clone();
        let at = at.index(broken.shape.nodes.len());
        broken.shape.nodes[at].state = states()[how].clone();
        let after = judge(policy, &broken);
        let timely = !matches!(after.row, Row::PolicyExpired | Row::PolicyNotYetValid);
        prop_assert_eq!(after.decision, Decision::Deny);
        prop_assert!(!timely || after.row == Row::Integrity, "{after:#?}");
        Ok(allows(&before))
    });
}

/// P12: what is allowed where rules enforce is allowed under audit, with
/// nothing in `wouldDeny`.
#[test]
fn p12_audit_lets_through_what_enforcing_allows() {
    for_all(500, 10, world(), |world| {
        let strict = with_mode(&world, None);
        let enforced = judge(&loaded(&strict), &strict);
        let lenient = with_mode(&world, Some(json!({"auditUntil": hour(100).to_string()})));
        let audited = judge(&loaded(&lenient), &lenient);
        if allows(&enforced) {
            prop_assert!(allows(&audited) && audited.would_deny.is_empty(), "{audited:#?}");
        }
        Ok(allows(&enforced))
    });
}

/// The same world with every rule under audit, or none.
fn with_mode(world: &World, mode: Option<Value>) -> World {
    let mut world = world.clone();
    for list in ["rules", "baseline"] {
        for rule in world.policy.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(rule) = rule.as_object_mut() else { continue };
            rule.remove("mode");
            if let (Some(mode), true) = (&mode, rule.contains_key("require")) {
                rule.insert("mode".to_owned(), mode.clone());
            }
        }
    }
    world
}

/// Rows 0 to 2 stand above everything: a world that is broken, revoked and
/// out of time gets the first answer.
#[test]
fn the_first_row_that_applies_answers() {
    let mut runner = TestRunner::deterministic();
    let mut world = world().new_tree(&mut runner).unwrap().current();
    let root = world.request.digest.to_string();
    world.policy["revoked"] = json!([{"digest": root, "reason": "leaks"}]);
    world.policy["issued"] = json!(hour(-9).to_string());
    world.policy["expires"] = json!(hour(3).to_string());
    world.shape.nodes[0].state = NodeState::Mismatch("other bytes".to_owned());
    let row = |world: &World| judge(&loaded(world), world).row;
    world.now = hour(3);
    assert_eq!(row(&world), Row::PolicyExpired);
    world.now = hour(2);
    assert_eq!(row(&world), Row::Integrity);
    for node in &mut world.shape.nodes {
        node.state = NodeState::Verified;
    }
    assert_eq!(row(&world), Row::Revoked);
    world.now = hour(-10);
    assert_eq!(row(&world), Row::PolicyNotYetValid);
}
