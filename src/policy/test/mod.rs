//! Tests of a policy: `x.test.json` beside `x.json`.
//!
//! A case declares a request, an image and facts, and says what the verdict
//! must be and why. Facts are declared, so that a test needs no registry and
//! no keys: the key of a signer is made up from its name.

mod drop;
pub(super) mod file;
mod shape;

use jiff::Timestamp;

use super::model::{Document, Policy, Resolved, SignerDecl};
use super::{CheckOutcome, Decision, Problem, Request, RuleOutcome, Simulated, simulate};
use crate::evidence::{Facts, KeyId, Signer};
use crate::image::{Digest, Shape};

pub use drop::drop_each_check;

/// The cases of one test file.
#[derive(Debug, Clone, PartialEq)]
pub struct TestFile {
    /// Never empty, names differ.
    pub cases: Vec<Case>,
}

/// One case: what is asked, what is declared, what must come out.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What is asked.
    pub request: Request,
    /// The image.
    pub shape: Shape,
    /// The signatures on it.
    pub facts: Vec<Facts>,
    /// When it is asked.
    pub now: Timestamp,
    /// What the answer must be.
    pub expect: Decision,
    /// What must be among the reasons: a row of the truth table, `rule`,
    /// `rule/check`, `audit:rule/check`, `exception:id`.
    pub because: Vec<String>,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// What the answer had to be.
    pub expect: Decision,
    /// What came out.
    pub verdict: Simulated,
    /// The reasons that the verdict has.
    pub reasons: Vec<String>,
    /// The reasons that the case asks for and the verdict does not have.
    pub missing: Vec<String>,
}

impl CaseResult {
    /// Whether answer and reasons are as the case says.
    pub fn passed(&self) -> bool {
        self.verdict.verdict().decision == self.expect && self.missing.is_empty()
    }
}

/// Links a document to made-up keys, one for each that it declares.
///
/// # Errors
/// As [`Policy::link`].
pub fn link_by_name(document: Document) -> Result<Policy, Vec<Problem>> {
    let names = document.signers.iter();
    let keys = |(name, signer): (&String, &SignerDecl)| {
        // a keyring of one key stands for whatever is in the real one
        let count = match signer {
            SignerDecl::Keys(keys) => keys.len(),
            SignerDecl::Pgp(_) => 1,
        };
        (name.clone(), (1..=count).map(|n| made_up_key(name, n)).collect())
    };
    let resolved = Resolved { signers: names.map(keys).collect() };
    Policy::link(document, resolved)
}

/// The key that stands for the `n`th key of a signer: the SHA-256 of
/// `NAME`, and of `NAME/2` and so on for the further ones.
fn made_up_key(name: &str, n: usize) -> KeyId {
    let text = if n == 1 { name.to_owned() } else { format!("{name}/{n}") };
    KeyId(Digest::sha256(text.as_bytes()))
}

/// A case names a signer; the policy says of what kind it is.
fn of_kind(policy: &Policy, facts: &Facts) -> Facts {
    let signers = policy.document().signers.iter();
    let mut pgp = signers.filter(|(_, declared)| matches!(declared, SignerDecl::Pgp(_)));
    let key = facts.signer.key().clone();
    if pgp.any(|(name, _)| policy.keys(name).iter().any(|linked| linked.id == key)) {
        let fingerprint = key.0.hex().to_owned();
        let signer = Signer::Pgp { primary: key.clone(), key, fingerprint };
        return Facts { signer, ..facts.clone() };
    }
    facts.clone()
}

/// Runs every case against a policy of [`link_by_name`].
pub fn run(policy: &Policy, file: &TestFile) -> Vec<CaseResult> {
    file.cases.iter().map(|case| run_one(policy, case)).collect()
}

fn run_one(policy: &Policy, case: &Case) -> CaseResult {
    let facts: Vec<_> = case.facts.iter().map(|facts| of_kind(policy, facts)).collect();
    let verdict = simulate(policy, &case.request, &case.shape, &facts, &[], case.now);
    let reasons = reasons(&verdict);
    let missing = case.because.iter().filter(|r| !reasons.contains(r)).cloned().collect();
    CaseResult { name: case.name.clone(), expect: case.expect, verdict, reasons, missing }
}

/// What led to a verdict. For an allow the checks that hold, for anything
/// else the ones that do not.
fn reasons(simulated: &Simulated) -> Vec<String> {
    let verdict = simulated.verdict();
    let mut reasons = vec![verdict.row.as_str().to_owned()];
    let held = verdict.decision == Decision::Allow;
    for rule in verdict.rule.iter().chain(&verdict.baseline) {
        if rule.held == held {
            reasons.push(rule.id.clone());
        }
        checks(rule, &rule.checks, held, &mut reasons);
    }
    reasons.extend(verdict.would_deny.iter().map(|check| format!("audit:{check}")));
    reasons.extend(verdict.exceptions_used.iter().map(|id| format!("exception:{id}")));
    reasons
}

fn checks(rule: &RuleOutcome, outcomes: &[CheckOutcome], held: bool, reasons: &mut Vec<String>) {
    for check in outcomes {
        if check.held == held && (check.waived_by.is_empty() || !held) {
            reasons.push(format!("{}/{}", rule.id, check.id));
        }
        for branch in &check.branches {
            checks(rule, branch, held, reasons);
        }
    }
}
