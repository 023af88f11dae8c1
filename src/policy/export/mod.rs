//! A policy in the words of containers/image: `policy.json` and a file for
//! `registries.d`, for podman, CRI-O, skopeo and bootc.
//!
//! What the files allow the policy allows, at every later instant too. What
//! cannot be said so is an error that names the rule; what is denied in
//! excess is a remark. How each part maps, and why, stands in docs/export.md.
//!
//! ```text
//! scopes ─► places ─► one name of each kind ─► the rules that judge it ─► checks ─► clauses ─┐
//!                                                                                           ├─► files
//!                           all answers at one place must agree, or the stricter one is taken ┘
//! ```

mod checks;
mod clauses;
mod files;
mod places;
mod widen;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use self::checks::Reading;
use self::clauses::Requirement;
use self::places::{Place, Samples};
use super::decide::{Matched, Selected, mirror};
use super::model::{Policy, Revoked};
use crate::evidence::KeyId;
use crate::image::Repository;
use crate::limits::Limits;

/// The files, and what to know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Content of `policy.json`.
    pub policy: String,
    /// Content of a file in `registries.d`.
    pub registries: String,
    /// From then on the policy denies what the files may still allow; `None`
    /// where that never comes.
    pub until: Option<Timestamp>,
    /// What the files deny and the policy would allow.
    pub stricter: Vec<Remark>,
    /// What else is needed for the files to work.
    pub notes: Vec<String>,
}

/// Where the files are stricter than the policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// `rule`, `rule/check`, a scope, or a JSON Pointer.
    pub about: String,
    /// How.
    pub text: String,
}

/// Something that the files cannot say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsaid {
    /// `rule`, `rule/check`, or a JSON Pointer.
    pub about: String,
    /// Why not, and what to do.
    pub why: String,
}

/// What the user answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// What becomes of dates on which something ends.
    pub dates: Dates,
    /// What becomes of a repository and the names below it.
    pub subtrees: Subtrees,
    /// What becomes of `default-docker` in `registries.d`.
    pub default_docker: DefaultDocker,
}

/// What becomes of dates on which something ends: policy.json has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dates {
    /// They cannot be said.
    #[default]
    Refuse,
    /// The files are good until the first of them, and made again before.
    Snapshot,
}

/// What becomes of a repository and the names below it: to policy.json they
/// are one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subtrees {
    /// They are two scopes, and where they differ that cannot be said.
    #[default]
    Apart,
    /// A rule for the one holds for the other, if that has none.
    Widen,
}

/// Whether `default-docker` is written where `**` needs it. It may stand in
/// one file of `registries.d` only, and systems often bring one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultDocker {
    /// It is left to the user.
    #[default]
    Leave,
    /// It is written.
    Write,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.about, self.text)
    }
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.about, self.why)
    }
}

/// The files that come closest to `policy` as of `now` and are never looser.
///
/// `pems` has the public key of every [`KeyId`] of the policy.
///
/// # Errors
/// Everything that the files cannot say, sorted.
pub fn containers_policy(
    policy: &Policy,
    pems: &BTreeMap<KeyId, String>,
    options: &Options,
    now: Timestamp,
    limits: &Limits,
) -> Result<Export, Vec<Unsaid>> {
    let policy = match options.subtrees {
        Subtrees::Apart => policy.clone(),
        Subtrees::Widen => widen::widened(policy),
    };
    let reading = Reading::new(&policy, now, limits.export_requirements);
    let mut draft = Draft { reading, options, asked: BTreeMap::new() };
    let expired = policy.document().expires.is_some_and(|expires| expires <= now);
    if expired {
        draft.reading.remark("/expires", "the policy has expired, so everything is rejected");
    } else {
        draft.read_places();
        draft.hold_spellings();
        draft.hold_dates(now);
        draft.hold_revocations();
        draft.note_exceptions(now);
    }
    if !draft.reading.unsaid.is_empty() {
        return Err(draft.reading.unsaid.into_iter().collect());
    }
    Ok(draft.finish(pems))
}

/// What is asked for at each place, as far as it was worked out.
struct Draft<'a> {
    reading: Reading<'a>,
    options: &'a Options,
    asked: BTreeMap<Place, Asked>,
}

/// What is asked for at one place.
struct Asked {
    requirement: Requirement,
    /// Ids of the rules that have a scope of their own there.
    rules: BTreeSet<String>,
}

