//! One order for evidence, whatever the order in which it was found.

use serde::Serialize;

use crate::evidence::{Facts, Rejection};
use crate::image::{Digest, Hasher};

/// Sorts by content and drops copies, so that neither order nor duplication
/// of evidence can be seen in a verdict.
pub(super) fn facts(facts: Vec<&Facts>) -> Vec<&Facts> {
    let mut keyed: Vec<_> = facts.into_iter().map(|facts| (text(facts), facts)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    keyed.dedup_by(|a, b| a.0 == b.0);
    keyed.into_iter().map(|(_, facts)| facts).collect()
}

/// Rejections, the most telling first, each once.
pub(super) fn rejections(rejections: &[Rejection]) -> Vec<Rejection> {
    let mut sorted = rejections.to_vec();
    sorted.sort_by(|a, b| (a.reason.rank(), a).cmp(&(b.reason.rank(), b)));
    sorted.dedup();
    sorted
}

/// SHA-256 over the facts, one line of JSON each, keys sorted.
pub(super) fn digest(facts: &[&Facts]) -> Digest {
    let mut hasher = Hasher::new(crate::image::Algorithm::Sha256);
    for facts in facts {
        hasher.update(text(facts).as_bytes());
        hasher.update(b"\n");
    }
    hasher.finish()
}

fn text(facts: &impl Serialize) -> String {
    // facts are plain data with text keys, so this cannot fail; were it to,
    // all of them would become one text that no check counts
    let mut value = serde_json::to_value(facts).unwrap_or_default();
    // keeps the digest the same where a dependency turns on `preserve_order`
    value.sort_all_objects();
    value.to_string()
}
