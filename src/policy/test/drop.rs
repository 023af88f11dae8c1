//! A policy without one of its parts, once for each part: where no test
//! fails then, the part does not matter or is not tested.

use std::collections::BTreeSet;

use crate::policy::model::{Action, Check, CheckKind, Document};

/// The document without each of its checks, branches, revocations,
/// exceptions and baseline rules in turn, with the name of what is left out.
///
/// A rule that is left without checks accepts everything, an `anyOf` with an
/// emptied branch holds: to leave a check out is to take it for held.
pub fn drop_each_check(document: &Document) -> Vec<(String, Document)> {
    let mut dropped = Vec::new();
    for (baseline, count) in [(true, document.baseline.len()), (false, document.rules.len())] {
        for at in 0..count {
            each_of_rule(document, baseline, at, &mut dropped);
        }
    }
    each(
        document,
        document.revoked.len(),
        "revoked",
        |d, i| drop(d.revoked.remove(i)),
        &mut dropped,
    );
    each(
        document,
        document.exceptions.len(),
        "exceptions",
        |d, i| drop(d.exceptions.remove(i)),
        &mut dropped,
    );
    each(
        document,
        document.mirrors.len(),
        "mirrors",
        |d, i| {
            if let Some(key) = d.mirrors.keys().nth(i).cloned() {
                d.mirrors.remove(&key);
            }
        },
        &mut dropped,
    );
    dropped
}

fn each(
    document: &Document,
    count: usize,
    what: &str,
    remove: impl Fn(&mut Document, usize),
    dropped: &mut Vec<(String, Document)>,
) {
    for i in 0..count {
        let mut copy = document.clone();
        remove(&mut copy, i);
        dropped.push((format!("{what}/{i}"), copy));
    }
}

fn each_of_rule(
    document: &Document,
    baseline: bool,
    at: usize,
    dropped: &mut Vec<(String, Document)>,
) {
    let rules = if baseline { &document.baseline } else { &document.rules };
    let Some(rule) = rules.get(at) else { return };
    match &rule.action {
        Action::Require { checks, .. } => {
            for part in parts(checks) {
                let name = format!("{}/{}", rule.id, part.name());
                dropped.push((name, without(document, baseline, at, &part)));
            }
        }
        Action::Accept { .. } | Action::Reject { .. } => {
            let mut copy = document.clone();
            let rules = if baseline { &mut copy.baseline } else { &mut copy.rules };
            rules.remove(at);
            dropped.push((rule.id.clone(), copy));
        }
    }
}

/// What can be left out of a list of checks.
enum Part {
    Check(String),
    Branch(String, usize),
}

impl Part {
    fn name(&self) -> String {
        match self {
            Self::Check(id) => id.clone(),
            Self::Branch(id, n) => format!("{id}/branch {}", n + 1),
        }
    }
}

fn parts(checks: &[Check]) -> Vec<Part> {
    let mut found = Vec::new();
    for check in checks {
        found.push(Part::Check(check.id.clone()));
        if let CheckKind::AnyOf(branches) = &check.kind {
            for (n, branch) in branches.iter().enumerate() {
                found.push(Part::Branch(check.id.clone(), n));
                found.extend(parts(branch));
            }
        }
    }
    found
}

fn without(document: &Document, baseline: bool, at: usize, part: &Part) -> Document {
    let mut copy = document.clone();
    let rules = if baseline { &mut copy.baseline } else { &mut copy.rules };
    let mut emptied = false;
    let mut id = String::new();
    if let Some(rule) = rules.get_mut(at) {
        id.clone_from(&rule.id);
        if let Action::Require { checks, .. } = &mut rule.action {
            remove(checks, part);
            emptied = checks.is_empty();
        }
        if emptied {
            rule.action = Action::Accept { reason: "its only check was left out".to_owned() };
        }
    }
    if emptied && baseline {
        rules.remove(at);
    }
    forget(&mut copy, &id);
    copy
}

fn remove(checks: &mut Vec<Check>, part: &Part) {
    if let Part::Check(id) = part {
        checks.retain(|check| check.id != *id);
    }
    checks.retain_mut(|check| {
        let CheckKind::AnyOf(branches) = &mut check.kind else { return true };
        if let Part::Branch(id, n) = part
            && *id == check.id
            && *n < branches.len()
        {
            branches.remove(*n);
        }
        branches.iter_mut().for_each(|branch| remove(branch, part));
        // an empty branch always holds, and the check with it
        branches.iter().all(|branch| !branch.is_empty())
    });
}

/// Takes checks that are gone out of the exceptions.
fn forget(document: &mut Document, rule: &str) {
    let left: BTreeSet<String> = document
        .baseline
        .iter()
        .chain(&document.rules)
        .filter(|r| r.id == rule)
        .flat_map(|r| match &r.action {
            Action::Require { checks, .. } => ids(checks),
            Action::Accept { .. } | Action::Reject { .. } => Vec::new(),
        })
        .collect();
    for exception in &mut document.exceptions {
        exception.waive.retain(|(of, check)| of != rule || left.contains(check));
    }
    document.exceptions.retain(|exception| !exception.waive.is_empty());
}

fn ids(checks: &[Check]) -> Vec<String> {
    let mut found = Vec::new();
    for check in checks {
        found.push(check.id.clone());
        if let CheckKind::AnyOf(branches) = &check.kind {
            found.extend(branches.iter().flat_map(|branch| ids(branch)));
        }
    }
    found
}
