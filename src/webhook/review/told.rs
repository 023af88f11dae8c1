//! What became of one image, as data: for audit annotations and logs.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::gate::Answer;
use crate::image::{Depth, Digest};
use crate::policy::Decision;

use super::respond::Judged;
use super::tell;
use super::{Change, Options, Use};

/// What was decided on one image, and on what grounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The answer.
    pub decision: Decision,
    /// The digest that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The rule of the policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Digest of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// How deep the image was recomputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<Depth>,
    /// The place: "container `app`".
    pub place: String,
    /// The image: normalised, or as written where it names none.
    pub image: String,
    /// Why, where it is no allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Failed checks that the policy's audit lets through, as `rule/check`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_deny: Vec<String>,
}

/// Keys that an annotation loses, in this order, until it is short enough.
const DROPPED: &[&str] = &["wouldDeny", "why", "place", "image"];

impl Told {
    /// Whether one image may run, from the answer of the gate.
    pub(super) fn of(found: &Use, judged: &Judged, options: &Options) -> Self {
        let mut told = Self {
            decision: Decision::Deny,
            digest: None,
            rule: None,
            policy: None,
            depth: None,
            place: found.place().to_string(),
            image: match &found.reference {
                Ok(reference) => reference.to_string(),
                Err(_) => crate::report::escaped(&found.text),
            },
            why: None,
            would_deny: Vec::new(),
        };
        match (&found.reference, judged) {
            (Err(why), _) => told.no(Decision::Deny, why.clone()),
            (Ok(_), Judged::NotAsked) => told.no(Decision::Undecided, "was not judged".to_owned()),
            (Ok(_), Judged::Undecided(why)) => told.no(Decision::Undecided, why.to_string()),
            (Ok(_), Judged::Answered(answer)) => told.answered(found, answer, options),
        }
        told
    }

    fn no(&mut self, decision: Decision, why: String) {
        self.decision = decision;
        self.why = Some(crate::report::escaped(&why));
    }

    fn answered(&mut self, found: &Use, answer: &Answer, options: &Options) {
        let verdict = answer.verdict();
        if found.reference.as_ref() != Ok(&verdict.reference) {
            return self.no(Decision::Undecided, "the answer is about another image".to_owned());
        }
        let rules = verdict.baseline.iter().chain(&verdict.rule);
        let blocking = rules.filter(|rule| !rule.held).map(|rule| &rule.id).next();
        self.rule = blocking.or(verdict.rule.as_ref().map(|rule| &rule.id)).cloned();
        self.digest = Some(verdict.digest.clone());
        self.policy = Some(verdict.policy_digest.clone());
        self.depth = Some(verdict.depth);
        self.would_deny.clone_from(&verdict.would_deny);
        match answer.admit() {
            Err(verdict) => match verdict.decision {
                Decision::Deny => self.no(Decision::Deny, tell::why(&verdict)),
                Decision::Undecided => self.no(Decision::Undecided, tell::why(&verdict)),
                Decision::Allow => {
                    self.no(Decision::Undecided, "allowed without evidence".to_owned());
                }
            },
            Ok(admitted) => self.admitted(found, admitted.digest(), options),
        }
    }

    fn admitted(&mut self, found: &Use, digest: &Digest, options: &Options) {
        match found.reference.as_ref().ok().and_then(|reference| reference.digest()) {
            Some(asked) if asked != digest => {
                self.no(Decision::Undecided, "the answer is about another digest".to_owned());
            }
            None if options.pinned_only && found.change == Change::New => {
                let why = format!("names no digest; pin it to {digest}, or register `/mutate`");
                self.no(Decision::Deny, why);
            }
            _ => {
                self.digest = Some(digest.clone());
                self.decision = Decision::Allow;
            }
        }
    }

    /// JSON of at most `most` bytes. What an auditor needs least goes first;
    /// decision and digest always stay.
    pub(super) fn annotation(&self, most: usize) -> String {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            return String::new();
        };
        let text = |fields: &Map<String, Value>| Value::Object(fields.clone()).to_string();
        for key in DROPPED {
            if text(&fields).len() <= most {
                break;
            }
            fields.remove(*key);
        }
        text(&fields)
    }
}
