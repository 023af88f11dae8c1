//! JSON that remembers where it stood, read strictly.
//!
//! `serde_json` says whether the text is JSON at all; `jsonc-parser` reads it
//! again for the byte ranges, so that a problem can point. What both let
//! through and a policy must not have (duplicate keys, fractions, deep
//! nesting) is refused here.

use std::collections::HashSet;
use std::ops::Range;

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};

use super::parse::{Code, Problem, Problems};
use crate::limits::Limits;

/// A value and the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Json {
    /// Byte offsets in the source.
    pub range: Range<usize>,
    /// What stands there.
    pub value: Value,
}

/// A JSON value. Numbers are integers: a policy has no others.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer between -2^63 and 2^64 - 1.
    Integer(i128),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; its keys differ and stand in the order of the source.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key, unescaped.
    pub key: String,
    /// Byte offsets of the key with its quotes.
    pub key_range: Range<usize>,
    /// The value.
    pub value: Json,
}

/// Reads `bytes` as one JSON value of at most `limits.policy_bytes`.
///
/// # Errors
/// Where it is no UTF-8 or no JSON, the first place; otherwise every
/// duplicate key, every number that is no integer and what is nested too deep.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Json, Vec<Problem>> {
    let mut problems = Problems::default();
    let root = read_into(bytes, limits, &mut problems);
    match root {
        Some(root) if problems.is_empty() => Ok(root),
        root => Err(problems.finish(root.as_ref())),
    }
}

fn read_into(bytes: &[u8], limits: &Limits, problems: &mut Problems) -> Option<Json> {
    if bytes.len() as u64 > limits.policy_bytes {
        let most = limits.policy_bytes;
        problems
            .add(Code::Size, 0..0, format!("the file has {} bytes", bytes.len()))
            .help(format!("at most {most} bytes are read; split it or shorten it"));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            problems
                .add(Code::Encoding, at..at, "the file is not UTF-8 from here on")
                .help("save it as UTF-8");
            return None;
        }
    };
    if text.starts_with('\u{feff}') {
        problems
            .add(Code::Encoding, 0..0, "the file begins with a byte order mark")
            .help("save it as UTF-8 without one");
        return None;
    }
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        problems
            .add(Code::Syntax, at..at, syntax(&error))
            .help("write strict JSON: no comments, no trailing commas, no duplicate keys");
        return None;
    }
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict());
    match parsed.map(|p| p.value) {
        Ok(Some(value)) => Some(convert(&value, 1, limits.json_depth, problems)),
        Ok(None) | Err(_) => {
            problems
                .add(Code::Syntax, 0..0, "two JSON readers disagree about this text")
                .help("write plain JSON");
            None
        }
    }
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("this is not JSON: {what}")
}

/// The byte offset of a line and column that both count from 1, in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn convert(value: &ast::Value<'_>, depth: usize, most: usize, problems: &mut Problems) -> Json {
    let range = value.start()..value.end();
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(b) => Value::Bool(b.value),
        ast::Value::StringLit(s) => Value::String(s.value.clone().into_owned()),
        ast::Value::NumberLit(n) => number(n.value, &range, problems),
        ast::Value::Array(_) | ast::Value::Object(_) if depth > most => {
            problems
                .add(Code::Depth, range.start..range.start + 1, "nested too deep")
                .help(format!("at most {most} levels are read"));
            Value::Null
        }
        ast::Value::Array(array) => Value::Array(
            array.elements.iter().map(|e| convert(e, depth + 1, most, problems)).collect(),
        ),
        ast::Value::Object(o) => Value::Object(members(o, depth, most, problems)),
    };
    Json { range, value }
}

fn number(text: &str, range: &Range<usize>, problems: &mut Problems) -> Value {
    match text.parse::<i128>() {
        Ok(n) if text != "-0" && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&n) => {
            Value::Integer(n)
        }
        _ => {
            problems
                .add(Code::Number, range.clone(), format!("`{text}` is no integer of 64 bits"))
                .help("write a whole number without `.`, exponent or `-0`");
            Value::Integer(0)
        }
    }
}

fn members(
    object: &ast::Object<'_>,
    depth: usize,
    most: usize,
    problems: &mut Problems,
) -> Vec<Member> {
    let mut seen = HashSet::new();
    let mut members = Vec::with_capacity(object.properties.len());
    for property in &object.properties {
        let key = property.name.as_str().to_owned();
        let key_range = property.name.start()..property.name.end();
        let value = convert(&property.value, depth + 1, most, problems);
        if seen.insert(key.clone()) {
            members.push(Member { key, key_range, value });
        } else {
            problems
                .add(Code::DuplicateKey, key_range, format!("the key `{key}` stands here twice"))
                .help("readers differ in which one they take; keep one");
        }
    }
    members
}

