//! The truth table: the first row that applies decides.

use jiff::{SignedDuration, Timestamp};

use crate::image::{Node, NodeState};
use crate::policy::{Decision, Revoked, Row};

use super::Context;
use super::rules::Judged;
use super::tree::Gap;

/// Clocks differ; a policy is accepted this long before its `issued`.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The case, as far as the table asks.
pub(super) struct Case {
    validity: Validity,
    tree: TreeState,
    revoked: Vec<String>,
    rules: Rules,
    addressed: Addressed,
    gathered: Gathered,
    /// What is wrong or missing in the tree.
    findings: Vec<String>,
}

/// The policy in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Current,
    Expired(Timestamp),
    NotYet(Timestamp),
}

/// The tree, down to the effective depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeState {
    /// All of it recomputed and right.
    Sound,
    /// A digest or size is wrong.
    Wrong,
    /// Some of it could not be recomputed.
    Cut,
    /// Only layers that live elsewhere could not be recomputed.
    External,
}

/// The rules that apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    NoneMatches,
    OneRejects,
    AllHold,
    /// Something fails, and the image alone is why.
    ImageDenies,
    /// Something fails that other evidence might have met.
    SomeFail,
}

/// Whether something holds the image together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressed {
    /// Digests do, or a signature over the whole file by somebody whom the
    /// policy names.
    Held,
    /// Nothing does: its format has no digests.
    Loose,
}

/// The evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathered {
    Whole,
    CutShort,
}

/// The row that answers.
pub(super) fn row(case: &Case) -> Row {
    let revoked = !case.revoked.is_empty();
    match (case.validity, case.tree, revoked, case.rules, case.gathered) {
        // Row 0: nothing is judged by a policy out of its time
        (Validity::Expired(_), ..) => Row::PolicyExpired,
        (Validity::NotYet(_), ..) => Row::PolicyNotYetValid,
        // Row 1: wrong bytes are denied whatever any rule says
        (Validity::Current, TreeState::Wrong, ..) => Row::Integrity,
        // Row 2: and so is what was revoked
        (Validity::Current, _, true, ..) => Row::Revoked,
        // Row 3: what no rule speaks of is denied
        (_, _, false, Rules::NoneMatches, _) => Row::NoRule,
        // Row 4: a written no
        (_, _, false, Rules::OneRejects, _) => Row::Rejected,
        // No row: nothing can be claimed of what was not recomputed
        (_, TreeState::Cut, false, Rules::AllHold | Rules::ImageDenies | Rules::SomeFail, _) => {
            Row::Incomplete
        }
        // ... unless only layers are elsewhere and the image is denied for it
        (_, TreeState::External, false, Rules::ImageDenies, Gathered::Whole) => Row::Checks,
        (_, TreeState::External, false, Rules::ImageDenies, Gathered::CutShort) => Row::Incomplete,
        (_, TreeState::External, false, Rules::AllHold | Rules::SomeFail, _) => Row::Incomplete,
        // Row 5: everything that must hold does, with the evidence in hand
        (Validity::Current, TreeState::Sound, false, Rules::AllHold, _)
            if case.addressed == Addressed::Held =>
        {
            Row::Holds
        }
        // No row: what was not fetched might have made it hold
        (_, TreeState::Sound, false, _, Gathered::CutShort) => Row::Incomplete,
        // Row 6: all was seen, and something does not hold
        (_, TreeState::Sound, false, Rules::ImageDenies | Rules::SomeFail, Gathered::Whole) => {
            Row::Checks
        }
        // Row 7: the rules hold, and nothing says which bytes they hold for
        (Validity::Current, TreeState::Sound, false, Rules::AllHold, Gathered::Whole) => {
            Row::NotContentAddressed
        }
    }
}

/// The answer of each row. One row alone allows.
pub(super) fn decision(row: Row) -> Decision {
    match row {
        Row::Holds => Decision::Allow,
        Row::Incomplete => Decision::Undecided,
        Row::PolicyExpired
        | Row::PolicyNotYetValid
        | Row::Integrity
        | Row::Revoked
        | Row::NoRule
        | Row::Rejected
        | Row::Checks
        | Row::NotContentAddressed => Decision::Deny,
    }
}

impl Case {
    pub(super) fn of(context: &Context<'_>, judged: &Judged) -> Self {
        let faults = context.tree.faults(context.request);
        let gaps = context.tree.gaps(context.depth);
        Self {
            validity: Validity::of(context),
            tree: TreeState::of(&faults, &gaps),
            revoked: revoked(context),
            rules: Rules::of(judged),
            addressed: Addressed::of(context),
            gathered: match context.request.incomplete.is_empty() {
                true => Gathered::Whole,
                false => Gathered::CutShort,
            },
            findings: if faults.is_empty() {
                gaps.into_iter().map(|gap| gap.text).collect()
            } else {
                faults
            },
        }
    }
}

impl Validity {
    fn of(context: &Context<'_>) -> Self {
        let document = context.document();
        match (document.expires, document.issued) {
            (Some(expires), _) if context.now >= expires => Self::Expired(expires),
            (_, Some(issued)) if context.now < opens(issued) => Self::NotYet(issued),
            (None | Some(_), None | Some(_)) => Self::Current,
        }
    }
}

