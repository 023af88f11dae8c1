//! The answer: allow, deny or undecided, and everything that led to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::{Format, KeyId, Rejection};
use crate::image::{Depth, Digest, Reference};

/// Allow, deny and could-not-decide are three different answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The image may run.
    Allow,
    /// It may not.
    Deny,
    /// The tree or the evidence could not be read as far as the policy asks.
    Undecided,
}

/// The row of the truth table that decided (policy language, "The truth table").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Row 0: the policy is past its `expires`.
    PolicyExpired,
    /// Row 0: the policy is before its `issued`.
    PolicyNotYetValid,
    /// Row 1: a digest or size in the tree is wrong.
    Integrity,
    /// Row 2: a digest in the tree is revoked.
    Revoked,
    /// Row 3: no rule matches the name.
    NoRule,
    /// Row 4: a matching rule says `reject`.
    Rejected,
    /// Row 5: everything that must hold does.
    Holds,
    /// Row 6: something that must hold does not.
    Checks,
    /// Row 7: the image has no digests, and nobody signed its file.
    NotContentAddressed,
    /// No row: the tree or the evidence is incomplete.
    Incomplete,
}

impl Row {
    /// The word for it in verdicts, reports and the tests of policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyExpired => "policy-expired",
            Self::PolicyNotYetValid => "policy-not-yet-valid",
            Self::Integrity => "integrity",
            Self::Revoked => "revoked",
            Self::NoRule => "no-rule",
            Self::Rejected => "rejected",
            Self::Holds => "holds",
            Self::Checks => "checks",
            Self::NotContentAddressed => "not-content-addressed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What was asked: one image under one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The reference as asked, normalised.
    pub reference: Reference,
    /// The digest that it resolved to.
    pub digest: Digest,
    /// The depth that the caller asked for.
    pub depth: Depth,
    /// Why fetching evidence was cut short; empty when it was not.
    pub incomplete: Vec<String>,
}

/// Version of the verdict's JSON (`docs/verdict.md`).
pub const VERDICT_VERSION: &str = "verdict/1";

/// A verdict on one request.
///
/// Only `decide` and `simulate` make one. The fields are open to readers; the
/// right to run the image is not among them, so changing one admits nothing.
#[must_use]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Version of this JSON: [`VERDICT_VERSION`].
    pub version: &'static str,
    /// The answer.
    pub decision: Decision,
    /// The row of the truth table.
    pub row: Row,
    /// One sentence for people.
    pub summary: String,
    /// What the summary rests on where no check does: the wrong or missing
    /// nodes, the revocations, why evidence was cut short.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// What was asked.
    pub reference: Reference,
    /// The digest that was judged.
    pub digest: Digest,
    /// The depth that was recomputed.
    pub depth: Depth,
    /// The rule of `rules` that decided.
    pub rule: Option<RuleOutcome>,
    /// Every baseline rule that matched.
    pub baseline: Vec<RuleOutcome>,
    /// Checks that failed and that audit let through, as `rule/check`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_deny: Vec<String>,
    /// Exceptions that waived something here.
    pub exceptions_used: Vec<String>,
    /// Candidates that proved nothing.
    pub rejections: Vec<Rejection>,
    /// Digest of the policy's bytes.
    pub policy_digest: Digest,
    /// Name of the policy.
    pub policy_name: String,
    /// Edition of the policy.
    pub serial: Option<u64>,
    /// The instant at which it was judged.
    pub now: Timestamp,
    /// Digest over the evidence, in a canonical order.
    pub evidence_digest: Digest,
    /// See [`Verdict::until`].
    #[serde(skip)]
    pub(super) until: Option<Timestamp>,
    /// Set by `decide` alone, on an allow by evidence that was verified here.
    #[serde(skip)]
    pub(super) admitted: Option<Admitted>,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleOutcome {
    /// The rule.
    pub id: String,
    /// The scope of it that matched.
    pub scope: String,
    /// Whether it holds (an audit that would fail holds too).
    pub held: bool,
    /// Reason of an `accept` or `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it only reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_until: Option<Timestamp>,
    /// Its checks; empty for `accept` and `reject`.
    pub checks: Vec<CheckOutcome>,
}

/// What became of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckOutcome {
    /// The check.
    pub id: String,
    /// Whether it holds.
    pub held: bool,
    /// Waived by the exceptions of these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waived_by: Vec<String>,
    /// What it asks for, for people: "2 of ana, bo, cleo".
    pub need: String,
    /// What counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Counted>,
    /// What did not count, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
    /// What was found wrong with the image's shape, or what is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Outcomes of the branches of an `anyOf`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Vec<CheckOutcome>>,
}

/// One item that counted for one signer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Where the item was found.
    pub item: String,
    /// Its format.
    pub format: Format,
    /// The signer for whom it counts.
    pub signer: String,
    /// The canonical key.
    pub key: KeyId,
    /// Fingerprint of the primary key, where the key is an OpenPGP key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The node that it signs.
    pub node: Digest,
}

/// One item that did not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    /// Where the item was found.
    pub item: String,
    /// Its format.
    pub format: Format,
    /// The canonical key that made it.
    pub key: KeyId,
    /// Fingerprint of the primary key, where the key is an OpenPGP key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why it does not count here, and what to do.
    pub reason: String,
}

/// A verdict on declared facts. It can be shown and compared; it can never
/// become an [`Admitted`].
#[must_use]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Simulated(pub(super) Verdict);

impl Simulated {
    /// What the verdict would be.
    pub fn verdict(&self) -> &Verdict {
        &self.0
    }
}

/// An image that may run: pinned to the digest that was judged.
///
/// Only an allowing [`Verdict`] on real evidence yields one, so a function
/// that takes an `Admitted` cannot be called with an image that was not
/// checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    reference: Reference,
    digest: Digest,
}

impl Admitted {
    /// For `decide` alone: what an allow on real evidence admits.
    pub(super) fn new(request: &Request) -> Self {
        Self {
            reference: request.reference.by_digest(request.digest.clone()),
            digest: request.digest.clone(),
        }
    }

    /// The reference to pull: repository and digest, no tag.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The digest that was judged.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Verdict {
    /// The verdict's next breakpoint: with the same policy, image and
    /// evidence it is the same at every instant from [`Verdict::now`] to
    /// before this one. `None` where time alone changes nothing.
    ///
    /// A verdict may be remembered no further than to here.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The digest-pinned reference, where the answer is allow; `None` where it
    /// is anything else, a simulated one too.
    pub fn admitted(&self) -> Option<&Admitted> {
        match self.decision {
            Decision::Allow => self.admitted.as_ref(),
            Decision::Deny | Decision::Undecided => None,
        }
    }

    /// The digest-pinned reference, where the answer is allow.
    ///
    /// # Errors
    /// Gives the verdict back where it is anything else, a simulated one too.
    pub fn admit(mut self) -> Result<Admitted, Box<Self>> {
        match (self.decision, self.admitted.take()) {
            (Decision::Allow, Some(admitted)) => Ok(admitted),
            (Decision::Allow | Decision::Deny | Decision::Undecided, _) => Err(Box::new(self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_called_the_same_everywhere() {
        for row in [
            Row::PolicyExpired,
            Row::PolicyNotYetValid,
            Row::Integrity,
            Row::Revoked,
            Row::NoRule,
            Row::Rejected,
            Row::Holds,
            Row::Checks,
            Row::NotContentAddressed,
            Row::Incomplete,
        ] {
            assert_eq!(serde_json::to_value(row).unwrap(), row.as_str());
        }
    }
}
