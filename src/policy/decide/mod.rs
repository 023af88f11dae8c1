//! The decision: policy, request, image and evidence in, verdict out.
//!
//! Pure and total: no clock, no network, no `Result`. Everything here obeys
//! the page on the policy language, "The truth table" and "Meaning".
//!
//! ```text
//! select ─► rules ─► signed ─► names, matching ─┐
//!             │   └► image ─► platforms         ├─► table ─► Verdict
//! tree ───────┴─► exceptions                    ┘
//! ```

mod canonical;
mod exceptions;
mod image;
mod matching;
mod names;
mod platforms;
mod rules;
mod select;
mod signed;
mod table;
mod tree;

use jiff::Timestamp;

use super::{Admitted, Decision, Document, Policy, Request, Row, RuleOutcome, Simulated, Verdict};
use crate::evidence::{Evidence, Facts, Rejection};
use crate::image::{Depth, ImageTree, Shape};

pub use select::{Matched, Selected, required_depth, wanted_subjects};
use table::Case;
use tree::Tree;

/// The verdict on an image whose digests were recomputed and signatures that
/// were verified.
///
/// Total: every input has an answer. `rejections` are shown and decide
/// nothing; `now` is the only clock.
pub fn decide(
    policy: &Policy,
    request: &Request,
    tree: &ImageTree,
    evidence: &[Evidence],
    rejections: &[Rejection],
    now: Timestamp,
) -> Verdict {
    let facts = evidence.iter().map(Evidence::facts).collect();
    let mut verdict = judge(policy, request, tree.shape(), facts, rejections, now);
    verdict.admitted = match verdict.decision {
        Decision::Allow => Some(Admitted::new(request)),
        Decision::Deny | Decision::Undecided => None,
    };
    verdict
}

/// What the verdict would be on declared facts: for tests of a policy and
/// for replay. It can never become an `Admitted`.
pub fn simulate(
    policy: &Policy,
    request: &Request,
    shape: &Shape,
    facts: &[Facts],
    rejections: &[Rejection],
    now: Timestamp,
) -> Simulated {
    Simulated(judge(policy, request, shape, facts.iter().collect(), rejections, now))
}

/// All that a rule is judged by.
struct Context<'a> {
    policy: &'a Policy,
    request: &'a Request,
    tree: Tree<'a>,
    /// In canonical order, each once.
    facts: Vec<&'a Facts>,
    /// The greater of what the policy asks and what the caller asks.
    depth: Depth,
    now: Timestamp,
}

impl<'a> Context<'a> {
    fn document(&self) -> &'a Document {
        self.policy.document()
    }
}

fn judge(
    policy: &Policy,
    request: &Request,
    shape: &Shape,
    facts: Vec<&Facts>,
    rejections: &[Rejection],
    now: Timestamp,
) -> Verdict {
    let facts = canonical::facts(facts);
    let asked = required_depth(policy, request.reference.repository());
    let context = Context {
        policy,
        request,
        tree: Tree::new(shape),
        facts,
        depth: asked.map_or(request.depth, |depth| depth.max(request.depth)),
        now,
    };
    let judged = rules::Judged::of(&context);
    let case = Case::of(&context, &judged);
    verdict(&context, case, judged, rejections)
}

fn verdict(
    context: &Context<'_>,
    case: Case,
    judged: rules::Judged,
    rejections: &[Rejection],
) -> Verdict {
    let document = context.document();
    let row = table::row(&case);
    let judged = told(row, judged);
    Verdict {
        version: super::VERDICT_VERSION,
        decision: table::decision(row),
        row,
        summary: table::summary(row, context, &case, &judged),
        findings: table::findings(row, context, case),
        reference: context.request.reference.clone(),
        digest: context.request.digest.clone(),
        depth: context.tree.shape.depth,
        would_deny: judged.would_deny(),
        exceptions_used: judged.exceptions_used(),
        rule: judged.rule,
        baseline: judged.baseline,
        rejections: canonical::rejections(rejections),
        policy_digest: document.digest.clone(),
        policy_name: document.name.clone(),
        serial: document.serial,
        now: context.now,
        evidence_digest: canonical::digest(&context.facts),
        admitted: None,
    }
}

/// What the verdict tells of the rules. Rows 0 to 4 are answered without
/// evidence, so the checks have nothing to say there.
fn told(row: Row, judged: rules::Judged) -> rules::Judged {
    match row {
        Row::PolicyExpired
        | Row::PolicyNotYetValid
        | Row::Integrity
        | Row::Revoked
        | Row::NoRule => rules::Judged::default(),
        Row::Rejected => judged.only_rejecting(),
        Row::Holds | Row::Checks | Row::Incomplete => judged,
    }
}

impl RuleOutcome {
    /// Names of the checks that do not hold.
    fn failed(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().filter(|check| !check.held).map(|check| check.id.as_str())
    }
}
