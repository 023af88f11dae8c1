//! L2, L3, L4, L5, L7: what has ended or ends soon.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Lint, SOON, all_checks, all_rules};
use crate::policy::model::{Action, CheckKind, Exception, Policy, Revoked, Rule, Signed, Target};
use crate::policy::scope::Scope;

pub(super) fn lint(policy: &Policy, now: Timestamp, lints: &mut Vec<Lint>) {
    validity(policy, now, lints);
    for (name, keys) in &policy.signers {
        for (i, until) in keys.iter().enumerate().filter_map(|(i, k)| Some((i, k.until?))) {
            if let Some(when) = ends(now, until) {
                let about = format!("/signers/{name}/keys/{i}");
                lints.push(Lint::new("L4", about, format!("the key {when}; add the next one")));
            }
        }
    }
    for (rule, _) in all_rules(policy) {
        audit(rule, now, lints);
        unsatisfiable(policy, rule, now, lints);
    }
    for exception in &policy.document().exceptions {
        stale(policy, exception, now, lints);
    }
}

/// "ended at T" or "ends at T", where that is not far off.
fn ends(now: Timestamp, until: Timestamp) -> Option<String> {
    if until <= now {
        return Some(format!("ended at {until}"));
    }
    (until.duration_since(now) <= SOON).then(|| format!("ends at {until}"))
}

fn validity(policy: &Policy, now: Timestamp, lints: &mut Vec<Lint>) {
    let document = policy.document();
    if let Some(when) = document.expires.and_then(|t| ends(now, t)) {
        let message =
            format!("the policy's validity {when}; after it all is denied, issue a new one");
        lints.push(Lint::new("L4", "/expires", message));
    }
    if let Some(issued) = document.issued.filter(|t| *t > now) {
        let message = format!("the policy is not valid before {issued}; until then all is denied");
        lints.push(Lint::new("L4", "/issued", message));
    }
}

fn audit(rule: &Rule, now: Timestamp, lints: &mut Vec<Lint>) {
    let Action::Require { audit_until: Some(until), .. } = &rule.action else { return };
    match ends(now, *until) {
        Some(when) if *until <= now => {
            let message = format!("the audit {when} and the rule blocks; remove `mode`");
            lints.push(Lint::new("L7", &rule.id, message));
        }
        Some(when) => {
            let message = format!("the audit {when}; then the rule blocks");
            lints.push(Lint::new("L7", &rule.id, message));
        }
        None => {}
    }
}

/// L2 and L3: with the keys that are good at `now`, or those that are left
/// when others have ended, the check cannot hold.
fn unsatisfiable(policy: &Policy, rule: &Rule, now: Timestamp, lints: &mut Vec<Lint>) {
    for check in all_checks(rule) {
        let CheckKind::Signed(signed) = &check.kind else { continue };
        let able = |at| signed.by.iter().filter(|name| can_sign(policy, name, at)).count();
        let (need, about) = (signed.at_least, format!("{}/{}", rule.id, check.id));
        if able(now) < need {
            let able = able(now);
            let message = format!(
                "it needs {need} signers and {able} have a key that is neither revoked nor past \
                 its `until`; nothing can pass"
            );
            lints.push(Lint::new("L2", about, message));
        } else if let Some(end) = ends_of(policy, signed, now).find(|end| able(*end) < need) {
            let able = able(end);
            let message = format!(
                "from {end} on nothing can pass: it needs {need} signers and {able} will have a \
                 key; give the others their next keys"
            );
            lints.push(Lint::new("L3", about, message));
        }
    }
}

/// When keys of the check's signers end, the first end first, as long as the
/// policy is valid.
fn ends_of<'a>(
    policy: &'a Policy,
    signed: &'a Signed,
    now: Timestamp,
) -> impl Iterator<Item = Timestamp> + use<'a> {
    let valid = move |end: &Timestamp| {
        *end > now && policy.document().expires.is_none_or(|expires| *end < expires)
    };
    let keys = signed.by.iter().flat_map(|name| policy.keys(name));
    let ends: BTreeSet<_> = keys.filter_map(|key| key.until).filter(valid).collect();
    ends.into_iter()
}

fn can_sign(policy: &Policy, name: &str, now: Timestamp) -> bool {
    let revoked = |what: &Revoked| policy.document().revoked.iter().any(|r| r.what == *what);
    !revoked(&Revoked::Signer(name.to_owned()))
        && policy.keys(name).iter().any(|key| {
            key.until.is_none_or(|until| now < until) && !revoked(&Revoked::Key(key.id.clone()))
        })
}

fn stale(policy: &Policy, exception: &Exception, now: Timestamp, lints: &mut Vec<Lint>) {
    let about = exception.id.as_str();
    if exception.until <= now {
        let message = format!("the exception ended at {}; remove it", exception.until);
        lints.push(Lint::new("L5", about, message));
    } else if let Some(when) = ends(now, exception.until) {
        lints.push(Lint::new("L4", about, format!("the exception {when}")));
    }
    let Target::Scope(scopes) = &exception.target else { return };
    for (of, check) in &exception.waive {
        let rule = all_rules(policy).find(|(r, _)| r.id == *of);
        if !rule.is_some_and(|(rule, _)| scopes.iter().any(|s| touch(s, &rule.scope))) {
            let message =
                format!("`{of}/{check}` is never asked for in its scope; remove it there");
            lints.push(Lint::new("L5", about, message));
        }
    }
}

fn touch(scope: &Scope, others: &[Scope]) -> bool {
    others.iter().any(|o| o.contains(scope) || scope.contains(o) || o.crosses(scope))
}
