//! From the checks of a rule to what policy.json can ask for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::clauses::{Identity, Requirement, TooLarge, either};
use super::{Remark, Unsaid};
use crate::evidence::{Format, KeyId};
use crate::policy::{
    Action, Check, CheckKind, Document, Policy, ReferenceRule, Revoked, Rule, Signed, SignerDecl,
};

/// Prefix of a mirror, and what stands in its place in signed names.
pub(super) type Mirror<'a> = Option<(&'a str, &'a str)>;

/// The rules as they are read, and what was found on the way.
pub(super) struct Reading<'a> {
    policy: &'a Policy,
    now: Timestamp,
    /// Most clauses of one scope.
    most: usize,
    pub(super) unsaid: BTreeSet<Unsaid>,
    pub(super) stricter: BTreeSet<Remark>,
    /// Where a date stands on which a signer loses a key.
    pub(super) ends: BTreeMap<String, Timestamp>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(policy: &'a Policy, now: Timestamp, most: usize) -> Self {
        let (unsaid, stricter) = (BTreeSet::new(), BTreeSet::new());
        Self { policy, now, most, unsaid, stricter, ends: BTreeMap::new() }
    }

    pub(super) fn document(&self) -> &'a Document {
        self.policy.document()
    }

    pub(super) fn cannot(&mut self, about: impl Into<String>, why: impl Into<String>) {
        self.unsaid.insert(Unsaid { about: about.into(), why: why.into() });
    }

    pub(super) fn remark(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.stricter.insert(Remark { about: about.into(), text: text.into() });
    }

    /// What one rule asks for names that lie in `mirror`; `None` where that
    /// cannot be said.
    pub(super) fn rule(&mut self, rule: &Rule, mirror: Mirror<'_>) -> Option<Requirement> {
        let (checks, audit_until) = match &rule.action {
            Action::Reject { .. } => return Some(Requirement::Reject),
            Action::Accept { .. } => return Some(Requirement::nothing()),
            Action::Require { checks, audit_until } => (checks, audit_until),
        };
        if audit_until.is_some_and(|until| self.now < until) {
            self.remark(&rule.id, "policy.json has no audit, so the rule blocks already");
        }
        self.all(rule, checks, mirror)
    }

    fn all(&mut self, rule: &Rule, checks: &[Check], mirror: Mirror<'_>) -> Option<Requirement> {
        // each is read, so that all problems are found at once
        let read: Vec<_> = checks.iter().map(|check| self.check(rule, check, mirror)).collect();
        let read: Option<Vec<_>> = read.into_iter().collect();
        Some(read?.into_iter().fold(Requirement::nothing(), Requirement::and))
    }

    fn check(&mut self, rule: &Rule, check: &Check, mirror: Mirror<'_>) -> Option<Requirement> {
        let about = format!("{}/{}", rule.id, check.id);
        match &check.kind {
            CheckKind::Signed(signed) => self.signed(&about, signed, mirror),
            CheckKind::Image(_) => {
                let why = "policy.json does not look into images; hold such limits at admission \
                           (`ocisign serve`) and leave them out of the policy that is exported";
                self.cannot(about, why);
                None
            }
            CheckKind::AnyOf(branches) => self.any_of(rule, &about, branches, mirror),
        }
    }

    fn any_of(
        &mut self,
        rule: &Rule,
        about: &str,
        branches: &[Vec<Check>],
        mirror: Mirror<'_>,
    ) -> Option<Requirement> {
        let read: Vec<_> = branches.iter().map(|branch| self.all(rule, branch, mirror)).collect();
        let read: Option<Vec<_>> = read.into_iter().collect();
        let mut whole = Requirement::Reject;
        for branch in read? {
            whole = match either(whole, branch, self.most) {
                Ok(Some(whole)) => whole,
                Ok(None) => {
                    let why = "its branches ask for signed names in different ways, and \
                               policy.json asks all keys of a requirement in one; write the same \
                               `reference` in all of them";
                    self.cannot(about, why);
                    return None;
                }
                Err(TooLarge) => return self.too_large(about),
            };
        }
        Some(whole)
    }

    fn signed(&mut self, about: &str, ask: &Signed, mirror: Mirror<'_>) -> Option<Requirement> {
        let mut sayable = true;
        if !ask.annotations.is_empty() {
            let why = "policy.json reads no signed annotations; give each purpose a key of its \
                       own, and ask for that";
            self.cannot(about, why);
            sayable = false;
        }
        if ask.formats.as_ref().is_some_and(|formats| !formats.contains(&Format::Cosign)) {
            let why = "policy.json reads signatures in the older cosign format alone; add \
                       `cosign` to `formats`";
            self.cannot(about, why);
            sayable = false;
        }
        let is_pgp = |name: &&String| {
            matches!(self.policy.document().signers.get(*name), Some(SignerDecl::Pgp(_)))
        };
        if let Some(name) = ask.by.iter().find(is_pgp) {
            let why = format!(
                "`{name}` signs with OpenPGP, whose keys are not exported; give podman a \
                 `signedBy` entry by hand, or name a signer with `keys`"
            );
            self.cannot(about, why);
            sayable = false;
        }
        let identity = self.identity(about, ask.reference, mirror);
        let parts: Vec<_> = ask.by.iter().map(|signer| self.keys(signer)).collect();
        let identity = identity.filter(|_| sayable)?;
        match Requirement::threshold(ask.at_least, &parts, &identity, self.most) {
            Ok(requirement) => Some(requirement),
            Err(TooLarge) => self.too_large(about),
        }
    }

    fn identity(
        &mut self,
        about: &str,
        rule: ReferenceRule,
        mirror: Mirror<'_>,
    ) -> Option<Identity> {
        let Some((prefix, signed)) = mirror else {
            if rule == ReferenceRule::None {
                let text = "policy.json always compares the signed repository; a signature for \
                            another name, or for none, does not count";
                self.remark(about, text);
            }
            return Some(match rule {
                ReferenceRule::None | ReferenceRule::Repository => Identity::Repository,
                ReferenceRule::ExactOrDigest => Identity::ExactOrDigest,
                ReferenceRule::Exact => Identity::Exact,
            });
        };
        match rule {
            ReferenceRule::Exact => {
                let why = format!(
                    "policy.json cannot ask for the exact tag of a mirrored name (`{prefix}`); \
                     write `exactOrDigest`"
                );
                self.cannot(about, why);
                return None;
            }
            ReferenceRule::None | ReferenceRule::Repository => {
                let text = format!(
                    "below the mirror `{prefix}` policy.json compares the signed tag too; a \
                     signature for another tag, or for none, does not count"
                );
                self.remark(about, text);
            }
            ReferenceRule::ExactOrDigest => {}
        }
        Some(Identity::Remapped { prefix: prefix.to_owned(), signed: signed.to_owned() })
    }

    /// The keys of a signer that still count; notes when they will not.
    fn keys(&mut self, signer: &str) -> BTreeSet<KeyId> {
        let policy = self.policy;
        let revoked = |what: Revoked| policy.document().revoked.iter().any(|r| r.what == what);
        let mut keys = BTreeSet::new();
        if revoked(Revoked::Signer(signer.to_owned())) {
            return keys;
        }
        for (at, key) in policy.keys(signer).iter().enumerate() {
            let ended = key.until.is_some_and(|until| until <= self.now);
            if ended || revoked(Revoked::Key(key.id.clone())) {
                continue;
            }
            if let Some(until) = key.until {
                self.ends.insert(format!("/signers/{signer}/keys/{at}"), until);
            }
            keys.insert(key.id.clone());
        }
        keys
    }

    fn too_large(&mut self, about: &str) -> Option<Requirement> {
        let why = format!(
            "in policy.json it takes more than {} requirements; name fewer signers",
            self.most
        );
        self.cannot(about, why);
        None
    }
}
