//! The top of a policy: header, mirrors, signers, schemas, revocations.

use std::collections::{BTreeMap, BTreeSet};

use super::grammar::{KEY, KEYRING, Kind, PGP, POLICY, REVOCATION, SIGNER};
use super::problem::Code;
use super::reader::{Reader, short};
use super::{exceptions, rules, scopes, unsigned};
use crate::evidence::KeyId;
use crate::image::{Algorithm, Digest};
use crate::policy::json::{Json, Member};
use crate::policy::model::{Blob, Document, KeyDecl, PgpDecl, Revocation, Revoked, SignerDecl};
use crate::policy::schema::Schemas;
use crate::policy::scope::{Scope, ScopeError};

/// What rules and exceptions may refer to.
pub(super) struct Known<'a> {
    /// Names of the signers, those with problems too.
    pub(super) signers: BTreeSet<&'a str>,
    /// The schemas by name.
    pub(super) schemas: Schemas<'a>,
    /// Ids of the checks of each rule.
    pub(super) checks: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn document(reader: &mut Reader, root: &Json, digest: Digest) -> Option<Document> {
    reader.fields(root, &POLICY)?;
    version(reader, root);
    let mut known = Known {
        signers: keys_of(root.get("signers")),
        schemas: Schemas::new(root.get("schemas")),
        checks: BTreeMap::new(),
    };
    let schemas = known.schemas.read_all(reader);
    let name = reader.required(root, "name").and_then(|n| reader.name(n));
    let (issued, expires) = validity(reader, root);
    let mut document = Document {
        digest,
        name: name.unwrap_or_default(),
        serial: root.get("serial").and_then(|n| reader.integer(n, 0, u64::MAX)),
        issued,
        expires,
        description: root.get("description").and_then(|n| reader.text(n)),
        mirrors: root.get("mirrors").map(|n| mirrors(reader, n)).unwrap_or_default(),
        signers: root.get("signers").map(|n| signers(reader, n)).unwrap_or_default(),
        schemas,
        schemas_used: BTreeSet::new(),
        revoked: revoked(reader, root, &known),
        baseline: rules::baseline(reader, root, &mut known),
        rules: rules::rules(reader, root, &mut known),
        exceptions: Vec::new(),
    };
    document.schemas_used = known.schemas.used();
    scopes::check(reader, root);
    document.exceptions = exceptions::exceptions(reader, root, &known);
    if reader.problems.is_empty() {
        unsigned::check(reader, root, &document);
    }
    Some(document)
}

fn version(reader: &mut Reader, root: &Json) {
    if let Some(node) = root.get("$schema") {
        reader.string(node);
    }
    let Some(node) = reader.required(root, "ocisign") else { return };
    if let Some(text) = reader.string(node)
        && text != "policy/1"
    {
        let text = short(text);
        let message = format!("`{text}` is no version of the language that is known here");
        reader.bad(Code::Value, node, message, "write `policy/1`");
    }
}

fn validity(
    reader: &mut Reader,
    root: &Json,
) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
    let issued = root.get("issued").and_then(|n| reader.time(n));
    let expires = root.get("expires").and_then(|n| reader.time(n));
    if let (Some(from), Some(until), Some(node)) = (issued, expires, root.get("expires"))
        && until <= from
    {
        reader.bad(
            Code::Conflict,
            node,
            "`expires` is not after `issued`",
            "the policy would never be valid; write a later instant",
        );
    }
    (issued, expires)
}

fn keys_of(node: Option<&Json>) -> BTreeSet<&str> {
    node.map(|n| n.members().iter().map(|m| m.key.as_str()).collect()).unwrap_or_default()
}

fn signers(reader: &mut Reader, node: &Json) -> BTreeMap<String, SignerDecl> {
    let mut signers = BTreeMap::new();
    for member in reader.map(node).unwrap_or_default() {
        let name = reader.key_name(member);
        let declared = signer(reader, &member.value);
        if let Some(name) = name {
            signers.insert(name, declared);
        }
    }
    signers
}

/// A signer of exactly one kind. One with a problem has no keys.
fn signer(reader: &mut Reader, node: &Json) -> SignerDecl {
    let nobody = || SignerDecl::Keys(Vec::new());
    let before = reader.problems.len();
    if reader.fields(node, &SIGNER).is_none() {
        return nobody();
    }
    match (node.get("keys"), node.get("pgp")) {
        (Some(list), None) => SignerDecl::Keys(keys(reader, list)),
        (None, Some(node)) => pgp(reader, node).map_or_else(nobody, SignerDecl::Pgp),
        (Some(_), Some(pgp)) => {
            let help = "declare two signers; each is a principal of its own";
            reader.bad(Code::Conflict, pgp, "a signer is of one kind: `keys` or `pgp`", help);
            nobody()
        }
        // a signer of a kind that comes later has its problem already
        (None, None) if reader.problems.len() > before => nobody(),
        (None, None) => {
            reader.required(node, "keys");
            nobody()
        }
    }
}

