//! The check `signed`: people are counted, not signatures.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Facts, KeyId, Statement};
use crate::image::{NodeKind, media_type};
use crate::policy::{CheckOutcome, Counted, Ignored, On, ReferenceRule, Revoked, Signed};

use super::Context;
use super::matching::matching;
use super::names::{Asked, clip};
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

/// Why an item does not count, from the least to the most telling: an item
/// that failed later was closer. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    Statement(String),
    Signer(String),
    Subject(String),
    Descriptor(String),
    Format(String),
    Revoked(String),
    KeyEnded(String),
    Expired(String),
    Name(String),
    Annotation(String),
    Surplus(String),
}

impl Miss {
    fn into_text(self) -> String {
        match self {
            Self::Statement(text)
            | Self::Signer(text)
            | Self::Subject(text)
            | Self::Descriptor(text)
            | Self::Format(text)
            | Self::Revoked(text)
            | Self::KeyEnded(text)
            | Self::Expired(text)
            | Self::Name(text)
            | Self::Annotation(text)
            | Self::Surplus(text) => text,
        }
    }
}

/// One signer for whom one item counts.
struct Vote {
    /// Position in `by`.
    signer: usize,
    /// Position in the facts.
    item: usize,
}

/// A node as signatures name it. Two nodes that agree in this are signed by
/// the same items, so they are looked at once.
type Subject<'a> = (&'a str, u64, &'a str);

struct Tally<'c, 'a> {
    context: &'c Context<'a>,
    ask: &'c Signed,
    asked: Asked<'c>,
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

    /// "Which evidence counts for a signer at node d": all of the conditions,
    /// on one item.
    fn counts(&self, item: usize, signer: usize, subject: Subject<'_>) -> Result<(), Miss> {
        let Some(facts) = self.context.facts.get(item) else {
            return Err(Miss::Statement("there is no such item".to_owned()));
        };
        let Some(signer) = self.ask.by.get(signer) else {
            return Err(Miss::Signer("there is no such signer".to_owned()));
        };
        self.is_signature(facts)?;
        self.is_by(facts, signer)?;
        is_about(facts, subject)?;
        self.has_format(facts)?;
        self.is_not_revoked(facts, signer)?;
        self.key_is_valid(facts, signer)?;
        self.is_not_expired(facts)?;
        let (name, digest) = (facts.claims.name.as_deref(), &facts.claims.subject.digest);
        self.asked.agrees(self.ask.reference, name, digest).map_err(Miss::Name)?;
        self.has_annotations(facts)
    }

    fn is_signature(&self, facts: &Facts) -> Result<(), Miss> {
        match &facts.claims.statement {
            Statement::Signature => Ok(()),
            Statement::Attestation { predicate_type, .. } => Err(Miss::Statement(format!(
                "it is an attestation (`{}`), which is no image signature",
                clip(predicate_type)
            ))),
        }
    }

    fn is_by(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        let key = facts.signer.key();
        if self.context.policy.keys(signer).iter().any(|linked| linked.id == *key) {
            return Ok(());
        }
        let owner = self
            .context
            .document()
            .signers
            .keys()
            .find(|name| self.context.policy.keys(name).iter().any(|linked| linked.id == *key));
        Err(Miss::Signer(match owner {
            Some(owner) => format!("it is by `{owner}`, whom this check does not name"),
            None => "it is by a key of no signer of the policy".to_owned(),
        }))
    }

    fn has_format(&self, facts: &Facts) -> Result<(), Miss> {
        match &self.ask.formats {
            Some(formats) if !formats.contains(&facts.format) => Err(Miss::Format(format!(
                "its format is {}, which this check does not take",
                facts.format.as_str()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// A revocation with `since` spares what a trusted time puts before it.
    /// Trusted are the times of the signer's own `time` roots, and a signer
    /// of plain keys has none, so nothing is spared.
    fn is_not_revoked(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        for revocation in &self.context.document().revoked {
            let what = match &revocation.what {
                Revoked::Key(key) if key == facts.signer.key() => "its key",
                Revoked::Signer(name) if name == signer => "its signer",
                Revoked::Key(_)
                | Revoked::Signer(_)
                | Revoked::Certificate(_)
                | Revoked::Digest(_) => continue,
            };
            return Err(Miss::Revoked(format!("{what} is revoked: {}", revocation.reason)));
        }
        Ok(())
    }

    /// A signer may list one key twice; the entry that ended it wins.
    fn key_is_valid(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        let key = facts.signer.key();
        let own = self.context.policy.keys(signer).iter().filter(|linked| linked.id == *key);
        match own.filter_map(|linked| linked.until).min() {
            Some(until) if until <= self.context.now => {
                Err(Miss::KeyEnded(format!("the key of `{signer}` is not valid since {until}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_not_expired(&self, facts: &Facts) -> Result<(), Miss> {
        match facts.claims.expires {
            Some(at) if at <= self.context.now => {
                Err(Miss::Expired(format!("the signature expired at {at}; sign again")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn has_annotations(&self, facts: &Facts) -> Result<(), Miss> {
        for (key, glob) in &self.ask.annotations {
            let miss = match facts.claims.annotations.get(key) {
                Some(value) if glob.matches(value) => continue,
                Some(value) => {
                    format!("it signs {key}=`{}`, and `{glob}` is asked", clip(value))
                }
                None => format!("it does not sign the annotation {key}; sign with `-a {key}=…`"),
            };
            return Err(Miss::Annotation(miss));
        }
        Ok(())
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
            NodeKind::Manifest | NodeKind::Opaque | NodeKind::Config | NodeKind::Layer => false,
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
            let named = self.ask.by.iter().find_map(|signer| self.is_by(facts, signer).ok());
            let miss = match (self.is_signature(facts), named) {
                (Err(miss), _) => Some(miss),
                (Ok(()), None) => {
                    self.ask.by.first().and_then(|signer| self.is_by(facts, signer).err())
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

/// Digest, and size and media type where the format signs them.
fn is_about(facts: &Facts, (digest, size, media_type): Subject<'_>) -> Result<(), Miss> {
    let subject = &facts.claims.subject;
    if subject.digest.to_string() != digest {
        return Err(Miss::Subject(format!("it signs {}, not {digest}", subject.digest)));
    }
    if subject.size.is_some_and(|signed| signed != size) {
        let signed = subject.size.unwrap_or_default();
        return Err(Miss::Descriptor(format!("it signs a size of {signed} bytes, not {size}")));
    }
    match &subject.media_type {
        Some(signed) if signed != media_type => Err(Miss::Descriptor(format!(
            "it signs the media type `{}`, not `{}`",
            clip(signed),
            clip(media_type)
        ))),
        Some(_) | None => Ok(()),
    }
}
