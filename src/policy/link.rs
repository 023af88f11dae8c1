//! A document and the keys that `trust` read for it become a [`Policy`].

use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Action, Check, CheckKind, Document, LinkedKey, Policy, Resolved, Rule, SignerDecl,
};
use super::parse::{Code, Problem};
use crate::evidence::KeyId;

/// Most problems that are reported.
const MOST: usize = 50;

impl Policy {
    /// Links a document to its keys.
    ///
    /// # Errors
    /// A signer without keys or with another number of them than it declares;
    /// the same key twice in one signer; two signers of one `by` that share a
    /// key, because they would be counted as two and are one.
    pub fn link(document: Document, resolved: Resolved) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let signers = linked(&document, &resolved, &mut problems);
        for (list, rules) in [("baseline", &document.baseline), ("rules", &document.rules)] {
            for (i, rule) in rules.iter().enumerate() {
                overlaps(&format!("/{list}/{i}"), rule, &signers, &mut problems);
            }
        }
        if problems.is_empty() {
            return Ok(Self { document, signers });
        }
        problems.truncate(MOST);
        Err(problems)
    }
}

fn linked(
    document: &Document,
    resolved: &Resolved,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Vec<LinkedKey>> {
    let mut signers = BTreeMap::new();
    for (name, declared) in &document.signers {
        let at = format!("/signers/{name}");
        let ids = resolved.signers.get(name).map_or(&[][..], Vec::as_slice);
        let want = match declared {
            SignerDecl::Keys(keys) => keys.len(),
            // as many as the keyring has
            SignerDecl::Pgp(_) => ids.len(),
        };
        if ids.is_empty() || ids.len() != want {
            let have = ids.len();
            let message = format!("{have} keys were read for the signer `{name}`, it has {want}");
            problems
                .push(Problem::at(Code::Keys, at, message).help("read every key that it declares"));
            continue;
        }
        twice(name, ids, problems);
        let until = |at: usize| declared.keys().get(at).and_then(|key| key.until);
        let keys = ids.iter().enumerate();
        let keys = keys.map(|(at, id)| LinkedKey { id: id.clone(), until: until(at) }).collect();
        signers.insert(name.clone(), keys);
    }
    for name in resolved.signers.keys().filter(|n| !document.signers.contains_key(*n)) {
        let message = format!("keys were read for `{name}`, which is no signer of the policy");
        problems.push(Problem::at(Code::Keys, "/signers", message).help("link what was parsed"));
    }
    signers
}

fn twice(name: &str, ids: &[KeyId], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (i, id) in ids.iter().enumerate() {
        if !seen.insert(id) {
            let message = format!("the signer `{name}` has the key {id} twice");
            let problem =
                Problem::at(Code::Duplicate, format!("/signers/{name}/keys/{i}"), message);
            problems.push(problem.help("two files can hold one key; keep one"));
        }
    }
}

fn overlaps(
    at: &str,
    rule: &Rule,
    signers: &BTreeMap<String, Vec<LinkedKey>>,
    problems: &mut Vec<Problem>,
) {
    let Action::Require { checks, .. } = &rule.action else { return };
    overlaps_in(&format!("{at}/require"), rule, checks, signers, problems);
}

fn overlaps_in(
    at: &str,
    rule: &Rule,
    checks: &[Check],
    signers: &BTreeMap<String, Vec<LinkedKey>>,
    problems: &mut Vec<Problem>,
) {
    for (i, check) in checks.iter().enumerate() {
        match &check.kind {
            CheckKind::Signed(signed) => {
                let place = format!("{at}/{i}/signed/by");
                let name = format!("{}/{}", rule.id, check.id);
                shared(&place, &name, &signed.by, signers, problems);
            }
            CheckKind::Image(_) => {}
            CheckKind::AnyOf(branches) => {
                for (j, branch) in branches.iter().enumerate() {
                    overlaps_in(&format!("{at}/{i}/anyOf/{j}"), rule, branch, signers, problems);
                }
            }
        }
    }
}

fn shared(
    at: &str,
    check: &str,
    by: &[String],
    signers: &BTreeMap<String, Vec<LinkedKey>>,
    problems: &mut Vec<Problem>,
) {
    let mut owner: BTreeMap<&KeyId, &str> = BTreeMap::new();
    for (i, name) in by.iter().enumerate() {
        for key in signers.get(name).into_iter().flatten() {
            match owner.insert(&key.id, name) {
                Some(other) if other != name => problems.push(
                    Problem::at(
                        Code::Overlap,
                        format!("{at}/{i}"),
                        format!("`{other}` and `{name}` share the key {}, in `{check}`", key.id),
                    )
                    .help("two signers of one `by` have no key in common; keep one of them"),
                ),
                Some(_) | None => {}
            }
        }
    }
}