/// One kind of name that a place decides, and the rules that judge it.
struct Kind<'a> {
    name: Repository,
    selected: Selected<'a>,
    /// The deciding rule, where its scope begins at this place.
    own: Option<Matched<'a>>,
}

impl Kind<'_> {
    fn rule(&self) -> Option<&str> {
        self.selected.rule.map(|(rule, _)| rule.id.as_str())
    }
}

impl<'a> Draft<'a> {
    fn read_places(&mut self) {
        let document = self.reading.document();
        let samples = Samples::new(document);
        for place in places::places(document) {
            let kinds: Vec<_> = samples
                .of(&place)
                .into_iter()
                .map(|name| {
                    let selected = Selected::of(document, &name);
                    let own = selected.rule.filter(|(_, scope)| Place::of(scope) == place);
                    Kind { name, selected, own }
                })
                .collect();
            self.read_place(place, &kinds);
        }
    }

    fn read_place(&mut self, place: Place, kinds: &[Kind<'a>]) {
        let answers: Vec<_> = kinds.iter().map(|kind| self.read_kind(kind)).collect();
        let answers: Option<Vec<_>> = answers.into_iter().collect();
        let Some(answers) = answers else { return };
        let requirement = answers.iter().cloned().fold(Requirement::nothing(), Requirement::and);
        let one_rule = self.options.subtrees == Subtrees::Widen
            && kinds.windows(2).all(|pair| matches!(pair, [a, b] if a.rule() == b.rule()));
        for (kind, answer) in kinds.iter().zip(&answers) {
            if answer.implies(&requirement) {
                continue;
            }
            match kind.own.filter(|_| !one_rule) {
                Some((rule, scope)) => {
                    let why = apart(&place, kinds, &scope.to_string());
                    self.reading.cannot(&rule.id, why);
                }
                None => {
                    self.reading.remark(place.shown(), together(&place));
                }
            }
        }
        let rules = kinds.iter().filter_map(|kind| Some(kind.own?.0.id.clone())).collect();
        self.asked.insert(place, Asked { requirement, rules });
    }

    /// What the policy asks of one name; `None` where that cannot be said.
    fn read_kind(&mut self, kind: &Kind<'a>) -> Option<Requirement> {
        let Some((rule, _)) = kind.selected.rule else { return Some(Requirement::Reject) };
        let mut rules = vec![rule];
        rules.extend(kind.selected.baseline.iter().map(|(rule, _)| *rule));
        // what is rejected need not be said in full
        if rules.iter().any(|rule| rule.action.rejects()) {
            return Some(Requirement::Reject);
        }
        let mirror = mirror(self.reading.document(), &kind.name);
        let read: Vec<_> = rules.iter().map(|rule| self.reading.rule(rule, mirror)).collect();
        let read: Option<Vec<_>> = read.into_iter().collect();
        Some(read?.into_iter().fold(Requirement::nothing(), Requirement::and))
    }

    /// A name in another spelling is judged by a wildcard, so that must ask
    /// for as much as the rule that is meant.
    fn hold_spellings(&mut self) {
        let mut unsaid = Vec::new();
        for (wide, asked) in &self.asked {
            let less = |(narrow, strict): &(&Place, &Asked)| {
                wide.catches(narrow) && !asked.requirement.implies(&strict.requirement)
            };
            let narrow: Vec<_> = self.asked.iter().filter(less).map(|(n, _)| n.shown()).collect();
            let Some(first) = narrow.first() else { continue };
            let more = match narrow.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let why = format!(
                "it asks for less than `{first}`{more}, and policy.json compares names letter by \
                 letter: with a capital letter or `:443` in the host they would be judged by \
                 `{}`; make this rule a `reject`, or move what the others ask for to `baseline`",
                wide.shown()
            );
            let about = asked.rules.first().cloned().unwrap_or_else(|| wide.shown());
            unsaid.push((about, why));
        }
        unsaid.into_iter().for_each(|(about, why)| self.reading.cannot(about, why));
    }

    fn hold_dates(&mut self, now: Timestamp) {
        let document = self.reading.document();
        if !self.allows() {
            return;
        }
        if let Some(issued) = document.issued.filter(|issued| now < *issued) {
            let why = format!(
                "the policy is not valid before {issued}, and policy.json has no dates; export \
                 it then"
            );
            self.reading.cannot("/issued", why);
        }
        if self.options.dates == Dates::Snapshot {
            return;
        }
        let ends = self.reading.ends.iter().map(|(about, until)| (about.clone(), *until));
        let expires = document.expires.map(|until| ("/expires".to_owned(), until));
        for (about, until) in ends.chain(expires).collect::<Vec<_>>() {
            let why = format!(
                "it ends at {until}, and policy.json has no dates; with `--snapshot` the files \
                 are good until the first date, before which you export again"
            );
            self.reading.cannot(about, why);
        }
    }

    fn hold_revocations(&mut self) {
        if !self.allows() {
            return;
        }
        for (at, revocation) in self.reading.document().revoked.iter().enumerate() {
            if let Revoked::Digest(digest) = &revocation.what {
                let why = format!(
                    "policy.json knows images by name and cannot refuse {digest}; end the keys \
                     that signed it, or take it and its signatures out of the registry and out \
                     of the policy that is exported"
                );
                self.reading.cannot(format!("/revoked/{at}"), why);
            }
        }
    }

    fn note_exceptions(&mut self, now: Timestamp) {
        for exception in &self.reading.document().exceptions {
            if now < exception.until {
                let text = "policy.json has no exceptions, so its checks stay";
                self.reading.remark(&exception.id, text);
            }
        }
    }

    /// Whether some place allows anything, or would if it could be said.
    fn allows(&self) -> bool {
        let allows = |asked: &Asked| asked.requirement != Requirement::Reject;
        !self.reading.unsaid.is_empty() || self.asked.values().any(allows)
    }

    fn finish(mut self, pems: &BTreeMap<KeyId, String>) -> Export {
        self.drop_repeated();
        let document = self.reading.document();
        let until = match self.allows() {
            true => self.reading.ends.values().copied().chain(document.expires).min(),
            false => None,
        };
        let places: BTreeMap<_, _> =
            self.asked.into_iter().map(|(place, asked)| (place, asked.requirement)).collect();
        Export {
            policy: files::policy(&places, pems),
            registries: files::registries(&places, self.options.default_docker, document, until),
            until,
            stricter: self.reading.stricter.into_iter().collect(),
            notes: files::notes(&places, self.options.default_docker),
        }
    }

    /// Leaves out places without a rule of their own that ask for what the
    /// next wider place asks for.
    fn drop_repeated(&mut self) {
        let mut places: BTreeSet<Place> = self.asked.keys().cloned().collect();
        let helpers = self.asked.iter().filter(|(_, asked)| asked.rules.is_empty());
        let mut helpers: Vec<Place> = helpers.map(|(place, _)| place.clone()).collect();
        // the longest first: a place is compared with one that stays
        helpers.sort_by_key(|place| std::cmp::Reverse(place.text().len()));
        for place in helpers {
            let wider = place.next_wider(&places).and_then(|wider| self.asked.get(wider));
            let wider = wider.map_or(&Requirement::Reject, |asked| &asked.requirement);
            if self.asked.get(&place).is_some_and(|asked| asked.requirement == *wider) {
                self.asked.remove(&place);
                places.remove(&place);
            }
        }
    }
}

/// What became of names at one place that have no rule of their own there.
fn together(place: &Place) -> &'static str {
    match place {
        Place::Everything | Place::Wildcard(_) => {
            "policy.json's wildcards are for all ports; the strictest answer is for all of them"
        }
        Place::Path(_) => {
            "to policy.json it and what is below it are one; the stricter answer is for both"
        }
    }
}

/// Why the names at one place cannot be told apart.
fn apart(place: &Place, kinds: &[Kind<'_>], scope: &str) -> String {
    match place {
        Place::Wildcard(host) if host == places::HUB => format!(
            "to policy.json `{scope}` holds Docker Hub itself, as `registry-1.{host}`, and the \
             policy has another answer for that; name the hosts"
        ),
        Place::Everything | Place::Wildcard(_) => format!(
            "policy.json's wildcards are for all ports, and the policy has another answer for \
             ports that `{scope}` does not match; name the hosts"
        ),
        Place::Path(path) if kinds.iter().all(|kind| kind.own.is_some()) => format!(
            "to policy.json `{path}` and what is below it are one, and the policy asks for \
             different things; give both the same rule and the same `baseline`"
        ),
        Place::Path(path) => {
            let other = match scope.strip_suffix("/**") {
                Some(repository) => repository.to_owned(),
                None => format!("{path}/**"),
            };
            format!(
                "to policy.json `{path}` and what is below it are one; add `{other}` to the \
                 scope of the rule, or let `--widen-subtrees` do that in the export"
            )
        }
    }
}
