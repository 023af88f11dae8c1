//! From a policy to what is asked for at each place, and what stands against
//! saying it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::checks::Reading;
use super::clauses::Requirement;
use super::places::{self, Place, Samples};
use super::{Dates, Export, Options, Subtrees, Unsaid, files};
use crate::evidence::KeyId;
use crate::image::Repository;
use crate::limits::Limits;
use crate::policy::decide::{Matched, Selected, mirror};
use crate::policy::{Policy, Revoked};

/// What is asked for at each place, as far as it was worked out.
pub(super) struct Draft<'a> {
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
    /// Reads all of the policy.
    ///
    /// # Errors
    /// What cannot be said.
    pub(super) fn read(
        policy: &'a Policy,
        options: &'a Options,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Self, Vec<Unsaid>> {
        let reading = Reading::new(policy, now, limits.export_requirements);
        let mut draft = Self { reading, options, asked: BTreeMap::new() };
        // an expired policy denies everything, and so does an empty file
        if policy.document().expires.is_none_or(|expires| now < expires) {
            draft.read_places();
            draft.hold_spellings();
            draft.hold_dates(now);
            draft.hold_revocations();
            draft.note_exceptions(now);
        }
        if draft.reading.unsaid.is_empty() {
            return Ok(draft);
        }
        Err(draft.reading.unsaid.into_iter().collect())
    }

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
        // where one rule is for both by the user's word, the baseline may differ
        let one_rule = matches!(place, Place::Path(_))
            && self.options.subtrees == Subtrees::Widen
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
        let mut less: BTreeMap<&Place, Vec<&Place>> = BTreeMap::new();
        for (narrow, strict) in &self.asked {
            for wide in narrow.caught_by() {
                let Some((wide, loose)) = self.asked.get_key_value(&wide) else { continue };
                if !loose.requirement.implies(&strict.requirement) {
                    less.entry(wide).or_default().push(narrow);
                }
            }
        }
        for (wide, narrow) in less {
            let rules = self.asked.get(wide).and_then(|asked| asked.rules.first());
            let about = rules.cloned().unwrap_or_else(|| wide.shown());
            self.reading.cannot(about, around(wide, &narrow));
        }
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

    /// The files.
    pub(super) fn finish(mut self, pems: &BTreeMap<KeyId, String>) -> Export {
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

/// How names get around the rules at `narrow` by their spelling.
fn around(wide: &Place, narrow: &[&Place]) -> String {
    let first = narrow.first().map(|place| place.shown()).unwrap_or_default();
    let more = match narrow.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!(
        "it asks for less than `{first}`{more}, and policy.json compares names letter by letter: \
         with a capital letter or `:443` in the host they would be judged by `{}`; make this \
         rule a `reject`, or move what the others ask for to `baseline`",
        wide.shown()
    )
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
