//! Until when a verdict holds: the next instant at which time alone could
//! change it (policy language, "Properties", P11).
//!
//! Whatever compares something with `now` has its instant here. One too many
//! costs a verification; one too few would let a verdict outlive its reason.

use jiff::Timestamp;

use crate::evidence::Facts;
use crate::policy::{Action, Document, Policy};

use super::Context;
use super::table::opens;

/// The first instant after `now` at which the verdict could be another one,
/// with the same policy, image and evidence.
pub(super) fn next(context: &Context<'_>) -> Option<Timestamp> {
    let Context { policy, facts, now, .. } = context;
    let of_facts = facts.iter().filter_map(|facts: &&Facts| facts.claims.expires);
    of_document(policy.document())
        .chain(of_keys(policy))
        .chain(of_facts)
        .filter(|instant| instant > now)
        .min()
}

/// The policy's own validity, audits that end, exceptions that begin and end.
fn of_document(document: &Document) -> impl Iterator<Item = Timestamp> {
    let audits = document.rules.iter().chain(&document.baseline);
    let audits = audits.filter_map(|rule| match &rule.action {
        Action::Require { audit_until, .. } => *audit_until,
        Action::Accept { .. } | Action::Reject { .. } => None,
    });
    let exceptions = document.exceptions.iter().flat_map(|e| [e.from, e.until]);
    document.expires.into_iter().chain(document.issued.map(opens)).chain(audits).chain(exceptions)
}

/// Keys that end.
fn of_keys(policy: &Policy) -> impl Iterator<Item = Timestamp> {
    let signers = policy.document().signers.keys();
    signers.flat_map(|name| policy.keys(name)).filter_map(|key| key.until)
}
