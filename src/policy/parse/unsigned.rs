//! Exceptions that would leave a rule without any proof of origin.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::Code;
use super::reader::Reader;
use super::rules::proves;
use crate::image::Digest;
use crate::policy::json::Json;
use crate::policy::model::{Action, Check, CheckKind, Document, Exception, Rule, Target};
use crate::policy::scope::Scope;

/// Most checks and exceptions that are looked at, over all combinations.
const MOST_WORK: usize = 1_000_000;

/// For every rule that permits, every set of exceptions that are live
/// together leaves a proof, or one of them says `acceptUnsigned`.
///
/// Only exceptions without `acceptUnsigned` are combined: what more of them
/// waive is more, so that the largest sets tell.
pub(super) fn check(reader: &mut Reader, root: &Json, document: &Document) {
    let mut left = MOST_WORK;
    let nodes = root.get("exceptions").map(Json::items).unwrap_or_default();
    for rule in &document.rules {
        let Action::Require { checks, .. } = &rule.action else { continue };
        let waivers: Vec<Waiver<'_>> =
            document.exceptions.iter().zip(nodes).filter_map(|(e, n)| waiver(rule, e, n)).collect();
        match worst(checks, &waivers, &mut left) {
            Ok(None) => {}
            Ok(Some(set)) => report(reader, rule, &set),
            Err(last) => reader.bad(
                Code::Vacuous,
                last.node,
                format!("too many exceptions of the rule `{}` can be live together", rule.id),
                "join them, or let them end before the next one begins",
            ),
        }
    }
}

fn report(reader: &mut Reader, rule: &Rule, set: &[&Waiver<'_>]) {
    let ids: Vec<_> = set.iter().map(|w| format!("`{}`", w.exception.id)).collect();
    let Some(last) = set.last() else { return };
    reader.bad(
        Code::Vacuous,
        last.node,
        format!(
            "while {} is live, the rule `{}` can be passed without any signature",
            ids.join(" with "),
            rule.id
        ),
        "waive less, or write \"acceptUnsigned\": true",
    );
}

/// An exception and what it waives in one rule.
struct Waiver<'a> {
    exception: &'a Exception,
    node: &'a Json,
    checks: BTreeSet<&'a str>,
}

fn waiver<'a>(rule: &Rule, exception: &'a Exception, node: &'a Json) -> Option<Waiver<'a>> {
    let checks: BTreeSet<&str> =
        exception.waive.iter().filter(|(r, _)| *r == rule.id).map(|(_, c)| c.as_str()).collect();
    let counts = !exception.accept_unsigned && !checks.is_empty() && touches(rule, exception);
    counts.then_some(Waiver { exception, node, checks })
}

fn touches(rule: &Rule, exception: &Exception) -> bool {
    match &exception.target {
        Target::Digests(_) => true,
        Target::Scope(scopes) => scopes.iter().any(|s| rule.scope.iter().any(|r| overlaps(s, r))),
    }
}

fn overlaps(a: &Scope, b: &Scope) -> bool {
    a.contains(b) || b.contains(a) || a.crosses(b)
}

/// A set of waivers that are live together and leave no proof.
fn worst<'a, 'w>(
    checks: &[Check],
    waivers: &'w [Waiver<'a>],
    left: &mut usize,
) -> Result<Option<Vec<&'w Waiver<'a>>>, &'w Waiver<'a>> {
    if !bare(checks, waivers.iter()) {
        return Ok(None);
    }
    for start in waivers {
        let at = start.exception.from;
        let live: Vec<&Waiver<'_>> =
            waivers.iter().filter(|w| w.exception.from <= at && at < w.exception.until).collect();
        for place in places(&live) {
            for image in images(&live) {
                *left = left.checked_sub(live.len() + size(checks)).ok_or(start)?;
                let set: Vec<_> =
                    live.iter().copied().filter(|w| applies(w, place, &image)).collect();
                if bare(checks, set.iter().copied()) {
                    return Ok(Some(set));
                }
            }
        }
    }
    Ok(None)
}

/// How many checks there are, at any nesting.
fn size(checks: &[Check]) -> usize {
    let below = |check: &Check| match &check.kind {
        CheckKind::AnyOf(branches) => branches.iter().map(|b| size(b)).sum(),
        CheckKind::Signed(_) | CheckKind::Image(_) => 0,
    };
    checks.iter().map(|check| 1 + below(check)).sum()
}

/// The repositories that differ in which exceptions they are in; `None` is
/// one that is in none.
fn places<'a>(live: &[&Waiver<'a>]) -> BTreeSet<Option<&'a Scope>> {
    let mut places = BTreeSet::from([None]);
    for waiver in live {
        if let Target::Scope(scopes) = &waiver.exception.target {
            places.extend(scopes.iter().map(Some));
        }
    }
    places
}

/// The images that differ in which exceptions they are in, each by the ids
/// of those.
fn images<'a>(live: &[&Waiver<'a>]) -> BTreeSet<BTreeSet<&'a str>> {
    let mut by_digest: BTreeMap<&Digest, BTreeSet<&str>> = BTreeMap::new();
    for waiver in live {
        if let Target::Digests(digests) = &waiver.exception.target {
            for digest in digests {
                by_digest.entry(digest).or_default().insert(&waiver.exception.id);
            }
        }
    }
    by_digest.into_values().chain([BTreeSet::new()]).collect()
}

fn applies(waiver: &Waiver<'_>, place: Option<&Scope>, image: &BTreeSet<&str>) -> bool {
    match &waiver.exception.target {
        Target::Digests(_) => image.contains(waiver.exception.id.as_str()),
        Target::Scope(scopes) => {
            place.is_some_and(|p| scopes.iter().any(|s| s.contains(p) || s.crosses(p)))
        }
    }
}

/// Whether the rule, or a branch of an `anyOf` in it that had a proof, is
/// left without one.
fn bare<'a: 'w, 'w>(checks: &[Check], set: impl Iterator<Item = &'w Waiver<'a>>) -> bool {
    let waived: BTreeSet<&str> = set.flat_map(|w| w.checks.iter().copied()).collect();
    !proves(checks, &waived) || bare_branch(checks, &waived)
}

fn bare_branch(checks: &[Check], waived: &BTreeSet<&str>) -> bool {
    let nothing = BTreeSet::new();
    checks.iter().filter(|c| !waived.contains(c.id.as_str())).any(|check| match &check.kind {
        CheckKind::AnyOf(branches) => branches.iter().any(|branch| {
            let emptied = branch.iter().all(|c| waived.contains(c.id.as_str()));
            let lost = proves(branch, &nothing) && !proves(branch, waived);
            emptied || lost || bare_branch(branch, waived)
        }),
        CheckKind::Signed(_) | CheckKind::Image(_) => false,
    })
}
