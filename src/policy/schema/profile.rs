//! What a schema of the profile may say.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::pattern;
use super::refs::Schemas;
use crate::policy::json::{Json, Value as Kind};
use crate::policy::parse::grammar::SCHEMA;
use crate::policy::parse::{Code, Reader};

/// A schema whose references are written out.
#[derive(Debug, Clone, Default)]
pub(super) struct Expanded {
    /// The schema.
    pub(super) source: Map<String, Value>,
    /// How many schemas it is, itself and the nested ones.
    pub(super) nodes: usize,
    /// How deep they nest.
    pub(super) depth: usize,
}

impl Expanded {
    fn nest(&mut self, inner: Expanded) -> Value {
        self.nodes += inner.nodes;
        self.depth = self.depth.max(inner.depth + 1);
        Value::Object(inner.source)
    }
}

/// Reads a schema; problems are added to `reader`.
pub(super) fn schema(reader: &mut Reader, node: &Json, refs: &mut Schemas<'_>) -> Option<Expanded> {
    let Kind::Object(members) = &node.value else {
        reader.expected(node, "a schema, an object that says what the value must be");
        return None;
    };
    if !refs.spend(reader, node, 1) {
        return None;
    }
    let mut out = Expanded { nodes: 1, depth: 1, ..Expanded::default() };
    for member in members {
        let (key, value) = (member.key.as_str(), &member.value);
        if SCHEMA.field(key).is_none() {
            let (message, help) = refused(key);
            reader.problems.add(Code::Schema, member.key_range.clone(), message).help(help);
        } else if let Some(value) = keyword(reader, key, value, refs, &mut out) {
            out.source.insert(key.to_owned(), value);
        }
    }
    reference(reader, node, refs, &mut out);
    asserts(reader, node);
    properties(reader, node);
    Some(out)
}

/// Reads the value of one keyword; `$ref` is written out later.
fn keyword(
    reader: &mut Reader,
    key: &str,
    node: &Json,
    refs: &mut Schemas<'_>,
    out: &mut Expanded,
) -> Option<Value> {
    match key {
        "$ref" => None,
        "title" | "description" => {
            reader.text(node)?;
            None
        }
        "type" => reader.word(node, TYPES).map(Value::from),
        "const" => Some(node.to_value()),
        "enum" => values(reader, node),
        "required" | "x-optional" => {
            let names = reader.set(node, |r, n| r.string(n).map(str::to_owned))?;
            (key == "required").then(|| names.into_iter().collect())
        }
        "properties" => {
            let mut map = Map::new();
            for member in reader.map(node)? {
                if let Some(inner) = schema(reader, &member.value, refs) {
                    map.insert(member.key.clone(), out.nest(inner));
                }
            }
            Some(Value::Object(map))
        }
        "additionalProperties" => match node.value {
            Kind::Bool(false) => Some(Value::Bool(false)),
            Kind::Object(_) => schema(reader, node, refs).map(|s| out.nest(s)),
            _ => {
                reader.expected(node, "`false` or a schema");
                None
            }
        },
        "items" => schema(reader, node, refs).map(|s| out.nest(s)),
        "allOf" | "anyOf" => branches(reader, key, node, refs, out),
        "pattern" => regex(reader, node),
        "uniqueItems" => reader.only_true(node).then_some(Value::Bool(true)),
        "maxItems" => reader.integer(node, 0, u64::MAX).map(Value::from),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => match node.value {
            Kind::Integer(_) => Some(node.to_value()),
            _ => {
                reader.expected(node, "an integer");
                None
            }
        },
        _ => reader.integer(node, 1, u64::MAX).map(Value::from),
    }
}

const TYPES: &[(&str, &str)] = &[
    ("object", "object"),
    ("array", "array"),
    ("string", "string"),
    ("integer", "integer"),
    ("number", "number"),
    ("boolean", "boolean"),
    ("null", "null"),
];

fn values(reader: &mut Reader, node: &Json) -> Option<Value> {
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    for item in reader.list(node)? {
        let value = item.to_value();
        if !seen.insert(value.to_string()) {
            reader.bad(Code::Duplicate, item, "this value stands here twice", "keep one");
        }
        values.push(value);
    }
    Some(Value::Array(values))
}

fn branches(
    reader: &mut Reader,
    key: &str,
    node: &Json,
    refs: &mut Schemas<'_>,
    out: &mut Expanded,
) -> Option<Value> {
    let list = reader.list(node)?;
    if key == "anyOf" && list.len() < 2 {
        reader.bad(Code::Value, node, "`anyOf` has one branch", "write it directly, or add one");
    }
    let mut values = Vec::new();
    for item in list {
        if let Some(inner) = schema(reader, item, refs) {
            values.push(out.nest(inner));
        }
    }
    Some(Value::Array(values))
}

fn regex(reader: &mut Reader, node: &Json) -> Option<Value> {
    let text = reader.string(node)?;
    match pattern::check(text) {
        Ok(()) => Some(Value::from(text)),
        Err((message, help)) => {
            reader.bad(Code::Schema, node, message, help);
            None
        }
    }
}