impl Json {
    /// The members, where this is an object.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The items, where this is an array.
    pub fn items(&self) -> &[Json] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The value of a member.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.members().iter().find(|m| m.key == key).map(|m| &m.value)
    }

    /// The text, where this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same without the places.
    pub fn to_value(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Integer(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => n.into(),
                (_, Ok(n)) => n.into(),
                _ => serde_json::Value::Null,
            },
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(Self::to_value).collect(),
            Value::Object(members) => {
                members.iter().map(|m| (m.key.clone(), m.value.to_value())).collect()
            }
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// The JSON Pointer (RFC 6901) to the innermost value or key that
    /// contains `range`.
    pub fn pointer_to(&self, range: &Range<usize>) -> String {
        let within = |outer: &Range<usize>| outer.start <= range.start && range.end <= outer.end;
        let mut pointer = String::new();
        let mut at = self;
        loop {
            let member =
                at.members().iter().find(|m| within(&(m.key_range.start..m.value.range.end)));
            let item = at.items().iter().enumerate().find(|(_, item)| within(&item.range));
            at = match (member, item) {
                (Some(member), _) => {
                    pointer.push('/');
                    pointer.push_str(&member.key.replace('~', "~0").replace('/', "~1"));
                    if within(&member.key_range) {
                        return pointer;
                    }
                    &member.value
                }
                (None, Some((i, item))) => {
                    pointer.push_str(&format!("/{i}"));
                    item
                }
                (None, None) => return pointer,
            };
        }
    }

    /// The value at a JSON Pointer.
    pub fn at(&self, pointer: &str) -> Option<&Json> {
        let mut at = self;
        for step in pointer.split('/').skip(1) {
            let key = step.replace("~1", "/").replace("~0", "~");
            at = match &at.value {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => at.get(&key)?,
            };
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<Code> {
        match read(text.as_bytes(), &Limits::default()) {
            Ok(_) => vec![],
            Err(problems) => problems.iter().map(|p| p.code).collect(),
        }
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        assert_eq!(codes("\u{feff}{}"), [Code::Encoding]);
    }

    #[test]
    fn only_strict_json_is_read() {
        for text in [
            "",
            "{",
            "{} {}",
            "[1,]",
            "{\"a\":1,}",
            "// x\n{}",
            "{a:1}",
            "['a']",
            "[0x10]",
            "[+1]",
            "[01]",
            "[\"\t\"]",
            "[\"\\x41\"]",
            "[\"\\ud800\"]",
            "[{} {}]",
            "{}\u{a0}",
            "[NaN]",
        ] {
            assert_eq!(codes(text), [Code::Syntax], "{text}");
        }
        assert_eq!(codes(" {\"a\": [1, -2, \"\\u0041\"]}\n"), []);
    }

    #[test]
    fn what_readers_take_differently_is_refused() {
        assert_eq!(codes("{\"a\":1,\"a\":1}"), [Code::DuplicateKey]);
        assert_eq!(codes("[{\"a\":1,\"\\u0061\":1}]"), [Code::DuplicateKey]);
        for number in ["1.0", "1e3", "-0", "18446744073709551616", "-9223372036854775809"] {
            assert_eq!(codes(&format!("[{number}]")), [Code::Number], "{number}");
        }
        assert_eq!(codes("[18446744073709551615, -9223372036854775808]"), []);
    }

    #[test]
    fn size_depth_and_encoding_are_bounded() {
        let limits = Limits { policy_bytes: 8, ..Limits::default() };
        assert_eq!(read(b"[1,2,3,4]", &limits).unwrap_err()[0].code, Code::Size);
        assert_eq!(codes(&format!("{}{}", "[".repeat(64), "]".repeat(64))), []);
        assert_eq!(codes(&format!("{}{}", "[".repeat(65), "]".repeat(65))), [Code::Depth]);
        assert_eq!(codes(&"[".repeat(100_000)), [Code::Syntax]);
        let problems = read(b"[\"\xff\"]", &Limits::default()).unwrap_err();
        assert_eq!(problems[0].code, Code::Encoding);
    }

    #[test]
    fn a_place_and_its_pointer_belong_together() {
        let text = "{\"a\": {\"b/c\": [1, {\"d\": 2}]}}";
        let root = read(text.as_bytes(), &Limits::default()).unwrap();
        let two = root.at("/a/b~1c/1/d").unwrap();
        assert_eq!(&text[two.range.clone()], "2");
        assert_eq!(root.pointer_to(&two.range), "/a/b~1c/1/d");
        let key = text.find("\"d\"").unwrap();
        assert_eq!(root.pointer_to(&(key..key + 3)), "/a/b~1c/1/d");
        assert_eq!(root.pointer_to(&(0..1)), "");
    }
}
