//! The small words of the language, read with problems collected on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;

use super::grammar::Kind;
use super::problem::{Code, Problems};
use crate::image::Digest;
use crate::policy::glob::Glob;
use crate::policy::json::{Json, Member, Value};
use crate::policy::scope::Scope;

/// Collects problems while it reads; `None` means that one was added.
#[derive(Debug, Default)]
pub(in crate::policy) struct Reader {
    pub(in crate::policy) problems: Problems,
}

impl Reader {
    /// Adds a problem with `node`.
    pub(in crate::policy) fn bad(
        &mut self,
        code: Code,
        node: &Json,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.add(code, node.range.clone(), message).help(help);
    }

    /// An object of `kind` whose fields are all known and can be honoured.
    pub(in crate::policy) fn fields<'a>(
        &mut self,
        node: &'a Json,
        kind: &Kind,
    ) -> Option<&'a [Member]> {
        let Value::Object(members) = &node.value else {
            self.expected(node, &format!("{}, an object", kind.what));
            return None;
        };
        for member in members {
            self.field(member, kind);
        }
        Some(members)
    }

    fn field(&mut self, member: &Member, kind: &Kind) {
        let key = member.key.as_str();
        let place = member.key_range.clone();
        match kind.field(key).map(|f| f.later) {
            Some(None) => {}
            Some(Some(instead)) => self
                .problems
                .add(Code::NotYet, place, format!("`{key}` is not supported yet"))
                .help(instead),
            None => self
                .problems
                .add(Code::UnknownField, place, format!("{} has no field `{key}`", kind.what))
                .help(suggestion(key, kind)),
        }
    }

    /// The value of a field that must be there.
    pub(in crate::policy) fn required<'a>(
        &mut self,
        node: &'a Json,
        key: &str,
    ) -> Option<&'a Json> {
        let found = node.get(key);
        if found.is_none() && matches!(node.value, Value::Object(_)) {
            let start = node.range.start..node.range.start + 1;
            self.problems
                .add(Code::Missing, start, format!("`{key}` is missing here"))
                .help(format!("write \"{key}\": {}", example(key)));
        }
        found
    }

    /// Adds that something else was expected.
    pub(in crate::policy) fn expected(&mut self, node: &Json, what: &str) {
        let found = node.kind();
        self.bad(Code::Type, node, format!("expected {what}, found {found}"), "");
    }

    /// A value of the wrong content.
    pub(in crate::policy) fn value<T>(
        &mut self,
        node: &Json,
        message: String,
        help: &str,
    ) -> Option<T> {
        self.bad(Code::Value, node, message, help);
        None
    }

    pub(in crate::policy) fn string<'a>(&mut self, node: &'a Json) -> Option<&'a str> {
        let text = node.as_str();
        if text.is_none() {
            self.expected(node, "a string");
        }
        text
    }

    /// Text for people; not blank, no control characters but line breaks
    /// and tabs.
    pub(in crate::policy) fn text(&mut self, node: &Json) -> Option<String> {
        let text = self.string(node)?;
        if text.trim().is_empty() {
            self.bad(Code::Empty, node, "the text is empty", "say why in a few words");
            return None;
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return self.value(node, "the text has a control character".into(), "remove it");
        }
        Some(text.to_owned())
    }

    /// A name: `[a-z][a-z0-9-]{0,62}`.
    pub(in crate::policy) fn name(&mut self, node: &Json) -> Option<String> {
        let text = self.string(node)?;
        if is_name(text) {
            return Some(text.to_owned());
        }
        self.value(node, format!("`{}` is no name", short(text)), NAME)
    }

    /// The name that a member of a map has.
    pub(in crate::policy) fn key_name(&mut self, member: &Member) -> Option<String> {
        if is_name(&member.key) {
            return Some(member.key.clone());
        }
        let message = format!("`{}` is no name", short(&member.key));
        self.problems.add(Code::Value, member.key_range.clone(), message).help(NAME);
        None
    }

    /// An instant of the form `YYYY-MM-DDThh:mm:ssZ`.
    pub(in crate::policy) fn time(&mut self, node: &Json) -> Option<Timestamp> {
        let text = self.string(node)?;
        match instant(text) {
            Some(time) => Some(time),
            None => self.value(
                node,
                format!("`{}` is no instant of the calendar", short(text)),
                "write it in UTC and to the second, as 2026-11-23T08:00:00Z",
            ),
        }
    }

    pub(in crate::policy) fn digest(&mut self, node: &Json) -> Option<Digest> {
        let text = self.string(node)?;
        match Digest::from_str(text) {
            Ok(digest) => Some(digest),
            Err(error) => self.value(node, error.to_string(), ""),
        }
    }

    /// 64 lower-case hexadecimal digits.
    pub(in crate::policy) fn sha256(&mut self, node: &Json) -> Option<Digest> {
        let text = self.string(node)?;
        match Digest::from_str(&format!("sha256:{text}")) {
            Ok(digest) => Some(digest),
            Err(_) => self.value(
                node,
                format!("`{}` is no SHA-256", short(text)),
                "write 64 lower-case hexadecimal digits, as `sha256sum` prints them",
            ),
        }
    }

    /// An integer from `least` to `most`.
    pub(in crate::policy) fn integer(&mut self, node: &Json, least: u64, most: u64) -> Option<u64> {
        let Value::Integer(n) = node.value else {
            self.expected(node, "an integer");
            return None;
        };
        match u64::try_from(n) {
            Ok(n) if (least..=most).contains(&n) => Some(n),
            _ => {
                let most =
                    if most == u64::MAX { String::new() } else { format!(" and at most {most}") };
                self.value(node, format!("{n} is out of range"), &format!("at least {least}{most}"))
            }
        }
    }

    /// A flag that can only be set, never unset.
    pub(in crate::policy) fn only_true(&mut self, node: &Json) -> bool {
        match node.value {
            Value::Bool(true) => return true,
            Value::Bool(false) => {
                self.bad(Code::Value, node, "`false` is what leaving it out means", "leave it out");
            }
            _ => self.expected(node, "`true`"),
        }
        false
    }

    /// An array that is not empty.
    pub(in crate::policy) fn list<'a>(&mut self, node: &'a Json) -> Option<&'a [Json]> {
        match &node.value {
            Value::Array(items) if items.is_empty() => {
                self.bad(
                    Code::Empty,
                    node,
                    "the list is empty",
                    "write at least one entry or leave the field out",
                );
                None
            }
            Value::Array(items) => Some(items),
            _ => {
                self.expected(node, "an array");
                None
            }
        }
    }

    /// An object by free names that is not empty.
    pub(in crate::policy) fn map<'a>(&mut self, node: &'a Json) -> Option<&'a [Member]> {
        match &node.value {
            Value::Object(members) if members.is_empty() => {
                self.bad(
                    Code::Empty,
                    node,
                    "the object is empty",
                    "write at least one entry or leave the field out",
                );
                None
            }
            Value::Object(members) => Some(members),
            _ => {
                self.expected(node, "an object");
                None
            }
        }
    }

    /// A list in which nothing stands twice.
    pub(in crate::policy) fn set<T: Ord>(
        &mut self,
        node: &Json,
        mut item: impl FnMut(&mut Self, &Json) -> Option<T>,
    ) -> Option<BTreeSet<T>> {
        let mut set = BTreeSet::new();
        for entry in self.list(node)? {
            if let Some(value) = item(self, entry)
                && !set.insert(value)
            {
                self.bad(Code::Duplicate, entry, "this entry stands here twice", "keep one");
            }
        }
        Some(set)
    }

    /// One of a few words.
    pub(in crate::policy) fn word<T: Copy>(
        &mut self,
        node: &Json,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let help = format!("write {}", all.join(" or "));
        self.value(node, format!("`{}` is none of the words allowed here", short(text)), &help)
    }

    /// Patterns by annotation key.
    pub(in crate::policy) fn globs(&mut self, node: &Json) -> BTreeMap<String, Glob> {
        let mut globs = BTreeMap::new();
        for member in self.map(node).unwrap_or_default() {
            let Some(text) = self.string(&member.value) else { continue };
            match Glob::parse(text) {
                Ok(glob) => {
                    globs.insert(member.key.clone(), glob);
                }
                Err(error) => self.bad(Code::Value, &member.value, error.to_string(), ""),
            }
        }
        globs
    }

    /// Scopes in their normal form, none of them twice.
    pub(in crate::policy) fn scopes(&mut self, node: &Json) -> Option<Vec<Scope>> {
        let mut seen = BTreeSet::new();
        let mut scopes = Vec::new();
        for item in self.list(node)? {
            let Some(scope) = self.scope(item) else { continue };
            if seen.insert(scope.clone()) {
                scopes.push(scope);
            } else {
                self.bad(Code::Duplicate, item, "this scope stands here twice", "keep one");
            }
        }
        Some(scopes)
    }

    fn scope(&mut self, node: &Json) -> Option<Scope> {
        let text = self.string(node)?;
        match Scope::parse(text) {
            Ok(scope) => Some(scope),
            Err(error) => {
                self.bad(Code::Scope, node, error.to_string(), "");
                None
            }
        }
    }
}

