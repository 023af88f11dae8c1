//! SARIF 2.1.0, for code scanning: a result for each image and cause.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::{Book, Cause, Entry, LogError, Record, Tally, Unlisted};
use crate::image::Digest;
use crate::policy::Decision;
use crate::report::{escaped, printable};

/// Where the schema lies.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Users named in one message.
const USERS: usize = 10;

/// Writes the report. The results are written one by one.
///
/// # Errors
/// [`LogError`] where the log is not what it was, or nothing can be written.
pub fn sarif(book: &Book, tally: &Tally, mut out: impl Write) -> Result<(), LogError> {
    let entries = book.sorted(|_| ())?;
    let rules = Rules::of(book, &entries)?;
    let driver = json!({
        "name": "ocisign",
        "version": book.header().ocisign,
        "rules": rules.descriptors(),
    });
    let head = json!({
        "tool": { "driver": driver },
        "invocations": [invocation(book, tally)],
        "columnKind": "unicodeCodePoints",
        "properties": properties(book),
    });
    let head = text(&head);
    let head = head.strip_suffix('}').unwrap_or_default();
    write!(out, "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{head},\"results\":[")?;
    let mut first = true;
    for entry in &entries {
        let record = book.record(entry)?;
        for (level, cause) in findings(&record) {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            let result = result(book, &record, level, cause, &rules);
            write!(out, "{comma}\n{}", text(&result))?;
        }
    }
    Ok(writeln!(out, "\n]}}]}}")?)
}

/// What a record has to say: errors for what a gate would not let run,
/// warnings for what only audit lets through.
fn findings(record: &Record) -> impl Iterator<Item = (&'static str, &Cause)> {
    let level = match record.decision {
        Decision::Allow => "warning",
        Decision::Deny | Decision::Undecided => "error",
    };
    let refused = record.causes.iter().map(move |cause| (level, cause));
    let shown = if record.decision == Decision::Allow { record.would_deny.as_slice() } else { &[] };
    refused.chain(shown.iter().map(|cause| ("warning", cause)))
}

/// The rules of the report, in the order in which results name them.
struct Rules(BTreeMap<String, (usize, Cause)>);

impl Rules {
    fn of(book: &Book, entries: &[Entry<()>]) -> Result<Self, LogError> {
        let mut rules = BTreeMap::new();
        for entry in entries {
            let record = book.record(entry)?;
            for (_, cause) in findings(&record) {
                rules.entry(id(cause)).or_insert_with(|| (0, cause.clone()));
            }
        }
        rules.values_mut().enumerate().for_each(|(at, rule)| rule.0 = at);
        Ok(Self(rules))
    }

    fn descriptors(&self) -> Vec<Value> {
        let descriptor = |(id, (_, cause)): (&String, &(usize, Cause))| {
            let advice = cause.class.advice();
            json!({
                "id": id,
                "name": cause.class.as_str(),
                "shortDescription": { "text": escaped(&cause.title()) },
                "fullDescription": { "text": format!("{}. To do: {advice}.", escaped(&cause.title())) },
                "help": { "text": advice },
            })
        };
        self.0.iter().map(descriptor).collect()
    }
}

/// `unsigned/prod/signed`: what is wrong, and where the policy says it.
fn id(cause: &Cause) -> String {
    let parts = [cause.class.as_str(), &cause.at];
    escaped(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
}

fn result(book: &Book, record: &Record, level: &str, cause: &Cause, rules: &Rules) -> Value {
    let id = id(cause);
    let index = rules.0.get(&id).map(|(at, _)| *at);
    let fingerprint = Digest::sha256(format!("{}\n{id}", record.image).as_bytes());
    let mut users: Vec<String> =
        record.users.named.iter().take(USERS).map(ToString::to_string).collect();
    let more = record.users.named.len().saturating_sub(USERS);
    let more = record.users.more.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    if more > 0 {
        users.push(format!("{more} more"));
    }
    let used_by =
        if users.is_empty() { String::new() } else { format!(" Used by {}.", users.join(", ")) };
    let decision = match (record.decision, level) {
        (Decision::Allow, _) => "only audit lets it run",
        (Decision::Deny, _) => "denied",
        (Decision::Undecided, _) => "could not be decided on",
    };
    let image = escaped(&record.image);
    let message = format!("{image}: {decision}: {}.{used_by}", escaped(&cause.why));
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": message },
        "locations": [location(book, record)],
        "partialFingerprints": { "imageAndCause/v1": fingerprint.hex() },
    })
}

/// The image, and the line of the list that names it. Images of a cluster
/// lie in no file, and none is made up for them.
fn location(book: &Book, record: &Record) -> Value {
    let image = escaped(&record.image);
    let name = image.rsplit('/').next().unwrap_or_default();
    let users = record.users.named.iter().take(USERS).map(|user| {
        json!({
            "name": escaped(&user.name),
            "fullyQualifiedName": escaped(&format!("{}/{}/{}", user.namespace, user.kind, user.name)),
            "kind": "resource",
        })
    });
    let image = json!({ "name": name, "fullyQualifiedName": image, "kind": "resource" });
    let logical: Vec<Value> = std::iter::once(image).chain(users).collect();
    match (book.list().and_then(uri), record.line) {
        (Some(uri), Some(line)) => json!({
            "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": { "startLine": line.max(1) },
            },
            "logicalLocations": logical,
        }),
        _ => json!({ "logicalLocations": logical }),
    }
}

/// A path as a URI: relative where it is, so that code scanning finds it in
/// the repository.
fn uri(path: &str) -> Option<String> {
    let absolute = std::path::Path::new("/").join(path);
    let uri = url::Url::from_file_path(absolute).ok()?;
    match path.starts_with('/') {
        true => Some(uri.to_string()),
        false => uri.path().strip_prefix('/').map(str::to_owned),
    }
}

/// Whether everything was looked at, and what was not.
fn invocation(book: &Book, tally: &Tally) -> Value {
    let notification = |one: &Unlisted| {
        let what = format!("{} was not looked at: {}", escaped(&one.what), escaped(&one.why));
        json!({ "level": "error", "message": { "text": what } })
    };
    let missed: Vec<Value> = tally.unlisted().iter().map(notification).collect();
    json!({
        "executionSuccessful": missed.is_empty(),
        "startTimeUtc": book.header().started.to_string(),
        "toolExecutionNotifications": missed,
    })
}

fn properties(book: &Book) -> Value {
    let header = book.header();
    json!({
        "policy": escaped(&header.policy),
        "policyDigest": header.policy_digest,
        "depth": header.depth.as_str(),
        "shard": header.shard,
    })
}

fn text(value: &Value) -> String {
    printable(&value.to_string())
}
