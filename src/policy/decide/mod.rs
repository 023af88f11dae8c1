//! The decision: policy, request, image and evidence in, verdict out.
//!
//! Pure and total: no clock, no network, no `Result`. Everything here obeys
//! the page on the policy language, "The truth table" and "Meaning".
//!
//! ```text
//! select ─► rules ─► signed ─► counts, names, matching ─┐
//!             │   └► image ─► platforms                 ├─► table ─► Verdict
//! tree ───────┴─► exceptions                            ┘
//! ```

mod breakpoints;
mod canonical;
mod counts;
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

pub(super) use names::mirror;
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
        until: breakpoints::next(context),
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
        Row::Holds | Row::Checks | Row::NotContentAddressed | Row::Incomplete => judged,
    }
}

impl RuleOutcome {
    /// Names of the checks that do not hold.
    fn failed(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().filter(|check| !check.held).map(|check| check.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Root, TreeBuilder, media_type};
    use crate::limits::Limits;
    use crate::policy::{Resolved, parse};

    const INDEX: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

    /// An allow needs no signature here, so that what is tested is the way
    /// from recomputed bytes to an `Admitted`.
    fn accepting() -> Policy {
        let text = br#"{"ocisign": "policy/1", "name": "open",
            "rules": [{"id": "all", "scope": ["**"], "accept": {"reason": "a test"}}]}"#;
        let document = parse(text, &Limits::default()).unwrap();
        Policy::link(document, Resolved::default()).unwrap()
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        let digest = Digest::sha256(INDEX);
        let root = Root {
            bytes: bytes.to_vec(),
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            digest: Some(digest.clone()),
            size: None,
        };
        let tree = TreeBuilder::new(root, Depth::Layers, &Limits::default()).finish();
        let request = Request {
            reference: "r.example/app:v1".parse().unwrap(),
            digest,
            depth: Depth::Layers,
            incomplete: Vec::new(),
        };
        decide(&accepting(), &request, &tree, &[], &[], Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_allow_on_recomputed_bytes_admits_the_digest_and_no_tag() {
        let admitted = verdict(INDEX).admit().unwrap();
        let digest = Digest::sha256(INDEX);
        assert_eq!(*admitted.digest(), digest);
        assert_eq!(admitted.reference().to_string(), format!("r.example/app@{digest}"));
    }

    /// P10, on bytes: every single flipped bit of the root is a denial.
    #[test]
    fn p10_no_flipped_bit_is_admitted() {
        for at in 0..INDEX.len() {
            let mut bytes = INDEX.to_vec();
            bytes[at] ^= 1;
            let verdict = verdict(&bytes);
            assert_eq!((verdict.decision, verdict.row), (Decision::Deny, Row::Integrity));
            assert!(verdict.admit().is_err());
        }
    }

    #[test]
    fn a_changed_decision_admits_nothing() {
        let mut verdict = verdict(b"{}");
        verdict.decision = Decision::Allow;
        assert!(verdict.admit().is_err());
    }
}
