//! What is allowed and most likely not meant.
//!
//! The codes are those of the policy language, "Tools". Each needs only the
//! policy and an instant; L12 (weak keys) needs cryptography, and L17 (the
//! children of a revoked index) needs the index, so that they are not here.

mod dates;
mod rules;
mod unused;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::model::{Action, Check, CheckKind, Policy, Rule};

/// How long before its end something is reported.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 30);

/// One remark about a policy that is valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lint {
    /// `L1` to `L18`, or the name of a field that is missing.
    pub code: &'static str,
    /// What it is about: `rule`, `rule/check`, or a JSON Pointer.
    pub about: String,
    /// What was found, and what to do.
    pub message: String,
}

impl Lint {
    fn new(code: &'static str, about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, about: about.into(), message: message.into() }
    }
}

/// Remarks about `policy` at `now`, sorted.
pub fn lint(policy: &Policy, now: Timestamp) -> Vec<Lint> {
    let mut lints = Vec::new();
    rules::lint(policy, &mut lints);
    dates::lint(policy, now, &mut lints);
    unused::lint(policy, &mut lints);
    lints.sort();
    lints.dedup();
    lints
}

/// Every rule, with whether it is of the baseline.
fn all_rules(policy: &Policy) -> impl Iterator<Item = (&Rule, bool)> {
    let document = policy.document();
    let baseline = document.baseline.iter().map(|r| (r, true));
    baseline.chain(document.rules.iter().map(|r| (r, false)))
}

/// The checks of a rule at any nesting.
fn all_checks(rule: &Rule) -> Vec<&Check> {
    fn walk<'a>(checks: &'a [Check], found: &mut Vec<&'a Check>) {
        for check in checks {
            found.push(check);
            if let CheckKind::AnyOf(branches) = &check.kind {
                branches.iter().for_each(|branch| walk(branch, found));
            }
        }
    }
    let mut found = Vec::new();
    if let Action::Require { checks, .. } = &rule.action {
        walk(checks, &mut found);
    }
    found
}
