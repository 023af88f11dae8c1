//! The test file, read as strictly as a policy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Case, TestFile, made_up_key, shape};
use crate::evidence::{Claims, Facts, Format, KeyId, Signer, Statement, Subject};
use crate::image::{Depth, Digest, Platform, Reference, Shape};
use crate::limits::Limits;
use crate::policy::json::{self, Json};
use crate::policy::parse::grammar::{Kind, list, one, plain};
use crate::policy::parse::{Code, Reader, reader::is_name};
use crate::policy::{Decision, Problem, Request};

/// Version of the test format.
pub(in crate::policy) const VERSION: &str = "policy-test/1";

pub(in crate::policy) static FILE: Kind = Kind {
    what: "a test file",
    fields: &[plain("$schema"), plain("ocisign"), plain("now"), list("cases", &CASE)],
};

pub(in crate::policy) static CASE: Kind = Kind {
    what: "a case",
    fields: &[
        plain("name"),
        one("request", &REQUEST),
        plain("now"),
        one("shape", &shape::SHAPE),
        list("evidence", &EVIDENCE),
        plain("incomplete"),
        plain("expect"),
        plain("because"),
    ],
};

static REQUEST: Kind =
    Kind { what: "a request", fields: &[plain("reference"), plain("digest"), plain("depth")] };

static EVIDENCE: Kind = Kind {
    what: "a piece of evidence",
    fields: &[
        plain("signer"),
        plain("key"),
        plain("subject"),
        plain("name"),
        plain("annotations"),
        plain("format"),
    ],
};

impl TestFile {
    /// Parses a test file.
    ///
    /// # Errors
    /// Every problem that was found, at most 50.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Vec<Problem>> {
        let root = json::read(bytes, limits)?;
        let mut reader = Reader::default();
        let cases = cases(&mut reader, &root);
        match cases {
            Some(cases) if reader.problems.is_empty() => Ok(Self { cases }),
            _ => Err(reader.problems.finish(Some(&root))),
        }
    }
}

fn cases(reader: &mut Reader, root: &Json) -> Option<Vec<Case>> {
    reader.fields(root, &FILE)?;
    let version = reader.required(root, "ocisign");
    version.and_then(|n| reader.word(n, &[(VERSION, ())]));
    let now = root.get("now").and_then(|n| reader.time(n));
    let list = reader.required(root, "cases")?;
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for item in reader.list(list)? {
        let Some(case) = case(reader, item, now) else { continue };
        if !names.insert(case.name.clone()) {
            reader.bad(Code::Duplicate, item, "another case has this name", "rename one");
        }
        cases.push(case);
    }
    Some(cases)
}

fn case(reader: &mut Reader, node: &Json, now: Option<Timestamp>) -> Option<Case> {
    reader.fields(node, &CASE)?;
    let name = reader.required(node, "name").and_then(|n| reader.text(n));
    let now = match (node.get("now"), now) {
        (None, Some(now)) => Some(now),
        _ => reader.required(node, "now").and_then(|n| reader.time(n)),
    };
    let request = reader.required(node, "request").and_then(|n| request(reader, n, node))?;
    let shape = shape::shape(reader, node.get("shape"), &request.digest)?;
    let mut facts = Vec::new();
    for (i, item) in node.get("evidence").map(Json::items).unwrap_or_default().iter().enumerate() {
        facts.extend(evidence(reader, item, i, &shape));
    }
    if let Some(list) = node.get("evidence")
        && !matches!(list.value, json::Value::Array(_))
    {
        reader.expected(list, "an array");
    }
    let expect = reader.required(node, "expect").and_then(|n| reader.word(n, DECISIONS));
    let because = match node.get("because") {
        Some(list) => reader.set(list, |r, n| r.text(n))?.into_iter().collect(),
        None => Vec::new(),
    };
    Some(Case { name: name?, request, shape, facts, now: now?, expect: expect?, because })
}

const DECISIONS: &[(&str, Decision)] =
    &[("allow", Decision::Allow), ("deny", Decision::Deny), ("undecided", Decision::Undecided)];

pub(super) const DEPTHS: &[(&str, Depth)] =
    &[("manifests", Depth::Manifests), ("layers", Depth::Layers), ("contents", Depth::Contents)];