fn pgp(reader: &mut Reader, node: &Json) -> Option<PgpDecl> {
    reader.fields(node, &PGP)?;
    let keyring = reader.required(node, "keyring").and_then(|n| blob(reader, n, &KEYRING));
    let fingerprint = match node.get("fingerprint") {
        Some(node) => Some(fingerprint(reader, node)?),
        None => None,
    };
    Some(PgpDecl { keyring: keyring?, fingerprint })
}

/// All of it: a part, or a key id, can be made to fit another key.
fn fingerprint(reader: &mut Reader, node: &Json) -> Option<String> {
    let text = reader.string(node)?;
    let plain: String = text.chars().filter(|c| *c != ' ').collect();
    let hex = plain.bytes().all(|b| b.is_ascii_hexdigit());
    if hex && (plain.len() == 40 || plain.len() == 64) {
        return Some(plain.to_ascii_lowercase());
    }
    reader.value(
        node,
        "this is no fingerprint".to_owned(),
        "write all of it, 40 or 64 hex digits; `gpg --fingerprint` shows it",
    )
}

fn keys(reader: &mut Reader, node: &Json) -> Vec<KeyDecl> {
    let Some(list) = reader.list(node) else { return Vec::new() };
    let mut keys = Vec::new();
    let mut seen = BTreeSet::new();
    for item in list {
        let Some(key) = key(reader, item) else { continue };
        let (Blob::Pem(text) | Blob::File { path: text, .. }) = &key.source;
        if !seen.insert(text.clone()) {
            reader.bad(Code::Duplicate, item, "this key stands here twice", "keep one");
        }
        keys.push(key);
    }
    keys
}

fn key(reader: &mut Reader, node: &Json) -> Option<KeyDecl> {
    let source = blob(reader, node, &KEY)?;
    let until = node.get("until").and_then(|n| reader.time(n));
    Some(KeyDecl { source, until })
}

/// `pem`, or `file` and what its content must hash to.
fn blob(reader: &mut Reader, node: &Json, kind: &'static Kind) -> Option<Blob> {
    reader.fields(node, kind)?;
    let sha256 = node.get("sha256").and_then(|n| reader.sha256(n));
    Some(match (node.get("pem"), node.get("file")) {
        (Some(pem), None) => {
            if let Some(hash) = node.get("sha256") {
                reader.bad(
                    Code::Conflict,
                    hash,
                    "`sha256` belongs to a `file`",
                    "leave it out: the key stands here in full",
                );
            }
            Blob::Pem(public_pem(reader, pem)?)
        }
        (None, Some(file)) => Blob::File { path: path(reader, file)?, sha256 },
        _ => {
            reader.bad(
                Code::Conflict,
                node,
                "a key has exactly one of `file` and `pem`",
                "write `file` with the path of the public key",
            );
            return None;
        }
    })
}

fn public_pem(reader: &mut Reader, node: &Json) -> Option<String> {
    let text = reader.string(node)?;
    if text.contains("PRIVATE KEY") {
        return reader.value(
            node,
            "this is a private key".to_owned(),
            "replace it: whoever read this file can sign; write the public key",
        );
    }
    if !text.contains("-----BEGIN ") {
        return reader.value(
            node,
            "this is no PEM text".to_owned(),
            "write the public key from `-----BEGIN PUBLIC KEY-----` on",
        );
    }
    Some(text.to_owned())
}

fn path(reader: &mut Reader, node: &Json) -> Option<String> {
    let text = reader.string(node)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return reader.value(
            node,
            "this is no path".to_owned(),
            "write the path of the file, relative to the policy's directory or absolute",
        );
    }
    Some(text.to_owned())
}

fn revoked(reader: &mut Reader, root: &Json, known: &Known<'_>) -> Vec<Revocation> {
    let Some(node) = root.get("revoked") else { return Vec::new() };
    let mut revoked: Vec<Revocation> = Vec::new();
    for item in reader.list(node).unwrap_or_default() {
        let Some(one) = revocation(reader, item, known) else { continue };
        revoked.push(one);
    }
    revoked
}

