//! Exceptions: checks waived for a while.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::document::Known;
use super::grammar::EXCEPTION;
use super::problem::Code;
use super::reader::{Reader, is_name, short};
use crate::policy::json::Json;
use crate::policy::model::{Exception, Target};

/// Longest time between `from` and `until`.
const LONGEST_DAYS: i64 = 366;

pub(super) fn exceptions(reader: &mut Reader, root: &Json, known: &Known<'_>) -> Vec<Exception> {
    let Some(node) = root.get("exceptions") else { return Vec::new() };
    let mut exceptions = Vec::new();
    let mut ids = BTreeSet::new();
    for item in reader.list(node).unwrap_or_default() {
        let exception = exception(reader, item, known);
        let id = item.get("id");
        if let Some((node, text)) = id.and_then(|n| Some((n, n.as_str()?)))
            && !ids.insert(text)
        {
            let message = format!("there are two exceptions `{}`", short(text));
            reader.bad(Code::Duplicate, node, message, "rename one");
        }
        exceptions.extend(exception);
    }
    exceptions
}

fn exception(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<Exception> {
    reader.fields(node, &EXCEPTION)?;
    let id = reader.required(node, "id").and_then(|n| reader.name(n));
    let target = target(reader, node);
    let waive = reader.required(node, "waive").and_then(|n| waived(reader, n, known));
    let times = times(reader, node);
    let reason = reader.required(node, "reason").and_then(|n| reader.text(n));
    let approved_by = reader.required(node, "approvedBy").and_then(|n| reader.text(n));
    let accept_unsigned = node.get("acceptUnsigned").is_some_and(|n| reader.only_true(n));
    let (from, until) = times?;
    Some(Exception {
        id: id?,
        target: target?,
        waive: waive?,
        from,
        until,
        reason: reason?,
        approved_by: approved_by?,
        accept_unsigned,
    })
}

fn target(reader: &mut Reader, node: &Json) -> Option<Target> {
    match (node.get("scope"), node.get("digests")) {
        (Some(scope), None) => Some(Target::Scope(reader.scopes(scope)?)),
        (None, Some(digests)) => Some(Target::Digests(reader.set(digests, Reader::digest)?)),
        _ => {
            reader.bad(
                Code::Conflict,
                node,
                "an exception has exactly one of `scope` and `digests`",
                "name the repositories or the images that it is for",
            );
            None
        }
    }
}

fn times(reader: &mut Reader, node: &Json) -> Option<(Timestamp, Timestamp)> {
    let from = reader.required(node, "from").and_then(|n| reader.time(n));
    let until_node = reader.required(node, "until")?;
    let until = reader.time(until_node)?;
    let from = from?;
    let lasts = until.duration_since(from);
    if lasts <= SignedDuration::ZERO {
        reader.bad(Code::Conflict, until_node, "`until` is not after `from`", "write a later one");
        return None;
    }
    if lasts > SignedDuration::from_hours(24 * LONGEST_DAYS) {
        reader.bad(
            Code::Value,
            until_node,
            format!("the exception lasts more than {LONGEST_DAYS} days"),
            "end it earlier; what is meant to last belongs into the rules",
        );
        return None;
    }
    Some((from, until))
}

fn waived(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<Vec<(String, String)>> {
    let mut waived = Vec::new();
    let mut seen = BTreeSet::new();
    for item in reader.list(node)? {
        let Some(pair) = check_path(reader, item, known) else { continue };
        if seen.insert(pair.clone()) {
            waived.push(pair);
        } else {
            reader.bad(Code::Duplicate, item, "this check stands here twice", "keep one");
        }
    }
    Some(waived)
}

fn check_path(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<(String, String)> {
    let text = reader.string(node)?;
    let parts: Vec<&str> = text.splitn(4, '/').collect();
    match parts.as_slice() {
        [rule, check] if is_name(rule) && is_name(check) => {
            let Some(checks) = known.checks.get(*rule) else {
                let message = format!("there is no rule `{rule}`");
                reader.bad(Code::Dangling, node, message, "write RULE/CHECK by their ids");
                return None;
            };
            if !checks.contains(*check) {
                let ids: Vec<_> = checks.iter().take(16).map(|c| format!("`{rule}/{c}`")).collect();
                let message = format!("the rule `{rule}` has no check `{check}`");
                let help = match ids.is_empty() {
                    true => "it has no checks to waive".to_owned(),
                    false => format!("write one of {}", ids.join(", ")),
                };
                reader.bad(Code::Dangling, node, message, help);
                return None;
            }
            Some(((*rule).to_owned(), (*check).to_owned()))
        }
        [file, rule, check] if is_name(file) && is_name(rule) && is_name(check) => {
            reader.bad(
                Code::NotYet,
                node,
                "checks of included files cannot be waived yet",
                "other files are not read yet; name a check of this one as RULE/CHECK",
            );
            None
        }
        _ => reader.value(
            node,
            format!("`{}` names no check", short(text)),
            "write RULE/CHECK by their ids",
        ),
    }
}
