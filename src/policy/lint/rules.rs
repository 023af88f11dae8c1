//! L1, L6, L11, L16, L18: rules that do not do what they seem to.

use super::{Lint, all_checks, all_rules};
use crate::evidence::Format;
use crate::policy::model::{Action, Check, CheckKind, On, Policy, ReferenceRule, Rule, Signed};
use crate::policy::scope::Scope;

pub(super) fn lint(policy: &Policy, lints: &mut Vec<Lint>) {
    for (rule, baseline) in all_rules(policy) {
        shadowed(policy, rule, lints);
        redundant(policy, rule, baseline, lints);
        wide_accept(rule, lints);
        for check in all_checks(rule) {
            if let CheckKind::Signed(signed) = &check.kind {
                let about = format!("{}/{}", rule.id, check.id);
                references(rule, signed, &about, lints);
            }
        }
    }
    for rule in &policy.document().rules {
        weaker(policy, rule, lints);
    }
}

/// L1: a baseline rule rejects all that the rule is about.
fn shadowed(policy: &Policy, rule: &Rule, lints: &mut Vec<Lint>) {
    let rejects = |by: &&Rule| by.id != rule.id && matches!(by.action, Action::Reject { .. });
    let by = policy
        .document()
        .baseline
        .iter()
        .filter(rejects)
        .find(|by| rule.scope.iter().all(|s| by.scope.iter().any(|wide| wide.contains(s))));
    if let Some(by) = by {
        let message = format!("the baseline rule `{}` rejects all of its scope; remove one", by.id);
        lints.push(Lint::new("L1", &rule.id, message));
    }
}

/// L1: a scope that another scope of the same rule contains, and nothing
/// decides in between.
fn redundant(policy: &Policy, rule: &Rule, baseline: bool, lints: &mut Vec<Lint>) {
    for scope in &rule.scope {
        let Some(wide) = rule.scope.iter().find(|w| *w != scope && w.contains(scope)) else {
            continue;
        };
        let between = |s: &Scope| wide.contains(s) && s.contains(scope);
        let others = policy.document().rules.iter().filter(|r| r.id != rule.id);
        if baseline || !others.flat_map(|r| &r.scope).any(between) {
            let message = format!("`{scope}` lies in `{wide}` of the same rule; remove it");
            lints.push(Lint::new("L1", &rule.id, message));
        }
    }
}

/// L6: signatures are waived for more than one namespace.
fn wide_accept(rule: &Rule, lints: &mut Vec<Lint>) {
    let Action::Accept { .. } = rule.action else { return };
    for scope in &rule.scope {
        match scope {
            Scope::Everything | Scope::SubDomains { .. } | Scope::Host(_) => {
                let message = format!("it accepts all of `{scope}` unsigned; name repositories");
                lints.push(Lint::new("L6", &rule.id, message));
            }
            Scope::Below { .. } | Scope::Exactly(_) => {}
        }
    }
}

/// L16 and L18: what `reference` asks for, and what can be had.
fn references(rule: &Rule, signed: &Signed, about: &str, lints: &mut Vec<Lint>) {
    let tags = matches!(signed.reference, ReferenceRule::Exact | ReferenceRule::ExactOrDigest);
    let cosign = |f: &std::collections::BTreeSet<Format>| f.iter().all(|f| *f == Format::Cosign);
    if tags && signed.formats.as_ref().is_some_and(cosign) {
        let message = "cosign itself signs a repository without a tag, which never satisfies \
                       `exact` or `exactOrDigest`; write `repository`";
        lints.push(Lint::new("L16", about, message));
    }
    if signed.reference != ReferenceRule::None {
        return;
    }
    if let Some(scope) = rule.scope.iter().find(|s| !matches!(s, Scope::Exactly(_))) {
        let message = format!(
            "`{scope}` has many repositories, and an image signed for one passes as any other; \
             write `repository`"
        );
        lints.push(Lint::new("L16", about, message));
    }
    if signed.on == On::Covering {
        let message = "any index that contains a signed child passes, under any name; write \
                       `repository`, or `each`";
        lints.push(Lint::new("L18", about, message));
    }
}

/// L11: the rule asks for less than the one that it takes the place of.
///
/// Only what is certain: each check of the narrower rule follows from a
/// check of the wider one, and not the reverse.
fn weaker(policy: &Policy, rule: &Rule, lints: &mut Vec<Lint>) {
    for scope in &rule.scope {
        let Some(wide) = next_wider(policy, rule, scope) else { continue };
        let less = match (&rule.action, &wide.action) {
            (Action::Accept { .. }, Action::Require { .. } | Action::Reject { .. }) => true,
            (Action::Require { checks, .. }, Action::Require { checks: wider, .. }) => {
                follows(checks, wider) && !follows(wider, checks)
            }
            (Action::Require { .. } | Action::Reject { .. } | Action::Accept { .. }, _) => false,
        };
        // what is permitted inside of a refused whole is the usual shape
        let usual = matches!((&rule.action, &wide.action), (_, Action::Reject { .. }));
        if less && !usual {
            let message = format!(
                "it asks for less than `{}`, which it takes the place of in `{scope}`; move what \
                 must always hold to `baseline`",
                wide.id
            );
            lints.push(Lint::new("L11", &rule.id, message));
        }
    }
}

fn next_wider<'a>(policy: &'a Policy, rule: &Rule, scope: &Scope) -> Option<&'a Rule> {
    let mut best: Option<(&Scope, &Rule)> = None;
    for other in policy.document().rules.iter().filter(|r| r.id != rule.id) {
        for wide in other.scope.iter().filter(|w| w.contains(scope)) {
            if best.is_none_or(|(b, _)| b.contains(wide)) {
                best = Some((wide, other));
            }
        }
    }
    best.map(|(_, rule)| rule)
}

/// Whether `checks` hold wherever `from` hold, as far as it can be seen.
fn follows(checks: &[Check], from: &[Check]) -> bool {
    checks.iter().all(|check| from.iter().any(|f| implies(&f.kind, &check.kind)))
}

fn implies(strong: &CheckKind, weak: &CheckKind) -> bool {
    match (strong, weak) {
        (CheckKind::Signed(s), CheckKind::Signed(w)) => {
            s.by.iter().all(|name| w.by.contains(name))
                && s.at_least >= w.at_least
                && reference_rank(s.reference) >= reference_rank(w.reference)
                && s.on == w.on
                && w.annotations.iter().all(|(k, g)| s.annotations.get(k) == Some(g))
                && formats_within(s, w)
        }
        (strong, weak) => strong == weak,
    }
}

fn formats_within(strong: &Signed, weak: &Signed) -> bool {
    match (&strong.formats, &weak.formats) {
        (_, None) => true,
        (Some(s), Some(w)) => s.is_subset(w),
        (None, Some(_)) => false,
    }
}

fn reference_rank(rule: ReferenceRule) -> u8 {
    match rule {
        ReferenceRule::None => 0,
        ReferenceRule::Repository => 1,
        ReferenceRule::ExactOrDigest => 2,
        ReferenceRule::Exact => 3,
    }
}