fn revocation(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<Revocation> {
    let before = reader.problems.len();
    reader.fields(node, &REVOCATION)?;
    let later = reader.problems.len() > before;
    let reason = reader.required(node, "reason").and_then(|n| reader.text(n));
    let what = match (node.get("digest"), node.get("key"), node.get("signer")) {
        (Some(n), None, None) => Revoked::Digest(reader.digest(n)?),
        (None, Some(n), None) => Revoked::Key(key_id(reader, n)?),
        (None, None, Some(n)) => Revoked::Signer(signer_name(reader, n, known)?),
        (None, None, None) if later => return None,
        _ => {
            reader.bad(
                Code::Conflict,
                node,
                "a revocation has exactly one of `digest`, `key` and `signer`",
                "write one entry for each",
            );
            return None;
        }
    };
    Some(Revocation { what, since: None, reason: reason? })
}

fn key_id(reader: &mut Reader, node: &Json) -> Option<KeyId> {
    let digest = reader.digest(node)?;
    if digest.algorithm() != Algorithm::Sha256 {
        return reader.value(
            node,
            "keys are named by their SHA-256".to_owned(),
            "write what `ocisign key show` prints",
        );
    }
    Some(KeyId(digest))
}

/// The name of a signer that the document has.
pub(super) fn signer_name(reader: &mut Reader, node: &Json, known: &Known<'_>) -> Option<String> {
    let name = reader.name(node)?;
    if known.signers.contains(name.as_str()) {
        return Some(name);
    }
    let names: Vec<_> = known.signers.iter().take(16).map(|n| format!("`{n}`")).collect();
    let help = if names.is_empty() {
        "declare it under `signers`".to_owned()
    } else {
        format!("declare it under `signers`, or write one of {}", names.join(", "))
    };
    reader.bad(Code::Dangling, node, format!("there is no signer `{name}`"), help);
    None
}

fn mirrors(reader: &mut Reader, node: &Json) -> BTreeMap<String, String> {
    let mut mirrors = BTreeMap::new();
    let members = reader.map(node).unwrap_or_default();
    for member in members {
        let source = prefix(reader, &member.key, member.key_range.clone());
        let target = reader.string(&member.value).map(str::to_owned);
        let target = target.and_then(|t| prefix(reader, &t, member.value.range.clone()));
        if let (Some(source), Some(target)) = (source, target) {
            mirrors.insert(source, target);
        }
    }
    disjoint(reader, members, &mirrors);
    mirrors
}

/// A prefix in the spelling that names are matched in: what a scope of all
/// below it would accept.
fn prefix(reader: &mut Reader, text: &str, range: std::ops::Range<usize>) -> Option<String> {
    let message = match Scope::parse(&format!("{text}/**")) {
        Ok(Scope::Host(_) | Scope::Below { .. }) => return Some(text.to_owned()),
        Err(ScopeError::Spelling { normal, .. }) => {
            let normal = normal.trim_end_matches("/**");
            format!("`{}` is matched in its normal form; write `{normal}`", short(text))
        }
        Err(ScopeError::Host(_)) => format!("`{}` has no registry host", short(text)),
        Ok(_) | Err(ScopeError::Form(_)) => format!("`{}` is no prefix", short(text)),
    };
    let help = "write a host, or a host and a path, as `registry.example/mirror`; no `*`";
    reader.problems.add(Code::Scope, range, message).help(help);
    None
}

/// No source lies in a target or the reverse, so that mapping once is
/// mapping for good.
fn disjoint(reader: &mut Reader, members: &[Member], mirrors: &BTreeMap<String, String>) {
    let targets: BTreeSet<&str> = mirrors.values().map(String::as_str).collect();
    for member in members.iter().filter(|m| mirrors.contains_key(&m.key)) {
        let source = member.key.as_str();
        let above = prefixes(source).find(|p| targets.contains(p));
        let below = below(&targets, source);
        if let Some(target) = above.or(below) {
            reader
                .problems
                .add(
                    Code::Conflict,
                    member.key_range.clone(),
                    format!("the mirror `{source}` overlaps the target `{target}`"),
                )
                .help("sources and targets of `mirrors` must not contain each other");
        }
    }
}

/// A target that lies in `source`.
fn below<'a>(targets: &BTreeSet<&'a str>, source: &'a str) -> Option<&'a str> {
    let mut near = targets.range(source..).take_while(|t| t.starts_with(source));
    near.find(|t| prefixes(t).any(|p| p == source)).copied()
}

/// A prefix and all the prefixes that it lies in.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(text), |t| t.rsplit_once('/').map(|(up, _)| up))
}
