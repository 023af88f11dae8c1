//! L2, L4, L5, L7: what has ended or ends soon.

use jiff::Timestamp;

use super::{Lint, SOON, all_checks, all_rules};
use crate::policy::model::{Action, CheckKind, Exception, Policy, Revoked, Rule, Target};
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

/// L2: with the keys that are good at `now`, the check cannot hold.
fn unsatisfiable(policy: &Policy, rule: &Rule, now: Timestamp, lints: &mut Vec<Lint>) {
    for check in all_checks(rule) {
        let CheckKind::Signed(signed) = &check.kind else { continue };
        let able = signed.by.iter().filter(|name| can_sign(policy, name, now)).count();
        if able < signed.at_least {
            let need = signed.at_least;
            let message = format!(
                "it needs {need} signers and {able} have a key that is neither revoked nor past \
                 its `until`; nothing can pass"
            );
            lints.push(Lint::new("L2", format!("{}/{}", rule.id, check.id), message));
        }
    }
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