/// Puts the schema that `$ref` names beside the other keywords.
fn reference(reader: &mut Reader, node: &Json, refs: &mut Schemas<'_>, out: &mut Expanded) {
    let Some(target) = node.get("$ref").and_then(|n| refs.resolve(reader, n)) else { return };
    if out.source.is_empty() {
        // `resolve` has counted it
        *out = target;
        return;
    }
    let target = out.nest(target);
    match out.source.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(target),
        _ => {
            out.source.insert("allOf".to_owned(), Value::Array(vec![target]));
        }
    }
}

/// Something is said, and it is said about values of a type.
fn asserts(reader: &mut Reader, node: &Json) {
    let says = ["$ref", "type", "const", "enum", "allOf", "anyOf"];
    if !says.iter().any(|key| node.get(key).is_some()) {
        let typed = node.members().iter().find(|m| !types_of(&m.key).is_empty());
        match typed {
            Some(member) => {
                let message = format!("`{}` says nothing about values of other types", member.key);
                reader
                    .problems
                    .add(Code::Schema, member.key_range.clone(), message)
                    .help(format!("add \"type\": \"{}\"", types_of(&member.key).join("\" or \"")));
            }
            None => reader.bad(
                Code::Schema,
                node,
                "the schema says nothing",
                "write `type`, `const`, `enum` or `$ref`",
            ),
        }
        return;
    }
    let fixed = node.get("const").is_some() || node.get("enum").is_some();
    let kind = node.get("type").and_then(Json::as_str);
    for member in node.members() {
        let types = types_of(&member.key);
        if types.is_empty() || kind.map_or(fixed, |k| types.contains(&k)) {
            continue;
        }
        let (what, help) = match kind {
            Some(kind) => (format!("a {kind}"), "remove it, or correct `type`".to_owned()),
            None => (
                "values of other types".to_owned(),
                format!("add \"type\": \"{}\"", types.join("\" or \"")),
            ),
        };
        let message = format!("`{}` says nothing about {what}", member.key);
        reader.problems.add(Code::Schema, member.key_range.clone(), message).help(help);
    }
}

/// The types that a keyword is about.
fn types_of(keyword: &str) -> &'static [&'static str] {
    match keyword {
        "required"
        | "x-optional"
        | "properties"
        | "additionalProperties"
        | "minProperties"
        | "maxProperties" => &["object"],
        "items" | "minItems" | "maxItems" | "uniqueItems" => &["array"],
        "pattern" | "minLength" | "maxLength" => &["string"],
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => &["integer", "number"],
        _ => &[],
    }
}

/// Every constrained property must be there, or is said to be optional.
fn properties(reader: &mut Reader, node: &Json) {
    let names = |key: &str| -> BTreeSet<&str> {
        let items = node.get(key).map(Json::items).unwrap_or_default();
        items.iter().filter_map(Json::as_str).collect()
    };
    let (required, optional) = (names("required"), names("x-optional"));
    let members = node.get("properties").map(Json::members).unwrap_or_default();
    let known: BTreeSet<&str> = members.iter().map(|m| m.key.as_str()).collect();
    for member in members {
        if !required.contains(member.key.as_str()) && !optional.contains(member.key.as_str()) {
            let message = format!("the property `{}` may be absent, and then passes", member.key);
            let help = "add it to `required`, or to `x-optional` if that is meant";
            reader.problems.add(Code::Schema, member.key_range.clone(), message).help(help);
        }
    }
    for item in node.get("x-optional").map(Json::items).unwrap_or_default() {
        let Some(name) = item.as_str() else { continue };
        if required.contains(name) {
            let message = format!("`{name}` is in both `required` and `x-optional`");
            reader.bad(Code::Schema, item, message, "keep one");
        } else if !known.contains(name) {
            let message = format!("`{name}` is optional and nothing is said about it");
            reader.bad(Code::Schema, item, message, "say it under `properties`, or remove it");
        }
    }
}

/// Why a keyword is not in the profile, and what to write instead.
fn refused(key: &str) -> (String, &'static str) {
    let help = match key {
        "format" => "formats are not checked by most readers; write a `pattern`",
        "contentEncoding" | "contentMediaType" | "contentSchema" => {
            "content is not decoded; write a `pattern`"
        }
        "unevaluatedProperties" | "unevaluatedItems" => "write `additionalProperties` or `items`",
        "not" => "say positively what the value must be, with `enum` or `pattern`",
        "if" | "then" | "else" | "dependentRequired" | "dependentSchemas" | "dependencies" => {
            "write `anyOf` with one branch for each case"
        }
        "contains" | "minContains" | "maxContains" => {
            "say what every item must be, with `items` and `minItems`"
        }
        "prefixItems" | "additionalItems" => "say what every item must be, with `items`",
        "oneOf" => "write `anyOf`, with branches that differ in a `const`",
        "patternProperties" | "propertyNames" => "write `properties` and `additionalProperties`",
        "$defs" | "definitions" => "put it under `schemas` of the policy",
        "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$schema"
        | "$vocabulary" => "refer to schemas of the policy with \"$ref\": \"#/schemas/NAME\"",
        "default" | "examples" | "deprecated" | "readOnly" | "writeOnly" | "$comment" => {
            "it asserts nothing; write `description`"
        }
        "multipleOf" | "divisibleBy" => "write `minimum` and `maximum`, or `enum`",
        _ => "expected a keyword of the strict profile, such as `type`, `const`, `properties`",
    };
    let key = crate::policy::parse::reader::short(key);
    (format!("the profile has no keyword `{key}`"), help)
}
