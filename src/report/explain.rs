//! What a policy asks of images under one name, before any is looked at.

use jiff::Timestamp;

use crate::image::Repository;
use crate::policy::{
    Action, Check, CheckKind, Exception, Matched, Policy, Selected, Target, required_depth,
};

use super::escape::escaped;

/// Which rules apply to `repository`, what they ask for in words, and which
/// exceptions are live at `now`; several lines.
pub fn explain(policy: &Policy, repository: &Repository, now: Timestamp) -> String {
    let document = policy.document();
    let selected = Selected::of(document, repository);
    let mut lines = vec![format!("{repository} under policy {}", escaped(&document.name))];
    lines.extend(validity(policy, now));
    match &selected.rule {
        Some(matched) => rule("rule", matched, now, &mut lines),
        None => lines.push("no rule matches: denied (no-rule)".to_owned()),
    }
    for matched in &selected.baseline {
        rule("baseline", matched, now, &mut lines);
    }
    if let Some(depth) = required_depth(policy, repository) {
        lines.push(format!("recomputes the image to depth {} at least", depth.as_str()));
    }
    let concerned: Vec<&str> =
        selected.rule.iter().chain(&selected.baseline).map(|(rule, _)| rule.id.as_str()).collect();
    for exception in &document.exceptions {
        lines.extend(waiver(exception, repository, &concerned, now));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn validity(policy: &Policy, now: Timestamp) -> Option<String> {
    let expires = policy.document().expires?;
    Some(match expires <= now {
        true => format!("the policy expired at {expires}: everything is denied"),
        false => format!("valid until {expires}"),
    })
}

fn rule(kind: &str, (rule, scope): &Matched<'_>, now: Timestamp, lines: &mut Vec<String>) {
    let head = format!("{kind} {} ({scope})", escaped(&rule.id));
    match &rule.action {
        Action::Accept { reason } => {
            lines.push(format!("{head} accepts without signatures: {}", escaped(reason)));
        }
        Action::Reject { reason } => lines.push(format!("{head} rejects: {}", escaped(reason))),
        Action::Require { checks: list, audit_until } => {
            let audit = match audit_until {
                Some(until) if now < *until => format!(" and only reports until {until}"),
                Some(_) | None => String::new(),
            };
            lines.push(format!("{head} requires all of{audit}:"));
            checks(1, list, lines);
        }
    }
}

fn checks(depth: usize, list: &[Check], lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    for check in list {
        let (id, need) = (escaped(&check.id), escaped(&check.kind.need()));
        lines.push(format!("{indent}{id}: {need}"));
        match &check.kind {
            CheckKind::AnyOf(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    lines.push(format!("{indent}  branch {}:", at + 1));
                    checks(depth + 2, branch, lines);
                }
            }
            CheckKind::Signed(_) | CheckKind::Image(_) => {}
        }
    }
}

/// An exception that is live and waives something of these rules.
fn waiver(
    exception: &Exception,
    repository: &Repository,
    rules: &[&str],
    now: Timestamp,
) -> Option<String> {
    let live = exception.from <= now && now < exception.until;
    let waived: Vec<_> = exception
        .waive
        .iter()
        .filter(|(rule, _)| rules.contains(&rule.as_str()))
        .map(|(rule, check)| format!("{rule}/{check}"))
        .collect();
    let only = match &exception.target {
        Target::Scope(scopes) if scopes.iter().any(|scope| scope.matches(repository)) => {
            String::new()
        }
        Target::Scope(_) => return None,
        Target::Digests(digests) => format!(" for {} given digests", digests.len()),
    };
    (live && !waived.is_empty()).then(|| {
        let (id, reason) = (escaped(&exception.id), escaped(&exception.reason));
        let (by, until) = (escaped(&exception.approved_by), exception.until);
        let waived = waived.join(", ");
        format!("exception {id} waives {waived}{only} until {until}: {reason} (approved by {by})")
    })
}
