//! The summary: counts, and images grouped by what is wrong with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cause, Class, Record, Unlisted, Users};
use crate::policy::Decision;

/// Causes told apart; a policy has tens of rules.
const CAUSES: usize = 1000;

/// Images named of each cause.
const IMAGES: usize = 10;

/// Users named of each image.
const USERS: usize = 3;

/// How many images there are of each answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Totals {
    /// All of them.
    pub images: u64,
    /// May run.
    pub allow: u64,
    /// May not.
    pub deny: u64,
    /// Nobody knows.
    pub undecided: u64,
    /// May run only because a rule is under audit.
    pub would_deny: u64,
}

/// The images of one cause.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// How many there are.
    pub images: u64,
    /// How many objects use them.
    pub users: u64,
    /// The first of them by name, with their users.
    pub shown: BTreeMap<String, Shown>,
}

/// One image of a group.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The line of the list that names it.
    pub line: Option<u64>,
    /// Who uses it.
    pub users: Users,
}

/// Everything that a summary says, in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    totals: Totals,
    denied: BTreeMap<Cause, Group>,
    let_through: BTreeMap<Cause, Group>,
    undecided: BTreeMap<Cause, Group>,
    unlisted: Vec<Unlisted>,
}

impl Tally {
    /// Counts one image.
    pub fn add(&mut self, record: &Record) {
        self.totals.images += 1;
        match record.decision {
            Decision::Allow => self.totals.allow += 1,
            Decision::Deny => self.totals.deny += 1,
            Decision::Undecided => self.totals.undecided += 1,
        }
        let groups = match record.decision {
            Decision::Undecided => &mut self.undecided,
            Decision::Allow | Decision::Deny => &mut self.denied,
        };
        record.causes.iter().for_each(|cause| enter(groups, cause, record));
        if record.decision == Decision::Allow && !record.would_deny.is_empty() {
            self.totals.would_deny += 1;
            record.would_deny.iter().for_each(|cause| enter(&mut self.let_through, cause, record));
        }
    }

    /// Notes what could not be looked at: the answer is undecided for it.
    pub fn miss(&mut self, unlisted: Unlisted) {
        self.unlisted.push(unlisted);
    }

    /// The counts.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Denied images by cause, the most images first.
    pub fn denied(&self) -> Vec<(&Cause, &Group)> {
        sorted(&self.denied)
    }

    /// Images that only audit lets through, by cause.
    pub fn let_through(&self) -> Vec<(&Cause, &Group)> {
        sorted(&self.let_through)
    }

    /// Images that nobody could decide on, by cause.
    pub fn undecided(&self) -> Vec<(&Cause, &Group)> {
        sorted(&self.undecided)
    }

    /// What could not be looked at.
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// The greatest answer, as the exit code gives it: undecided, where
    /// something was not seen, before deny before allow.
    pub fn answer(&self) -> Decision {
        let Totals { undecided, deny, .. } = self.totals;
        match (undecided > 0 || !self.unlisted.is_empty(), deny > 0) {
            (true, _) => Decision::Undecided,
            (false, true) => Decision::Deny,
            (false, false) => Decision::Allow,
        }
    }
}

fn sorted(groups: &BTreeMap<Cause, Group>) -> Vec<(&Cause, &Group)> {
    let mut sorted: Vec<_> = groups.iter().collect();
    sorted.sort_by_key(|(cause, group)| (std::cmp::Reverse(group.images), *cause));
    sorted
}

fn enter(groups: &mut BTreeMap<Cause, Group>, cause: &Cause, record: &Record) {
    let cause = match groups.contains_key(cause) || groups.len() < CAUSES {
        true => cause.clone(),
        false => Cause::new(Class::Failed, "causes of too many kinds; the JSON lines have all"),
    };
    let group = groups.entry(cause).or_default();
    group.images += 1;
    let named = u64::try_from(record.users.named.len()).unwrap_or(u64::MAX);
    group.users = group.users.saturating_add(named).saturating_add(record.users.more);
    let last = group.shown.last_key_value().map(|(image, _)| image.as_str());
    if group.shown.len() < IMAGES || last.is_some_and(|last| record.image.as_str() < last) {
        let shown = Shown { line: record.line, users: record.users.first(USERS) };
        group.shown.insert(record.image.clone(), shown);
        if group.shown.len() > IMAGES {
            group.shown.pop_last();
        }
    }
}
