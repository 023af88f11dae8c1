//! Rules and their checks.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Known, signer_name};
use super::grammar::{CHECK, MODE, REASONED, RULE, SIGNED};
use super::image;
use super::problem::Code;
use super::reader::Reader;
use crate::evidence::Format;
use crate::policy::json::Json;
use crate::policy::model::{Action, Check, CheckKind, On, ReferenceRule, Rule, Signed};

/// Most signers in one `by`.
const MOST_SIGNERS: usize = 16;
/// Deepest nesting of `anyOf`.
const DEEPEST: usize = 3;

pub(super) fn baseline(reader: &mut Reader, root: &Json, known: &mut Known<'_>) -> Vec<Rule> {
    let Some(node) = root.get("baseline") else { return Vec::new() };
    for item in node.items() {
        if let Some(accept) = item.get("accept") {
            reader.bad(
                Code::Conflict,
                accept,
                "a baseline rule never permits, so that it cannot `accept`",
                "move the rule to `rules`, or write `require` or `reject`",
            );
        }
    }
    all(reader, node, known)
}

pub(super) fn rules(reader: &mut Reader, root: &Json, known: &mut Known<'_>) -> Vec<Rule> {
    let Some(node) = reader.required(root, "rules") else { return Vec::new() };
    let before = reader.problems.len();
    let rules = all(reader, node, known);
    if reader.problems.len() == before {
        for (rule, item) in rules.iter().zip(node.items()) {
            proven(reader, rule, item);
        }
    }
    rules
}

/// Every way through a rule that permits has a proof of origin in it.
fn proven(reader: &mut Reader, rule: &Rule, node: &Json) {
    let Action::Require { checks, .. } = &rule.action else { return };
    if !proves(checks, &BTreeSet::new()) {
        reader.bad(
            Code::Vacuous,
            node.get("require").unwrap_or(node),
            format!("the rule `{}` can be passed without any signature", rule.id),
            "add a `signed` check, beside or in every branch of `anyOf`; \
             to permit without signatures write `accept` with a reason",
        );
    }
}

/// Whether every way through `checks` has a `signed` that is not waived.
pub(in crate::policy) fn proves(checks: &[Check], waived: &BTreeSet<&str>) -> bool {
    let left = checks.iter().filter(|c| !waived.contains(c.id.as_str()));
    left.into_iter().any(|check| match &check.kind {
        CheckKind::Signed(_) => true,
        CheckKind::Image(_) => false,
        CheckKind::AnyOf(branches) => branches.iter().all(|b| proves(b, waived)),
    })
}

fn all(reader: &mut Reader, node: &Json, known: &mut Known<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for item in reader.list(node).unwrap_or_default() {
        rules.extend(rule(reader, item, known));
    }
    rules
}

fn rule(reader: &mut Reader, node: &Json, known: &mut Known<'_>) -> Option<Rule> {
    reader.fields(node, &RULE)?;
    let id_node = reader.required(node, "id");
    let id = id_node.and_then(|n| reader.name(n));
    let scope = reader.required(node, "scope").and_then(|n| reader.scopes(n));
    let mut ids = BTreeSet::new();
    let action = action(reader, node, known, &mut ids);
    let (id, id_node) = (id?, id_node?);
    let first = !known.checks.contains_key(&id);
    known.checks.entry(id.clone()).or_default().extend(ids);
    if !first {
        reader.bad(
            Code::Duplicate,
            id_node,
            format!("there are two rules `{id}`"),
            "ids of rules are unique over `baseline` and `rules`; rename one",
        );
    }
    Some(Rule { id, scope: scope?, action: action? })
}

fn action(
    reader: &mut Reader,
    node: &Json,
    known: &mut Known<'_>,
    ids: &mut BTreeSet<String>,
) -> Option<Action> {
    let mode = node.get("mode");
    if let (Some(mode), None) = (mode, node.get("require")) {
        reader.bad(
            Code::Conflict,
            mode,
            "`mode` belongs to `require`",
            "`accept` and `reject` are never under audit; leave it out",
        );
    }
    let audit_until = mode.and_then(|m| audit(reader, m));
    match (node.get("require"), node.get("accept"), node.get("reject")) {
        (Some(list), None, None) => {
            let checks = checks(reader, list, known, ids, 0)?;
            Some(Action::Require { checks, audit_until })
        }
        (None, Some(why), None) => Some(Action::Accept { reason: reasoned(reader, why)? }),
        (None, None, Some(why)) => Some(Action::Reject { reason: reasoned(reader, why)? }),
        _ => {
            reader.bad(
                Code::Conflict,
                node,
                "a rule has exactly one of `require`, `accept` and `reject`",
                "say what must hold (`require`), or why not (`accept`, `reject`)",
            );
            None
        }
    }
}

fn audit(reader: &mut Reader, node: &Json) -> Option<jiff::Timestamp> {
    reader.fields(node, &MODE)?;
    let until = reader.required(node, "auditUntil")?;
    reader.time(until)
}

fn reasoned(reader: &mut Reader, node: &Json) -> Option<String> {
    reader.fields(node, &REASONED)?;
    let reason = reader.required(node, "reason")?;
    reader.text(reason)
}

fn checks(
    reader: &mut Reader,
    node: &Json,
    known: &mut Known<'_>,
    ids: &mut BTreeSet<String>,
    depth: usize,
) -> Option<Vec<Check>> {
    let mut checks = Vec::new();
    for item in reader.list(node)? {
        checks.extend(check(reader, item, known, ids, depth));
    }
    Some(checks)
}

