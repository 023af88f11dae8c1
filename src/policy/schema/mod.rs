//! The strict profile of JSON Schema (policy language, "Predicates").
//!
//! JSON Schema describes by default: a property that is misspelled or absent
//! passes. Here a schema asserts, and what cannot be said positively is
//! refused with what to write instead.

mod pattern;
mod profile;
mod refs;

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::json;
use super::parse::{Problem, Reader};
use crate::limits::Limits;

pub(super) use refs::Schemas;

/// Most violations that are reported of one document.
const MOST_VIOLATIONS: usize = 8;
/// Longest text of one violation, in characters.
const LONGEST_VIOLATION: usize = 200;
/// Memory for one compiled pattern, and for its cache of states.
const PATTERN_BYTES: usize = 256 << 10;

/// A schema of the strict profile, compiled when the policy is loaded.
///
/// References are written out, so that it stands for itself.
#[derive(Clone)]
pub struct Schema {
    source: Value,
    compiled: Arc<Validator>,
}

impl Schema {
    /// Parses one schema that refers to no other.
    ///
    /// # Errors
    /// What is outside of the strict profile, as [`super::parse()`] has it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let root = json::read(bytes, &Limits::default())?;
        let mut reader = Reader::default();
        match Schemas::new(None).read(&mut reader, &root) {
            Some(schema) if reader.problems.is_empty() => Ok(schema),
            _ => Err(reader.problems.finish(Some(&root))),
        }
    }

    /// Compiles a schema of the profile; the text says why it cannot be.
    fn compile(source: Value) -> Result<Self, String> {
        let patterns =
            PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let compiled = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .offline()
            .build(&source)
            .map_err(|error| clip(&error.to_string()))?;
        Ok(Self { source, compiled: Arc::new(compiled) })
    }

    /// The schema with its references written out.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with `instance`, each with its place, at most eight;
    /// empty where it is valid.
    pub fn violations(&self, instance: &Value) -> Vec<String> {
        self.compiled
            .iter_errors(instance)
            .take(MOST_VIOLATIONS)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the document".to_owned() } else { clip(&place) };
                format!("{place}: {}", clip(&error.masked_with("the value").to_string()))
            })
            .collect()
    }
}

fn clip(text: &str) -> String {
    text.chars().take(LONGEST_VIOLATION).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(value: Value) -> Result<Schema, Vec<String>> {
        Schema::parse(value.to_string().as_bytes())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_schema_says_what_is_wrong_and_where() {
        let user = json!({"type": "object", "required": ["config"], "properties": {
            "config": {"type": "object", "required": ["User"], "properties": {
                "User": {"type": "string", "pattern": "^[1-9][0-9]*(:[0-9]+)?$"}}}}});
        let user = schema(user).unwrap();
        assert_eq!(user.violations(&json!({"config": {"User": "65532:1"}})), Vec::<String>::new());
        let found = user.violations(&json!({"config": {"User": "root"}}));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("/config/User: the value does not match"), "{found:?}");
        assert!(user.violations(&json!({"config": {}}))[0].starts_with("/config: "));
        assert!(!user.violations(&json!({"config": {"User": "1\nroot"}})).is_empty());
        assert!(!user.violations(&json!({"config": {"User": "1\n"}})).is_empty());
    }

    #[test]
    fn violations_are_few_and_short_whatever_the_document() {
        let strings = schema(json!({"type": "array", "items": {"type": "string"}})).unwrap();
        assert_eq!(strings.violations(&json!(vec![1; 10_000])).len(), MOST_VIOLATIONS);
        let none = schema(json!({"type": "object", "required": ["a"], "properties":
            {"a": {"const": 1}}, "additionalProperties": false}))
        .unwrap();
        for text in none.violations(&json!({"x".repeat(100_000): 1})) {
            assert!(text.chars().count() <= 2 * LONGEST_VIOLATION + 2);
        }
    }

    #[test]
    fn patterns_take_linear_time() {
        let evil = schema(json!({"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}));
        let text = "a".repeat(100_000);
        let begun = std::time::Instant::now();
        assert!(!evil.unwrap().violations(&json!(text)).is_empty());
        assert!(begun.elapsed().as_secs() < 5);
        for bad in ["^(?=a)b$", "^(a)\\1$", "^(a{1000}){1000}$", "^[$", "^(?P<x$"] {
            assert!(schema(json!({"type": "string", "pattern": bad})).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_describes_and_does_not_assert_is_refused() {
        for (bad, says) in [
            (json!({}), "says nothing"),
            (json!(true), "an object"),
            (json!({"description": "x"}), "says nothing"),
            (json!({"type": ["string", "null"]}), "a string"),
            (json!({"type": "any"}), "none of the words"),
            (json!({"minLength": 1}), "add \"type\""),
            (json!({"type": "string", "minimum": 1}), "says nothing about a string"),
            (json!({"type": "string", "format": "uri"}), "`pattern`"),
            (json!({"type": "string", "contentEncoding": "base64"}), "`pattern`"),
            (json!({"not": {"const": 1}}), "`enum`"),
            (json!({"oneOf": [{"const": 1}, {"const": 2}]}), "`anyOf`"),
            (json!({"type": "array", "contains": {"const": 1}}), "`items`"),
            (json!({"if": {"const": 1}, "then": {"const": 1}}), "`anyOf`"),
            (json!({"type": "object", "unevaluatedProperties": false}), "additionalProperties"),
            (json!({"type": "object", "propertys": {}}), "no keyword `propertys`"),
            (json!({"type": "object", "properties": {"a": {"const": 1}}}), "`required`"),
            (
                json!({"type": "object", "required": ["a"], "x-optional": ["a"],
                    "properties": {"a": {"const": 1}}}),
                "both",
            ),
            (
                json!({"type": "object", "x-optional": ["b"],
                    "properties": {"a": {"const": 1}}}),
                "`b`",
            ),
            (json!({"type": "object", "required": []}), "empty"),
            (json!({"enum": []}), "empty"),
            (json!({"enum": [1, 1]}), "twice"),
            (json!({"anyOf": [{"const": 1}]}), "one branch"),
            (json!({"type": "object", "additionalProperties": true}), "`false`"),
            (json!({"type": "string", "pattern": "a"}), "`^`"),
            (json!({"type": "string", "pattern": "^a|b$"}), "group"),
            (json!({"type": "string", "pattern": "^a\\$"}), "`^`"),
            (json!({"type": "string", "pattern": "^(?m)a$"}), "(?:"),
            (json!({"type": "array", "uniqueItems": false}), "leave it out"),
            (json!({"type": "integer", "multipleOf": 2}), "`minimum`"),
            (json!({"$ref": "https://x.example/s.json"}), "#/schemas/NAME"),
            (json!({"$ref": "#/schemas/none"}), "no schema `none`"),
        ] {
            let problems = schema(bad.clone()).expect_err(&bad.to_string()).join("\n");
            assert!(problems.contains(says), "{bad}: {problems}");
        }
        for good in [
            json!({"const": null}),
            json!({"enum": ["a", 1, {"b": []}]}),
            json!({"type": "object", "required": ["a"], "additionalProperties": {"const": 1}}),
            json!({"type": "string", "pattern": "^(a|b)[|]\\|$"}),
            json!({"type": "array", "maxItems": 0}),
            json!({"type": "number", "minimum": -1, "exclusiveMaximum": 9}),
            json!({"allOf": [{"type": "string", "minLength": 1}]}),
        ] {
            schema(good.clone()).unwrap_or_else(|p| panic!("{good}: {p:?}"));
        }
    }
}
