//! What became of one image, in one line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cause::{self, CAUSES, Cause, Class};
use super::{Item, Name, Users};
use crate::gate::{Answer, Undecided};
use crate::image::{Digest, Reference};
use crate::policy::{Decision, Policy};

/// The answer on one image with its reasons, and who uses it.
///
/// Plain data, read back from files that anybody may have written: it can be
/// counted and shown, and nothing is admitted by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The name, normalised; of what is no name, the text.
    pub image: String,
    /// Allow, deny or undecided.
    pub decision: Decision,
    /// The digest that the name stood for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it is not allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// What audit let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_deny: Vec<Cause>,
    /// Who uses it.
    #[serde(default, skip_serializing_if = "Users::is_empty")]
    pub users: Users,
    /// The line of the list that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// When it was judged.
    pub at: Timestamp,
    /// How long that took.
    pub milliseconds: u64,
}

/// When an image was judged, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) at: Timestamp,
    pub(super) milliseconds: u64,
}

impl Record {
    /// What the gate said of an item.
    pub(super) fn new(
        item: Item,
        said: &Result<Answer, Undecided>,
        policy: &Policy,
        when: When,
    ) -> Self {
        let reference = match &item.name {
            Name::Image(reference) => reference.clone(),
            Name::Invalid { .. } => return Self::of_invalid(item, when.at),
        };
        let mut record = Self::undecided(item, when, Vec::new());
        match said {
            Ok(answer) => record.decided(answer, policy),
            Err(failure) => {
                let cause = cause::of_failure(failure, reference.repository());
                // bytes that are not what the name's digest says are an
                // answer, as they are to `verify`
                if cause.class == Class::Integrity {
                    record.decision = Decision::Deny;
                }
                record.causes.push(cause);
            }
        }
        record
    }

    /// What nobody can decide on.
    pub(super) fn of_invalid(item: Item, at: Timestamp) -> Self {
        let why = match &item.name {
            Name::Invalid { why, .. } => why.clone(),
            Name::Image(_) => String::new(),
        };
        let when = When { at, milliseconds: 0 };
        Self::undecided(item, when, vec![Cause::new(Class::Name, &why)])
    }

    fn undecided(item: Item, when: When, causes: Vec<Cause>) -> Self {
        Self {
            image: item.name.key(),
            decision: Decision::Undecided,
            digest: None,
            rule: None,
            causes,
            would_deny: Vec::new(),
            users: item.users,
            line: item.line,
            at: when.at,
            milliseconds: when.milliseconds,
        }
    }

    fn decided(&mut self, answer: &Answer, policy: &Policy) {
        let verdict = answer.verdict();
        self.digest = Some(verdict.digest.clone());
        self.rule = verdict.rule.as_ref().map(|rule| rule.id.clone());
        self.causes = cause::of_verdict(verdict, policy);
        self.would_deny = cause::let_through(verdict, policy);
        // only what a runtime would be let to pull is an allow
        self.decision = match (answer.admit(), verdict.decision) {
            (Ok(_), _) => Decision::Allow,
            (Err(_), Decision::Deny) => Decision::Deny,
            (Err(_), Decision::Undecided | Decision::Allow) => Decision::Undecided,
        };
        if self.decision != Decision::Allow && self.causes.is_empty() {
            self.causes.push(Cause::new(Class::Failed, &verdict.summary));
        }
    }

    /// Whether the answer is yes or no; only then is it not asked again.
    pub fn is_decided(&self) -> bool {
        match self.decision {
            Decision::Allow | Decision::Deny => true,
            Decision::Undecided => false,
        }
    }

    /// The heading that it stands under where reports are parted: the rule
    /// that decided, else the kind of trouble.
    pub fn heading(&self) -> String {
        let first = self.causes.first();
        let rule = first.and_then(Cause::rule).or(self.rule.as_deref());
        match (rule, first) {
            (Some(rule), _) => format!("rule {rule}"),
            (None, Some(cause)) => cause.class.to_string(),
            (None, None) => "no rule".to_owned(),
        }
    }

    /// What no audit would have written, of a record from a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let allowed = self.decision == Decision::Allow;
        let is_image =
            self.image.parse::<Reference>().is_ok_and(|name| name.to_string() == self.image);
        let causes = || self.causes.iter().chain(&self.would_deny);
        if self.image.is_empty() || self.image.chars().count() > 512 {
            return Err("`image` is empty or too long");
        }
        if !is_image && self.is_decided() {
            return Err("it decides on what is no normalised name of an image");
        }
        if allowed != self.causes.is_empty() {
            return Err("an allow has no causes, and all else has");
        }
        if allowed && self.digest.is_none() {
            return Err("an allow has a digest");
        }
        if self.causes.len() > CAUSES || self.would_deny.len() > CAUSES {
            return Err("it has too many causes");
        }
        if causes().any(Cause::is_over) || self.users.is_over() {
            return Err("a text in it is too long");
        }
        Ok(())
    }
}
