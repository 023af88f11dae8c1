//! The check `signed`: people are counted, not signatures.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Facts, KeyId};
use crate::image::{NodeKind, media_type};
use crate::policy::{CheckOutcome, Counted, Ignored, On, ReferenceRule, Signed};

use super::Context;
use super::counts::{Miss, Subject, is_signature};
use super::matching::matching;
use super::names::Asked;
use super::select::targets;

/// Findings shown for one check; the rest are counted.
const SHOWN: usize = 16;

/// Judges the check and writes what counted, what did not and why.
pub(super) fn evaluate(context: &Context<'_>, ask: &Signed, outcome: &mut CheckOutcome) {
    let targets = targets(&context.tree, ask.on);
    let mut tally = Tally::new(context, ask);
    for at in targets.iter().flatten() {
        tally.look_at(*at);
    }
    let mut lacking = Vec::new();
    for target in &targets {
        let signers = tally.count(target, &mut outcome.counted);
        if signers.len() < ask.at_least.max(1) {
            lacking.push(tally.lack(target, &signers));
        }
    }
    outcome.held = !targets.is_empty() && lacking.is_empty();
    if !outcome.held {
        outcome.findings = tally.findings(lacking, targets.is_empty());
    }
    outcome.ignored = tally.ignored();
}

/// What the check asks for, in words.
pub(super) fn need(ask: &Signed) -> String {
    let mut text = match (ask.at_least, ask.by.as_slice()) {
        (1, [one]) => format!("a signature of {one}"),
        (at_least, by) => format!("{at_least} of {}", by.join(", ")),
    };
    text.push_str(match ask.on {
        On::Root => "",
        On::Each => ", on each platform's manifest",
        On::Covering => ", on each platform's manifest or an index above it",
    });
    text.push_str(match ask.reference {
        ReferenceRule::None => "",
        ReferenceRule::Repository => ", for this repository",
        ReferenceRule::Exact => ", for this repository and tag",
        ReferenceRule::ExactOrDigest => ", for this repository and, where asked by one, tag",
    });
    if let Some(formats) = &ask.formats {
        let formats: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
        text.push_str(&format!(", as {}", formats.join(" or ")));
    }
    for (key, glob) in &ask.annotations {
        text.push_str(&format!(", with {key}={glob}"));
    }
    text
}

/// One signer for whom one item counts.
struct Vote {
    /// Position in `by`.
    signer: usize,
    /// Position in the facts.
    item: usize,
}

pub(super) struct Tally<'c, 'a> {
    pub(super) context: &'c Context<'a>,
    pub(super) ask: &'c Signed,
    pub(super) asked: Asked<'c>,
    by_subject: BTreeMap<String, Vec<usize>>,
    votes: BTreeMap<Subject<'a>, Vec<Vote>>,
    misses: BTreeMap<usize, Miss>,
    used: BTreeSet<usize>,
}

impl<'c, 'a> Tally<'c, 'a> {
    fn new(context: &'c Context<'a>, ask: &'c Signed) -> Self {
        let mut by_subject: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (item, facts) in context.facts.iter().enumerate() {
            by_subject.entry(facts.claims.subject.digest.to_string()).or_default().push(item);
        }
        let asked = Asked::new(context.document(), &context.request.reference);
        let (votes, misses, used) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { context, ask, asked, by_subject, votes, misses, used }
    }

    /// Finds the items that count at node `at`, and why the others that name
    /// it do not.
    fn look_at(&mut self, at: usize) {
        let Some(subject) = self.subject(at) else { return };
        if self.votes.contains_key(&subject) {
            return;
        }
        let items = self.by_subject.get(subject.0).cloned().unwrap_or_default();
        let mut votes = Vec::new();
        for item in items {
            for signer in 0..self.ask.by.len() {
                match self.counts(item, signer, subject) {
                    Ok(()) => votes.push(Vote { signer, item }),
                    Err(miss) => self.note(item, miss),
                }
            }
        }
        self.votes.insert(subject, votes);
    }

