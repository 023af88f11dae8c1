//! P11: between two breakpoints time changes nothing, so a verdict may be
//! remembered to the next one and no further.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use ocisign::policy::{Decision, Policy, Verdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use crate::generate::{World, hour, load, world};
use crate::{for_all, judge};

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// What in a policy or a signature has an instant.
const KINDS: &[&str] = &[
    "issued",
    "expires",
    "a key's until",
    "an exception's from",
    "an exception's until",
    "an audit's end",
    "a signature's expiry",
];

/// Every instant that the world names, read from its JSON and its facts and
/// not from the code under test.
fn instants(world: &World) -> BTreeMap<Timestamp, BTreeSet<&'static str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut note = |kind: &'static str, value: Option<&Value>, shift: SignedDuration| {
        let Some(text) = value.and_then(Value::as_str) else { return };
        let at: Timestamp = text.parse().unwrap();
        assert!(KINDS.contains(&kind));
        found.entry(at + shift).or_default().insert(kind);
    };
    let policy = &world.policy;
    note("issued", policy.get("issued"), -SignedDuration::from_mins(5));
    note("expires", policy.get("expires"), SignedDuration::ZERO);
    for key in policy["signers"].as_object().unwrap().values().flat_map(|s| list(&s["keys"])) {
        note("a key's until", key.get("until"), SignedDuration::ZERO);
    }
    for exception in list(&policy["exceptions"]) {
        note("an exception's from", exception.get("from"), SignedDuration::ZERO);
        note("an exception's until", exception.get("until"), SignedDuration::ZERO);
    }
    for rule in list(&policy["rules"]).chain(list(&policy["baseline"])) {
        note("an audit's end", rule["mode"].get("auditUntil"), SignedDuration::ZERO);
    }
    for expires in world.facts.iter().filter_map(|facts| facts.claims.expires) {
        found.entry(expires).or_default().insert("a signature's expiry");
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn judged_at(policy: &Policy, world: &World, now: Timestamp) -> Verdict {
    judge(policy, &World { now, ..world.clone() })
}

/// All that a verdict says, but for its own instant and where it ends.
fn said(verdict: &Verdict) -> Value {
    let mut said = serde_json::to_value(verdict).unwrap();
    said.as_object_mut().unwrap().remove("now");
    said
}

/// An instant between the whole hours on which everything begins and ends,
/// and one beside each of them.
fn moment() -> impl Strategy<Value = Timestamp> {
    let beside = prop_oneof![Just(0), Just(1), Just(-1), 1..3_600_000_000_000i64];
    (-1..12i64, beside)
        .prop_map(|(at, nanoseconds)| hour(at) + SignedDuration::from_nanos(nanoseconds))
}

/// P11: the verdict is the same from `now` to before its next breakpoint.
#[test]
fn p11_a_verdict_holds_until_its_next_breakpoint() {
    let worlds = (world(), moment(), prop::collection::vec(0.0..1.0f64, 4));
    for_all(400, 30, worlds, |(world, now, shares)| {
        let verdict = judged_at(&world.linked, &world, now);
        let end = verdict.until().unwrap_or(hour(1000));
        prop_assert!(end > now, "{end} {now}");
        let mut within = vec![now, end - NANOSECOND, end - SignedDuration::from_secs(1)];
        within.extend(shares.iter().map(|share| now + (end - now).mul_share(*share)));
        for at in instants(&world).into_keys() {
            within.extend([at - NANOSECOND, at, at + NANOSECOND]);
        }
        within.retain(|at| (now..end).contains(at));
        for at in within {
            same(&verdict, &judged_at(&world.linked, &world, at))?;
        }
        Ok(verdict.until().is_some())
    });
}

fn same(first: &Verdict, again: &Verdict) -> Result<(), TestCaseError> {
    prop_assert_eq!(said(first), said(again), "{} {}", first.now, again.now);
    prop_assert_eq!(first.until(), again.until(), "{} {}", first.now, again.now);
    Ok(())
}

trait Share {
    fn mul_share(&self, share: f64) -> SignedDuration;
}

impl Share for jiff::Span {
    fn mul_share(&self, share: f64) -> SignedDuration {
        let whole = SignedDuration::try_from(*self).unwrap();
        SignedDuration::from_secs_f64(whole.as_secs_f64() * share)
    }
}

/// The worlds are ones in which time matters: for each kind of instant there
/// are verdicts that change there and for no other reason, so a kind that is
/// left out of the breakpoints fails the test above.
#[test]
fn every_kind_of_breakpoint_changes_some_verdict() {
    let seen = RefCell::new(BTreeMap::<&str, usize>::new());
    for_all(1000, 20, world(), |world| {
        let mut changed = false;
        for (at, kinds) in instants(&world) {
            let before = judged_at(&world.linked, &world, at - NANOSECOND);
            let after = judged_at(&world.linked, &world, at);
            if said(&before) == said(&after) {
                continue;
            }
            changed = true;
            prop_assert_eq!(before.until(), Some(at), "{:?}", kinds);
            if let [kind] = kinds.iter().collect::<Vec<_>>()[..] {
                *seen.borrow_mut().entry(kind).or_default() += 1;
            }
        }
        Ok(changed)
    });
    let seen = seen.into_inner();
    for kind in KINDS {
        assert!(seen.get(kind).is_some_and(|times| *times >= 3), "{kind}: {seen:?}");
    }
}

/// Going from breakpoint to breakpoint passes every instant that the policy
/// names, and ends.
#[test]
fn breakpoints_go_forward_and_end() {
    for_all(200, 50, world(), |world| {
        let (mut now, mut passed) = (hour(-100), BTreeSet::new());
        while let Some(next) = judged_at(&world.linked, &world, now).until() {
            prop_assert!(next > now);
            passed.insert(next);
            now = next;
        }
        let named: BTreeSet<_> = instants(&world).into_keys().collect();
        prop_assert_eq!(&passed, &named);
        Ok(passed.len() > 2)
    });
}

/// An expiry at the end of time overflows nothing.
#[test]
fn the_ends_of_time_are_breakpoints_too() {
    let mut policy = serde_json::json!({
        "ocisign": "policy/1", "name": "ends",
        "rules": [{"id": "all", "scope": ["**"], "accept": {"reason": "a test"}}],
    });
    policy["issued"] = "0000-01-01T00:00:00Z".into();
    policy["expires"] = "9999-12-30T00:00:00Z".into();
    let linked = load(&policy).expect("it loads");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let world = world().new_tree(&mut runner).unwrap().current();
    let world = World { facts: Vec::new(), ..world };
    let verdict = judged_at(&linked, &world, hour(0));
    assert_ne!(verdict.row, ocisign::policy::Row::PolicyNotYetValid);
    assert_eq!(verdict.until(), Some("9999-12-30T00:00:00Z".parse().unwrap()));
    let expired = judged_at(&linked, &world, verdict.until().unwrap());
    assert_eq!((expired.decision, expired.until()), (Decision::Deny, None));
}