/// The first instant at which a policy issued then is taken.
pub(super) fn opens(issued: Timestamp) -> Timestamp {
    // an overflow can only be at the ends of time, where the plain instant is
    // the stricter one
    issued.checked_sub(SKEW).unwrap_or(issued)
}

impl TreeState {
    fn of(faults: &[String], gaps: &[Gap]) -> Self {
        match (faults.is_empty(), gaps.is_empty()) {
            (false, _) => Self::Wrong,
            (true, true) => Self::Sound,
            (true, false) if gaps.iter().all(|gap| gap.external) => Self::External,
            (true, false) => Self::Cut,
        }
    }
}

impl Rules {
    fn of(judged: &Judged) -> Self {
        let all_hold = judged.outcomes().all(|rule| rule.held);
        match (&judged.rule, &judged.rejected) {
            (None, _) => Self::NoneMatches,
            (Some(_), Some(_)) => Self::OneRejects,
            (Some(_), None) if all_hold => Self::AllHold,
            (Some(_), None) if judged.image_denies => Self::ImageDenies,
            (Some(_), None) => Self::SomeFail,
        }
    }
}

impl Addressed {
    /// Neither an `accept` nor an audit nor an exception can say what nobody
    /// knows: which bytes the image is. A signature over the file does. It
    /// need not be one that a check counts: adding a check could allow then
    /// what was denied before.
    fn of(context: &Context<'_>) -> Self {
        let loose = |node: &Node| matches!(node.state, NodeState::NotContentAddressed(_));
        match context.tree.shape.nodes.iter().any(loose) && !context.is_signed() {
            true => Self::Loose,
            false => Self::Held,
        }
    }
}

/// The nodes that are revoked, with the reason. Digests are compared as
/// stated by the parent: row 1 has denied where that is not the content.
fn revoked(context: &Context<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for revocation in &context.document().revoked {
        let Revoked::Digest(digest) = &revocation.what else { continue };
        let text = digest.to_string();
        let in_tree = context.tree.shape.nodes.iter().any(|node| node.digest == text);
        if in_tree || *digest == context.request.digest {
            found.push(format!("{digest} is revoked: {}", revocation.reason));
        }
    }
    found.sort();
    found
}

/// One sentence for people.
pub(super) fn summary(row: Row, context: &Context<'_>, case: &Case, judged: &Judged) -> String {
    let document = context.document();
    let repository = context.request.reference.repository();
    match row {
        Row::PolicyExpired | Row::PolicyNotYetValid => validity_sentence(case, &document.name),
        Row::Integrity => "the image is not what its digests say".to_owned(),
        Row::Revoked => "the image holds something that the policy revokes".to_owned(),
        Row::NoRule => format!("no rule of `{}` matches {repository}; add one", document.name),
        Row::Rejected => {
            format!("rejected by rule {}", judged.rejected.as_deref().unwrap_or_default())
        }
        Row::Holds => holds_sentence(judged),
        Row::Incomplete => "the image or its signatures could not be read as far as the policy \
                            asks, and what was read does not allow it"
            .to_owned(),
        Row::NotContentAddressed => LOOSE.to_owned(),
        Row::Checks => {
            let failed = format!("these checks do not hold: {}", failed(judged).join(", "));
            match case.addressed {
                Addressed::Held => failed,
                Addressed::Loose => format!("{failed}; {LOOSE}"),
            }
        }
    }
}

/// Why an image without digests is none that may run.
const LOOSE: &str = "the image is not content-addressed: its format has no digests, and nobody \
                     whom the policy names has signed the file; sign it, or convert it with \
                     `ocisign convert` and sign the result";

fn validity_sentence(case: &Case, name: &str) -> String {
    match case.validity {
        Validity::Expired(at) => {
            format!("the policy `{name}` expired at {at}; get its next edition")
        }
        Validity::NotYet(at) => {
            format!("the policy `{name}` is not valid before {at}; check the clock")
        }
        Validity::Current => String::new(),
    }
}

fn holds_sentence(judged: &Judged) -> String {
    let Some(rule) = &judged.rule else { return String::new() };
    let mut text = match &rule.reason {
        Some(reason) => format!("rule `{}` accepts it without signatures: {reason}", rule.id),
        None => format!("rule `{}` holds", rule.id),
    };
    if !judged.baseline.is_empty() {
        text.push_str(" and so does the baseline");
    }
    let audited = judged.would_deny();
    if !audited.is_empty() {
        text.push_str(&format!("; audit let through {}", audited.join(", ")));
    }
    text
}

fn failed(judged: &Judged) -> Vec<String> {
    let blocking = judged.outcomes().filter(|rule| !rule.held);
    let mut failed = Vec::new();
    for rule in blocking {
        failed.extend(rule.failed().map(|check| format!("{}/{check}", rule.id)));
    }
    failed
}

/// What the row rests on where no check does.
pub(super) fn findings(row: Row, context: &Context<'_>, case: Case) -> Vec<String> {
    match row {
        Row::Integrity => case.findings,
        Row::Revoked => case.revoked,
        Row::Incomplete => {
            let cut = context.request.incomplete.iter().cloned();
            case.findings.into_iter().chain(cut).collect()
        }
        Row::PolicyExpired
        | Row::PolicyNotYetValid
        | Row::NoRule
        | Row::Rejected
        | Row::Holds
        | Row::Checks
        | Row::NotContentAddressed => Vec::new(),
    }
}
