//! Never looser, with generated policies, names and signatures.
//!
//! podman and CRI-O judge the manifest of their platform, under the name that
//! was asked for. So that is what ocisign is asked too: may this manifest run
//! under this name. A copy of all of an image judges the index and each
//! manifest in it, and then ocisign is asked for the index.

use std::cell::Cell;

use ocisign::policy::export::{Options, Subtrees};
use ocisign::policy::{Decision, Policy, simulate};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::evaluator::{Name, allows};
use super::generate::{NAMES, SPELLINGS, World, index, manifest_alone, world};
use super::{export, hour, load};

/// As in tests/policy_properties: at least `share` in a hundred cases must be
/// of the kind that the property is about.
fn for_all<S: Strategy>(
    cases: u32,
    share: u32,
    strategy: S,
    test: impl Fn(S::Value) -> Result<bool, TestCaseError>,
) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let telling = Cell::new(0);
    let outcome = TestRunner::new(config).run(&strategy, |input| {
        telling.set(telling.get() + u32::from(test(input)?));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let told = telling.get() * 100 / cases;
    assert!(told >= share, "only {told} in a hundred cases tell anything, {share} wanted");
}

/// What the files are compared with: with `--widen-subtrees` the policy whose
/// rules for `P` and `P/**` are for both, where the other had none.
fn widened(world: &World) -> Policy {
    match world.options.subtrees {
        Subtrees::Apart => world.linked.clone(),
        Subtrees::Widen => load(&with_wide_rules(&world.policy)).expect("it loads still"),
    }
}

fn with_wide_rules(policy: &Value) -> Value {
    let mut wide = policy.clone();
    let scopes = |rule: &Value| -> Vec<String> {
        rule["scope"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
    };
    let taken: Vec<String> = policy["rules"].as_array().unwrap().iter().flat_map(scopes).collect();
    for rule in wide["rules"].as_array_mut().unwrap() {
        let mut own = scopes(rule);
        for scope in scopes(rule) {
            let other = match scope.strip_suffix("/**") {
                Some(repository) => repository.to_owned(),
                None => format!("{scope}/**"),
            };
            // neither a host nor `docker.io/me` is a repository
            let is_scope = ocisign::policy::scope::Scope::parse(&other).is_ok();
            if scope.contains('/') && is_scope && !taken.contains(&other) {
                own.push(other);
            }
        }
        rule["scope"] = json!(own);
    }
    wide
}

/// P16 for exports: what the files allow the policy allows, at every instant
/// from the export on until the one that the export names.
#[test]
fn never_looser() {
    let later = (world(&[NAMES, SPELLINGS]), any::<Index>());
    for_all(2000, 4, later, |(world, later)| {
        let Ok(export) = export(&world.linked, &world.options, world.now) else {
            return Ok(false);
        };
        let file: Value = serde_json::from_str(&export.policy).unwrap();
        let times: Vec<_> = (0..12)
            .map(hour)
            .filter(|t| *t >= world.now && export.until.is_none_or(|until| *t < until))
            .collect();
        let (now, policy) = (*later.get(&times), widened(&world));
        let Some(name) = Name::parse(&world.name) else { return Ok(false) };
        let allowed: Vec<bool> =
            world.manifests.iter().map(|signed| allows(&file, &name, signed)).collect();
        for (at, allowed) in allowed.iter().enumerate() {
            if *allowed {
                let request = world.request(at).expect("ocisign reads the name");
                let shape = manifest_alone(at);
                let verdict = simulate(&policy, &request, &shape, &world.facts(), &[], now);
                let verdict = verdict.verdict();
                prop_assert_eq!(verdict.decision, Decision::Allow, "{:#?}\n{}", verdict, file);
            }
        }
        // of an `anyOf` ocisign wants one branch to hold for all of an index
        let all =
            !world.policy.to_string().contains("anyOf") && allowed.iter().all(|allowed| *allowed);
        if all && allowed.len() > 1 {
            let (request, shape) = (world.request(0).unwrap(), index(allowed.len()));
            let verdict = simulate(&policy, &request, &shape, &world.facts(), &[], now);
            prop_assert_eq!(verdict.verdict().decision, Decision::Allow, "all of the index");
        }
        Ok(allowed.contains(&true) && file.to_string().contains("sigstoreSigned"))
    });
}

/// Where the export has no remark, the two say the same of every name in its
/// usual spelling. Without this, rejecting everything would do.
#[test]
fn where_nothing_is_remarked_nothing_is_lost() {
    for_all(2000, 3, world(&[NAMES]), |world| {
        let Ok(export) = export(&world.linked, &world.options, world.now) else {
            return Ok(false);
        };
        if !export.stricter.is_empty() {
            return Ok(false);
        }
        let file: Value = serde_json::from_str(&export.policy).unwrap();
        let (policy, request) = (widened(&world), world.request(0).unwrap());
        let verdict =
            simulate(&policy, &request, &manifest_alone(0), &world.facts(), &[], world.now);
        let allowed = allows(&file, &Name::parse(&world.name).unwrap(), &world.manifests[0]);
        let verdict = verdict.verdict();
        prop_assert_eq!(verdict.decision == Decision::Allow, allowed, "{:#?}\n{}", verdict, file);
        Ok(allowed)
    });
}

/// `--widen-subtrees` is the export of a policy that could be written down.
#[test]
fn widening_is_a_change_of_the_policy() {
    for_all(1000, 5, world(&[NAMES]), |world| {
        let options = Options { subtrees: Subtrees::Widen, ..world.options };
        let wide = load(&with_wide_rules(&world.policy)).expect("it loads still");
        let by_option = export(&world.linked, &options, world.now).map(|export| export.policy);
        let apart = Options { subtrees: Subtrees::Apart, ..options };
        let by_hand = export(&wide, &apart, world.now).map(|export| export.policy);
        // a baseline that knows the two apart is an error there, a remark here
        if by_hand.is_ok() {
            prop_assert_eq!(&by_option, &by_hand);
        }
        let plain = export(&world.linked, &apart, world.now).map(|export| export.policy);
        Ok(by_option.is_ok() && by_option != plain)
    });
}

/// The order of rules, scopes and checks changes nothing.
#[test]
fn the_same_policy_gives_the_same_file() {
    for_all(500, 20, world(&[NAMES]), |world| {
        let mut other = world.policy.clone();
        for list in ["rules", "baseline"] {
            for rule in other.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                for list in ["scope", "require"] {
                    if let Some(list) = rule.get_mut(list).and_then(Value::as_array_mut) {
                        list.reverse();
                    }
                }
            }
            if let Some(list) = other.get_mut(list).and_then(Value::as_array_mut) {
                list.reverse();
            }
        }
        let one = export(&world.linked, &world.options, world.now).map(|export| export.policy);
        let two = export(&load(&other).unwrap(), &world.options, world.now).map(|e| e.policy);
        prop_assert_eq!(&one, &two);
        Ok(one.is_ok())
    });
}
