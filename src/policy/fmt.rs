//! The one way in which a policy is written.
//!
//! Two spaces, known keys in the order of the language's page, everything
//! that fits on a line on a line. Names, lists and data stay in the order in
//! which they were written: it is their author's.

use super::json::{self, Json, Member, Value};
use super::parse::Problem;
use super::parse::grammar::{Child, POLICY, RULE};
use super::test::file;
use crate::limits::Limits;

/// Longest line that is not broken, in characters.
const WIDTH: usize = 100;

/// Formats a policy or a test file, whole or not: only what is no strict JSON is refused.
///
/// # Errors
/// Where it is no strict JSON.
pub fn fmt(bytes: &[u8], limits: &Limits) -> Result<String, Vec<Problem>> {
    let root = json::read(bytes, limits)?;
    let mut out = String::new();
    let version = root.get("ocisign").and_then(Json::as_str);
    let kind = if version == Some(file::VERSION) { &file::FILE } else { &POLICY };
    broken(&mut out, &root, Child::One(kind), 0);
    out.push('\n');
    Ok(out)
}

/// Writes a value over several lines, each part on one line if it fits.
fn broken(out: &mut String, node: &Json, child: Child, indent: usize) {
    match &node.value {
        Value::Array(items) if !items.is_empty() => {
            lines(out, '[', ']', indent, items, |out, item| {
                value(out, item, item_child(child), indent + 2, 0);
            });
        }
        Value::Object(members) if !members.is_empty() => {
            let members = ordered(members, child);
            lines(out, '{', '}', indent, &members, |out, member| {
                let key = quoted(&member.key);
                out.push_str(&key);
                out.push_str(": ");
                let used = key.chars().count() + 2;
                value(out, &member.value, member_child(child, &member.key), indent + 2, used);
            });
        }
        scalar => out.push_str(&text_of(scalar)),
    }
}

fn lines<T>(
    out: &mut String,
    open: char,
    close: char,
    indent: usize,
    parts: &[T],
    mut write: impl FnMut(&mut String, &T),
) {
    out.push(open);
    for (i, part) in parts.iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        write(out, part);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

/// Writes a value that begins `used` characters after the indent.
fn value(out: &mut String, node: &Json, child: Child, indent: usize, used: usize) {
    // one more for the comma
    let room = WIDTH.saturating_sub(indent + used + 1);
    match short(node, child, room) {
        Some(text) => out.push_str(&text),
        None => broken(out, node, child, indent),
    }
}

/// The value on one line, where it fits and is not always broken.
fn short(node: &Json, child: Child, room: usize) -> Option<String> {
    let always = match child {
        Child::Map(_) => true,
        Child::List(kind) | Child::One(kind) => {
            std::ptr::eq(kind, &RULE) || std::ptr::eq(kind, &file::CASE)
        }
        Child::Lists(_) | Child::Plain => false,
    };
    if always {
        return None;
    }
    let mut text = String::new();
    let fits = inline(&mut text, node, child, room);
    (fits && text.chars().count() <= room).then_some(text)
}

/// Writes a value on one line; stops and says no once it is longer than
/// `room` characters can be.
fn inline(out: &mut String, node: &Json, child: Child, room: usize) -> bool {
    match &node.value {
        Value::Array(items) => {
            out.push('[');
            let fits = items.iter().enumerate().all(|(i, item)| {
                out.push_str(if i == 0 { "" } else { ", " });
                inline(out, item, item_child(child), room)
            });
            out.push(']');
            return fits;
        }
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::Object(members) => {
            out.push_str("{ ");
            let fits = ordered(members, child).into_iter().enumerate().all(|(i, member)| {
                out.push_str(if i == 0 { "" } else { ", " });
                out.push_str(&quoted(&member.key));
                out.push_str(": ");
                inline(out, &member.value, member_child(child, &member.key), room)
            });
            out.push_str(" }");
            return fits;
        }
        scalar => out.push_str(&text_of(scalar)),
    }
    out.len() <= room.saturating_mul(4)
}

fn text_of(scalar: &Value) -> String {
    match scalar {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Integer(n) => n.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Known keys first and in their order; a stable sort keeps the rest.
fn ordered(members: &[Member], child: Child) -> Vec<&Member> {
    let mut members: Vec<&Member> = members.iter().collect();
    if let Child::One(kind) = child {
        let place = |key: &str| kind.fields.iter().position(|f| f.name == key);
        members.sort_by_key(|m| place(&m.key).unwrap_or(usize::MAX));
    }
    members
}

fn item_child(child: Child) -> Child {
    match child {
        Child::List(kind) => Child::One(kind),
        Child::Lists(kind) => Child::List(kind),
        Child::One(_) | Child::Map(_) | Child::Plain => Child::Plain,
    }
}

fn member_child(child: Child, key: &str) -> Child {
    match child {
        Child::One(kind) => kind.field(key).map_or(Child::Plain, |f| f.child),
        Child::Map(kind) => Child::One(kind),
        Child::List(_) | Child::Lists(_) | Child::Plain => Child::Plain,
    }
}