fn request(reader: &mut Reader, node: &Json, case: &Json) -> Option<Request> {
    reader.fields(node, &REQUEST)?;
    let reference = reader.required(node, "reference").and_then(|n| reference(reader, n))?;
    let digest = match (node.get("digest"), reference.digest()) {
        (Some(node), _) => reader.digest(node)?,
        (None, Some(digest)) => digest.clone(),
        (None, None) => Digest::sha256(b"root"),
    };
    let depth = match node.get("depth") {
        Some(node) => reader.word(node, DEPTHS)?,
        None => Depth::Layers,
    };
    let incomplete = match case.get("incomplete") {
        Some(list) => reader.set(list, |r, n| r.text(n))?.into_iter().collect(),
        None => Vec::new(),
    };
    Some(Request { reference, digest, depth, incomplete })
}

fn reference(reader: &mut Reader, node: &Json) -> Option<Reference> {
    let text = reader.string(node)?;
    match text.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            reader.bad(Code::Value, node, format!("{error}"), "write registry/repository:tag");
            None
        }
    }
}

fn evidence(reader: &mut Reader, node: &Json, number: usize, shape: &Shape) -> Option<Facts> {
    reader.fields(node, &EVIDENCE)?;
    let key = signer(reader, node)?;
    let digest = match node.get("subject") {
        Some(node) => subject(reader, node, shape)?,
        None => shape.root().and_then(|root| root.digest.parse().ok())?,
    };
    let name = match node.get("name") {
        Some(node) => Some(reader.text(node)?),
        None => None,
    };
    let format = match node.get("format") {
        Some(node) => reader.word(node, VERIFIED)?,
        None => Format::Sigstore,
    };
    let claims = Claims {
        subject: Subject { digest, size: None, media_type: None },
        name,
        annotations: texts(reader, node.get("annotations")),
        statement: Statement::Signature,
        signed_at: None,
        expires: None,
    };
    let item = format!("evidence {}", number + 1);
    Some(Facts { item, format, signer: Signer::Key { key }, claims, times: Vec::new() })
}

/// Formats that are verified.
const VERIFIED: &[(&str, Format)] = &[
    ("sigstore", Format::Sigstore),
    ("cosign", Format::Cosign),
    ("simple", Format::Simple),
    ("appc", Format::Appc),
    ("libtrust", Format::Libtrust),
];

/// `signer: NAME` or `NAME/2` for its second key, or `key: sha256:...`.
fn signer(reader: &mut Reader, node: &Json) -> Option<KeyId> {
    match (node.get("signer"), node.get("key")) {
        (Some(node), None) => {
            let text = reader.string(node)?;
            let (name, n) = text.split_once('/').unwrap_or((text, "1"));
            match n.parse::<usize>() {
                Ok(n) if is_name(name) && n > 0 => Some(made_up_key(name, n)),
                _ => reader.value(node, "this is no signer".into(), "write NAME or NAME/2"),
            }
        }
        (None, Some(node)) => reader.digest(node).map(KeyId),
        _ => {
            let message = "evidence has exactly one of `signer` and `key`";
            reader.bad(Code::Conflict, node, message, "write the name of a signer");
            None
        }
    }
}

/// `root`, a platform of the shape, or a digest.
fn subject(reader: &mut Reader, node: &Json, shape: &Shape) -> Option<Digest> {
    let text = reader.string(node)?;
    let root = || shape.root().map(|n| n.digest.as_str());
    let child = || {
        let wanted = |p: &Platform| p.to_string() == text;
        let found = shape.nodes.iter().find(|n| n.declared_platform.as_ref().is_some_and(wanted));
        found.map(|n| n.digest.as_str())
    };
    let digest = if text == "root" { root() } else { child() };
    match digest.unwrap_or(text).parse() {
        Ok(digest) => Some(digest),
        Err(_) => reader.value(
            node,
            "this is no node of the image".to_owned(),
            "write `root`, a platform of the shape's images, or a digest",
        ),
    }
}

/// Strings by key.
pub(super) fn texts(reader: &mut Reader, node: Option<&Json>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let members = node.and_then(|n| reader.map(n)).unwrap_or_default();
    for member in members {
        if let Some(text) = reader.string(&member.value) {
            texts.insert(member.key.clone(), text.to_owned());
        }
    }
    texts
}