    fn subject(&self, at: usize) -> Option<Subject<'a>> {
        let node = self.context.tree.node(at)?;
        Some((node.digest.as_str(), node.size, node.media_type.as_str()))
    }

    /// Keeps the most telling miss of each item.
    fn note(&mut self, item: usize, miss: Miss) {
        let worst = self.misses.entry(item).or_insert_with(|| miss.clone());
        if *worst < miss {
            *worst = miss;
        }
    }

    /// Matches signers to distinct keys on `target`, and records the items.
    fn count(&mut self, target: &[usize], counted: &mut Vec<Counted>) -> BTreeSet<usize> {
        let mut edges: BTreeMap<(usize, &KeyId), (usize, usize)> = BTreeMap::new();
        for at in target {
            let votes = self.subject(*at).and_then(|subject| self.votes.get(&subject));
            for vote in votes.into_iter().flatten() {
                let Some(facts) = self.context.facts.get(vote.item) else { continue };
                edges.entry((vote.signer, facts.signer.key())).or_insert((vote.item, *at));
            }
        }
        let matched = matching(&edges.keys().copied().collect());
        for pair in &matched {
            let Some((item, at)) = edges.get(&(*pair.0, *pair.1)) else { continue };
            let Some(entry) = self.entry(*item, *pair.0, *at) else { continue };
            self.used.insert(*item);
            if !counted.contains(&entry) {
                counted.push(entry);
            }
        }
        matched.into_keys().collect()
    }

    fn entry(&self, item: usize, signer: usize, at: usize) -> Option<Counted> {
        let facts = self.context.facts.get(item)?;
        Some(Counted {
            item: facts.item.clone(),
            format: facts.format,
            signer: self.ask.by.get(signer)?.clone(),
            key: facts.signer.key().clone(),
            fingerprint: facts.signer.fingerprint().map(str::to_owned),
            node: self.context.tree.node(at)?.digest.parse().ok()?,
        })
    }

    fn lack(&self, target: &[usize], signers: &BTreeSet<usize>) -> String {
        let have: Vec<_> = signers.iter().filter_map(|i| self.ask.by.get(*i)).cloned().collect();
        let node = target.first().and_then(|at| self.context.tree.node(*at));
        let node = node.map(|node| node.digest.as_str()).unwrap_or_default();
        let need = self.ask.at_least.max(1);
        match have.as_slice() {
            [] => format!("{node}: no signature counts, {need} needed"),
            have => format!("{node}: {} of {need}, by {}", have.len(), have.join(", ")),
        }
    }

    fn findings(&self, mut lacking: Vec<String>, no_leaf: bool) -> Vec<String> {
        if no_leaf {
            lacking.push("the image has no manifest that could be signed".to_owned());
        }
        lacking.dedup();
        let more = lacking.len().saturating_sub(SHOWN);
        lacking.truncate(SHOWN);
        if more > 0 {
            lacking.push(format!("and {more} more"));
        }
        lacking.extend(self.parent_hint());
        lacking
    }

    /// A child may be covered by a signature on its index, which a request
    /// for the child does not see.
    fn parent_hint(&self) -> Option<String> {
        let root = self.context.tree.node(0)?;
        let index = match root.kind {
            NodeKind::Index => true,
            NodeKind::Manifest
            | NodeKind::Opaque
            | NodeKind::Config
            | NodeKind::Layer
            | NodeKind::File => false,
        };
        (!index).then(|| {
            "where the signature is on the index that lists this image, ask for the index, \
             or name it with `--parent DIGEST`"
                .to_owned()
        })
    }

    /// Every item that did not count, with the most telling reason.
    fn ignored(mut self) -> Vec<Ignored> {
        self.note_subjects();
        self.note_surplus();
        let mut ignored = Vec::new();
        for (item, facts) in self.context.facts.iter().enumerate() {
            if self.used.contains(&item) {
                continue;
            }
            let Some(miss) = self.misses.remove(&item) else { continue };
            ignored.push(Ignored {
                item: facts.item.clone(),
                format: facts.format,
                key: facts.signer.key().clone(),
                fingerprint: facts.signer.fingerprint().map(str::to_owned),
                reason: miss.into_text(),
            });
        }
        ignored.dedup();
        ignored
    }

    /// Items whose subject is no target: nobody has looked at them yet.
    fn note_subjects(&mut self) {
        for item in 0..self.context.facts.len() {
            let Some(facts) = self.context.facts.get(item).copied() else { continue };
            if self.misses.contains_key(&item) || self.looked_at(facts) {
                continue;
            }
            let named =
                self.ask.by.iter().find_map(|signer| self.context.is_by(facts, signer).ok());
            let miss = match (is_signature(facts), named) {
                (Err(miss), _) => Some(miss),
                (Ok(()), None) => {
                    self.ask.by.first().and_then(|signer| self.context.is_by(facts, signer).err())
                }
                (Ok(()), Some(())) => Some(Miss::Subject(self.elsewhere(facts))),
            };
            miss.into_iter().for_each(|miss| self.note(item, miss));
        }
    }

    fn looked_at(&self, facts: &Facts) -> bool {
        let digest = facts.claims.subject.digest.to_string();
        let from = (digest.as_str(), 0, "");
        self.votes.range(from..).next().is_some_and(|(subject, _)| subject.0 == digest)
    }

    /// What an item signs that is none of the targets, and what to do.
    fn elsewhere(&self, facts: &Facts) -> String {
        let subject = &facts.claims.subject;
        let text = subject.digest.to_string();
        if self.context.tree.shape.nodes.iter().any(|node| node.digest == text) {
            let where_to = match self.ask.on {
                On::Root => {
                    "the requested image itself; `on: each` or `on: covering` would take it"
                }
                On::Each => "each platform's manifest; `on: covering` takes an index above it",
                On::Covering => "the platforms' manifests and the indexes above them",
            };
            return format!("it signs {text} in the image, and this check asks for {where_to}");
        }
        if subject.media_type.as_deref().is_some_and(media_type::is_index) {
            return format!(
                "it signs the index {text}; where that lists this image, ask for the index, \
                 or add `--parent {text}`"
            );
        }
        format!("it signs {text}, which is not in this image")
    }

    /// Items that would have counted, had their signer or key not counted
    /// already.
    fn note_surplus(&mut self) {
        let mut surplus = Vec::new();
        for vote in self.votes.values().flatten() {
            let signer = self.ask.by.get(vote.signer).map(String::as_str).unwrap_or_default();
            let text = format!("`{signer}` or this key counts already; each counts once");
            surplus.push((vote.item, Miss::Surplus(text)));
        }
        surplus.into_iter().for_each(|(item, miss)| self.note(item, miss));
    }
}
