//! `#/schemas/NAME`: found, written out, counted, and never in a circle.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Schema;
use super::profile::{Expanded, schema};
use crate::policy::json::{Json, Member};
use crate::policy::parse::{Code, Reader};

/// Longest chain of references.
const LONGEST_CHAIN: usize = 16;
/// Deepest nesting of a schema whose references are written out.
const DEEPEST: usize = 100;
/// Most schemas, nested ones counted, of one policy, references written out.
const MOST_NODES: usize = 100_000;

/// The schemas of a document while it is read.
pub(in crate::policy) struct Schemas<'a> {
    root: Option<&'a Json>,
    nodes: BTreeMap<&'a str, &'a Member>,
    done: BTreeMap<&'a str, Option<Expanded>>,
    open: Vec<&'a str>,
    used: BTreeSet<String>,
    left: usize,
}

impl<'a> Schemas<'a> {
    /// The schemas under `schemas`, not read yet.
    pub(in crate::policy) fn new(node: Option<&'a Json>) -> Self {
        let members = node.map(Json::members).unwrap_or_default();
        let nodes = members.iter().map(|m| (m.key.as_str(), m)).collect();
        Self {
            root: node,
            nodes,
            done: BTreeMap::new(),
            open: Vec::new(),
            used: BTreeSet::new(),
            left: MOST_NODES,
        }
    }

    /// Reads all of them, each once.
    pub(in crate::policy) fn read_all(&mut self, reader: &mut Reader) -> BTreeMap<String, Schema> {
        let mut all = BTreeMap::new();
        // that it is an object, and not an empty one
        self.root.and_then(|node| reader.map(node));
        for (name, member) in self.nodes.clone() {
            let valid = reader.key_name(member);
            let found = self.named(reader, name);
            let schema = found.and_then(|found| compile(reader, &member.value, found));
            if let (Some(name), Some(schema)) = (valid, schema) {
                all.insert(name, schema);
            }
        }
        all
    }

    /// Reads a schema that stands in a check.
    pub(in crate::policy) fn read(&mut self, reader: &mut Reader, node: &Json) -> Option<Schema> {
        let before = reader.problems.len();
        let expanded = schema(reader, node, self)?;
        if reader.problems.len() > before {
            return None;
        }
        compile(reader, node, expanded)
    }

    /// Names of those that something refers to.
    pub(in crate::policy) fn used(&self) -> BTreeSet<String> {
        self.used.clone()
    }

    /// The schema that `node`, a `$ref`, names.
    pub(super) fn resolve(&mut self, reader: &mut Reader, node: &Json) -> Option<Expanded> {
        let text = reader.string(node)?;
        let Some(name) = text.strip_prefix("#/schemas/") else {
            let message = "only schemas of this policy can be referred to; nothing is fetched";
            reader.bad(Code::Schema, node, message, "write `#/schemas/NAME`");
            return None;
        };
        let Some((name, _)) = self.nodes.get_key_value(name) else {
            let name = crate::policy::parse::reader::short(name);
            let message = format!("there is no schema `{name}`");
            reader.bad(Code::Dangling, node, message, "declare it under `schemas`");
            return None;
        };
        let name = *name;
        self.used.insert(name.to_owned());
        if self.open.contains(&name) || self.open.len() >= LONGEST_CHAIN {
            let chain = self.open.join("` → `");
            let message = format!("`{chain}` → `{name}` is a circle or too long a chain");
            let help = format!("refer at most {LONGEST_CHAIN} deep, and never back");
            reader.bad(Code::Schema, node, message, help);
            return None;
        }
        let found = self.named(reader, name)?;
        self.spend(reader, node, found.nodes).then_some(found)
    }

    fn named(&mut self, reader: &mut Reader, name: &'a str) -> Option<Expanded> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let member = *self.nodes.get(name)?;
        self.open.push(name);
        let before = reader.problems.len();
        let found = schema(reader, &member.value, self);
        self.open.pop();
        let found = found.filter(|_| reader.problems.len() == before);
        self.done.insert(name, found.clone());
        found
    }

    /// Counts nodes against the bound of the whole document.
    pub(super) fn spend(&mut self, reader: &mut Reader, node: &Json, nodes: usize) -> bool {
        if nodes <= self.left {
            self.left -= nodes;
            return true;
        }
        if self.left > 0 {
            let message = format!("the policy has more than {MOST_NODES} schemas");
            reader.bad(Code::Schema, node, message, "references count in full; simplify them");
        }
        self.left = 0;
        false
    }
}

fn compile(reader: &mut Reader, node: &Json, expanded: Expanded) -> Option<Schema> {
    if expanded.depth > DEEPEST {
        let message = format!("the schema is nested more than {DEEPEST} deep");
        reader.bad(Code::Schema, node, message, "references count in full; simplify it");
        return None;
    }
    match Schema::compile(Value::Object(expanded.source)) {
        Ok(schema) => Some(schema),
        Err(error) => {
            reader.bad(Code::Schema, node, format!("the schema does not compile: {error}"), "");
            None
        }
    }
}