fn check(
    reader: &mut Reader,
    node: &Json,
    known: &mut Known<'_>,
    ids: &mut BTreeSet<String>,
    depth: usize,
) -> Option<Check> {
    let before = reader.problems.len();
    reader.fields(node, &CHECK)?;
    let later = reader.problems.len() > before;
    let id_node = reader.required(node, "id");
    let id = id_node.and_then(|n| reader.name(n));
    if let (Some(id), Some(id_node)) = (&id, id_node)
        && !ids.insert(id.clone())
    {
        reader.bad(
            Code::Duplicate,
            id_node,
            format!("the rule has two checks `{id}`"),
            "ids of checks are unique within their rule, at any nesting; rename one",
        );
    }
    let kind = match (node.get("signed"), node.get("image"), node.get("anyOf")) {
        (Some(n), None, None) => CheckKind::Signed(signed(reader, n, known)?),
        (None, Some(n), None) => CheckKind::Image(Box::new(image::image(reader, n, known)?)),
        (None, None, Some(n)) => CheckKind::AnyOf(any_of(reader, n, known, ids, depth + 1)?),
        (None, None, None) if later => return None,
        _ => {
            reader.bad(
                Code::Conflict,
                node,
                "a check has exactly one of `signed`, `image` and `anyOf`",
                "write one check for each",
            );
            return None;
        }
    };
    Some(Check { id: id?, kind })
}

fn any_of(
    reader: &mut Reader,
    node: &Json,
    known: &mut Known<'_>,
    ids: &mut BTreeSet<String>,
    depth: usize,
) -> Option<Vec<Vec<Check>>> {
    if depth > DEEPEST {
        reader.bad(
            Code::Value,
            node,
            format!("`anyOf` stands more than {DEEPEST} deep"),
            "write the branches side by side",
        );
        return None;
    }
    let list = reader.list(node)?;
    if list.len() < 2 {
        reader.bad(
            Code::Value,
            node,
            "`anyOf` has one branch",
            "write its checks directly, or add another branch",
        );
    }
    let mut branches = Vec::new();
    for branch in list {
        branches.extend(checks(reader, branch, known, ids, depth));
    }
    Some(branches)
}

fn signed(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<Signed> {
    reader.fields(node, &SIGNED)?;
    let by_node = reader.required(node, "by");
    let by = by_node.and_then(|n| signers(reader, n, known));
    let count = by_node.map_or(0, |n| n.items().len());
    let at_least = at_least(reader, node, count);
    let reference = reader.required(node, "reference").and_then(|n| reader.word(n, REFERENCES));
    let on = node.get("on").map_or(Some(On::Root), |n| reader.word(n, NODES));
    let formats = match node.get("formats") {
        Some(n) => Some(reader.set(n, format)?),
        None => None,
    };
    let annotations = match node.get("annotations") {
        Some(n) => reader.globs(n),
        None => BTreeMap::new(),
    };
    Some(Signed {
        by: by?,
        at_least: at_least?,
        on: on?,
        reference: reference?,
        formats,
        annotations,
    })
}

const REFERENCES: &[(&str, ReferenceRule)] = &[
    ("repository", ReferenceRule::Repository),
    ("exact", ReferenceRule::Exact),
    ("exactOrDigest", ReferenceRule::ExactOrDigest),
    ("none", ReferenceRule::None),
];

const NODES: &[(&str, On)] = &[("root", On::Root), ("each", On::Each), ("covering", On::Covering)];

const FORMATS: &[(&str, Format)] = &[
    ("sigstore", Format::Sigstore),
    ("cosign", Format::Cosign),
    ("notary-jws", Format::NotaryJws),
    ("notary-cose", Format::NotaryCose),
    ("simple", Format::Simple),
    ("appc", Format::Appc),
    ("libtrust", Format::Libtrust),
];

fn format(reader: &mut Reader, node: &Json) -> Option<Format> {
    let format = reader.word(node, FORMATS)?;
    match format {
        Format::Sigstore | Format::Cosign | Format::Simple | Format::Appc | Format::Libtrust => {
            Some(format)
        }
        Format::NotaryJws | Format::NotaryCose => {
            reader.bad(
                Code::NotYet,
                node,
                format!("signatures of the format `{}` are not verified yet", format.as_str()),
                "write one of `sigstore`, `cosign`, `simple`, `appc` and `libtrust`",
            );
            None
        }
    }
}

fn signers(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<Vec<String>> {
    let list = reader.list(node)?;
    if list.len() > MOST_SIGNERS {
        reader.bad(
            Code::Value,
            node,
            format!("`by` names {} signers", list.len()),
            format!("at most {MOST_SIGNERS} are allowed; split the check"),
        );
        return None;
    }
    let mut by: Vec<String> = Vec::new();
    for item in list {
        let Some(name) = signer_name(reader, item, known) else { continue };
        if by.contains(&name) {
            let message = format!("`{name}` stands here twice");
            reader.bad(Code::Duplicate, item, message, "a signer counts once; keep one");
        } else {
            by.push(name);
        }
    }
    Some(by)
}

fn at_least(reader: &mut Reader, node: &Json, count: usize) -> Option<usize> {
    let Some(found) = node.get("atLeast") else {
        if count > 1 {
            let by = node.get("by").unwrap_or(node);
            reader.bad(
                Code::Missing,
                by,
                format!("`by` names {count} signers and `atLeast` is missing"),
                format!("write \"atLeast\": 1 for any of them, {count} for all of them"),
            );
            return None;
        }
        return Some(1);
    };
    let most = count.clamp(1, MOST_SIGNERS) as u64;
    let n = reader.integer(found, 1, most)?;
    usize::try_from(n).ok()
}
