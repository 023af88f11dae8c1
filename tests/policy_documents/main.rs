//! Policies as documents: what is shipped, what is refused and how it is
//! said, the published JSON Schema, formatting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod exceptions;
mod format;
mod links;
mod lints;
mod refusals;
mod schema;
mod shipped;

use std::path::{Path, PathBuf};

use ocisign::limits::Limits;
use ocisign::policy::{Document, Problem, parse};
use serde_json::{Value, json};

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// The shipped policies, by name; the directory says which there are.
fn shipped() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(policies()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let policy = name.strip_suffix(".json").filter(|n| !n.contains('.'));
        if let Some(policy) = policy {
            found.push((policy.to_owned(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() >= 6, "the shipped policies are not where they were");
    found
}

fn load(value: &Value) -> Result<Document, Vec<Problem>> {
    parse(value.to_string().as_bytes(), &Limits::default())
}

/// A policy with every kind of part, small enough to change in a test.
fn sample() -> Value {
    json!({
        "ocisign": "policy/1",
        "name": "sample",
        "mirrors": { "mirror.example/up": "up.example" },
        "signers": {
            "ana": { "keys": [{ "file": "ana.pub", "until": "2027-01-01T00:00:00Z" }] },
            "bo": { "keys": [{ "file": "bo.pub" }, { "file": "bo-2.pub" }] }
        },
        "schemas": { "any-object": { "type": "object" } },
        "revoked": [{ "signer": "bo", "reason": "left" }],
        "baseline": [{ "id": "limits", "scope": ["**"], "require": [
            { "id": "size", "image": { "maxLayers": 9 } }] }],
        "rules": [
            { "id": "app", "scope": ["a.example/app"], "require": [
                { "id": "both", "signed": { "by": ["ana", "bo"], "atLeast": 2, "reference": "exact",
                    "annotations": { "k": "v*" } } },
                { "id": "either", "anyOf": [
                    [{ "id": "one", "signed": { "by": ["ana"], "reference": "none" } }],
                    [{ "id": "two", "signed": { "by": ["bo"], "reference": "none" } },
                     { "id": "shape", "image": { "config": { "$ref": "#/schemas/any-object" } } }]
                ] }] },
            { "id": "old", "scope": ["a.example/old/**"], "accept": { "reason": "for now" } },
            { "id": "rest", "scope": ["a.example/**"], "reject": { "reason": "unknown" } }
        ],
        "exceptions": [{ "id": "pause", "scope": ["a.example/app"], "waive": ["limits/size"],
            "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z",
            "reason": "ana is away", "approvedBy": "cleo" }]
    })
}

/// The sample with the value at `pointer` replaced; an object's new member
/// and an array's next item are put in.
fn with(pointer: &str, value: Value) -> Value {
    let mut policy = sample();
    set(&mut policy, pointer, value);
    policy
}

fn set(policy: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match policy.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}")) {
        Value::Object(map) => {
            map.insert(key.replace("~1", "/"), value);
        }
        Value::Array(items) => match items.get_mut(key.parse::<usize>().unwrap()) {
            Some(item) => *item = value,
            None => items.push(value),
        },
        other => panic!("{other} has no members"),
    }
}