const NAME: &str = "names begin with a lower-case letter and have up to 63 of a-z, 0-9 and `-`";

pub(in crate::policy) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 63
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An instant in the one form that every reader takes alike. No leap second:
/// clocks disagree about them.
pub(in crate::policy) fn instant(text: &str) -> Option<Timestamp> {
    let form = b"0000-00-00T00:00:00Z";
    let shaped = text.len() == form.len()
        && text
            .bytes()
            .zip(form)
            .all(|(b, f)| if *f == b'0' { b.is_ascii_digit() } else { b == *f });
    if !shaped || text.get(17..19) == Some("60") {
        return None;
    }
    text.parse().ok()
}

/// A text short enough for a message.
pub(in crate::policy) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn suggestion(key: &str, kind: &Kind) -> String {
    match kind.fields.iter().find(|f| fold(f.name) == fold(key)) {
        Some(field) => format!("keys are case-sensitive; write `{}`", field.name),
        None => {
            let all: Vec<_> = kind.fields.iter().filter(|f| f.later.is_none()).collect();
            let all: Vec<_> = all.iter().map(|f| format!("`{}`", f.name)).collect();
            format!("expected {}", all.join(", "))
        }
    }
}

/// The folding under which some readers (Go's encoding/json) take two keys
/// for one: ASCII case, and the two letters that fold into ASCII.
fn fold(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

fn example(key: &str) -> &'static str {
    match key {
        "ocisign" => "\"policy/1\"",
        "reference" => "one of \"repository\", \"exact\", \"exactOrDigest\" and \"none\"",
        "by" => "[\"the-signer\"]",
        "scope" => "[\"registry.example/app\"]",
        "rules" | "waive" => "[...]",
        "auditUntil" | "from" | "until" => "\"2026-11-23T08:00:00Z\"",
        "reason" | "approvedBy" => "\"...\", for those who read the verdict",
        _ => "\"...\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_days_of_the_calendar_in_one_form() {
        for good in ["2026-11-23T08:00:00Z", "2028-02-29T23:59:59Z", "0001-01-01T00:00:00Z"] {
            assert!(instant(good).is_some(), "{good}");
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T23:59:60Z",
            "2026-11-23T08:00:00z",
            "2026-11-23t08:00:00Z",
            "2026-11-23T08:00:00+00:00",
            "2026-11-23T08:00:00.0Z",
            "2026-11-23 08:00:00Z",
            "2026-11-23",
            "",
        ] {
            assert!(instant(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("a") && is_name("a-1") && is_name(&"a".repeat(63)));
        for bad in ["", "1", "-a", "A", "a_b", "a/b", "ä", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
