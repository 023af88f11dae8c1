//! From a rule to its outcome: actions, audits, waivers, `anyOf`.

use std::collections::BTreeSet;

use crate::policy::{Action, Check, CheckKind, CheckOutcome, RuleOutcome};

use super::exceptions::Waivers;
use super::select::{Matched, Selected};
use super::{Context, image, signed};

/// What became of the rules that apply.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) rule: Option<RuleOutcome>,
    pub(super) baseline: Vec<RuleOutcome>,
    /// Some rule says `reject`; its reason.
    pub(super) rejected: Option<String>,
    /// Some rule would fail even if every signature counted.
    pub(super) image_denies: bool,
}

impl Judged {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let repository = context.request.reference.repository();
        let selected = Selected::of(context.document(), repository);
        let mut judged = Self::default();
        judged.rule = selected.rule.map(|matched| judged.judge(context, matched, Kind::Permits));
        for matched in selected.baseline {
            let outcome = judged.judge(context, matched, Kind::Baseline);
            judged.baseline.push(outcome);
        }
        judged
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &RuleOutcome> {
        self.rule.iter().chain(&self.baseline)
    }

    /// The rules that say `reject`, without the others.
    pub(super) fn only_rejecting(mut self) -> Self {
        // of `accept` and `reject`, which have a reason, only one holds
        let rejects = |rule: &RuleOutcome| !rule.held && rule.reason.is_some();
        self.rule = self.rule.filter(rejects);
        self.baseline.retain(rejects);
        self
    }

    /// What audit let through, as `rule/check`.
    pub(super) fn would_deny(&self) -> Vec<String> {
        let audited = self.outcomes().filter(|rule| rule.audit_until.is_some());
        let failed = |rule: &RuleOutcome| -> Vec<String> {
            rule.failed().map(|check| format!("{}/{check}", rule.id)).collect()
        };
        audited.flat_map(failed).collect()
    }

    /// Names of the exceptions that waived something, each once.
    pub(super) fn exceptions_used(&self) -> Vec<String> {
        let mut used = BTreeSet::new();
        for rule in self.outcomes() {
            collect_waivers(&rule.checks, &mut used);
        }
        used.into_iter().collect()
    }

    fn judge(
        &mut self,
        context: &Context<'_>,
        (rule, scope): Matched<'_>,
        kind: Kind,
    ) -> RuleOutcome {
        let mut outcome = RuleOutcome {
            id: rule.id.clone(),
            scope: scope.to_string(),
            held: false,
            reason: None,
            audit_until: None,
            checks: Vec::new(),
        };
        match &rule.action {
            Action::Accept { reason } => {
                outcome.held = true;
                outcome.reason = Some(reason.clone());
            }
            Action::Reject { reason } => {
                self.rejected.get_or_insert_with(|| format!("`{}`: {reason}", rule.id));
                outcome.reason = Some(reason.clone());
            }
            Action::Require { checks, audit_until } => {
                let waivers = Waivers::live(context, &rule.id);
                outcome.checks = Evaluation { context, waivers }.all(checks, kind);
                outcome.audit_until = audit_until.filter(|until| context.now < *until);
                let passed = hold(&outcome.checks);
                // an empty list is not audited either: it is no rule
                let audited = outcome.audit_until.is_some() && !checks.is_empty();
                outcome.held = passed || audited;
                self.image_denies |= !outcome.held && image_denies(checks, &outcome.checks);
            }
        }
        outcome
    }
}

/// Where a list of checks stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An entry of `rules`: it and each branch in it must keep a proof.
    Permits,
    /// An entry of `baseline`: it permits nothing, so it holds where its last
    /// check is waived.
    Baseline,
}

struct Evaluation<'c, 'a> {
    context: &'c Context<'a>,
    waivers: Waivers<'a>,
}

impl Evaluation<'_, '_> {
    fn all(&self, checks: &[Check], kind: Kind) -> Vec<CheckOutcome> {
        let unproven = kind == Kind::Permits && self.waivers.leave_unproven(checks);
        checks
            .iter()
            .map(|check| {
                let waived_by = self.waivers.of(&check.id);
                if waived_by.is_empty() {
                    self.one(check, kind)
                } else {
                    waived(check, waived_by, unproven)
                }
            })
            .collect()
    }

    fn one(&self, check: &Check, kind: Kind) -> CheckOutcome {
        let mut outcome = blank(check);
        match &check.kind {
            CheckKind::Signed(signed) => signed::evaluate(self.context, signed, &mut outcome),
            CheckKind::Image(image) => {
                outcome.findings = image::findings(self.context, image);
                outcome.held = outcome.findings.is_empty();
            }
            CheckKind::AnyOf(branches) => {
                outcome.branches = branches.iter().map(|branch| self.all(branch, kind)).collect();
                outcome.held = outcome.branches.iter().any(|branch| hold(branch));
            }
        }
        outcome
    }
}

/// All of the checks hold, and there is one: an empty list is refused at
/// load, and here again.
fn hold(checks: &[CheckOutcome]) -> bool {
    !checks.is_empty() && checks.iter().all(|check| check.held)
}

fn waived(check: &Check, waived_by: Vec<String>, unproven: bool) -> CheckOutcome {
    let mut outcome = blank(check);
    outcome.held = !unproven;
    if unproven {
        outcome.findings.push(format!(
            "waived by {}, which leaves nothing that proves where the image is from; \
             keep a `signed` check or say `acceptUnsigned: true`",
            waived_by.join(", ")
        ));
    }
    outcome.waived_by = waived_by;
    outcome
}

fn blank(check: &Check) -> CheckOutcome {
    CheckOutcome {
        id: check.id.clone(),
        held: false,
        waived_by: Vec::new(),
        need: check.kind.need(),
        counted: Vec::new(),
        ignored: Vec::new(),
        findings: Vec::new(),
        branches: Vec::new(),
    }
}

impl CheckKind {
    /// What the check asks for, in words.
    pub fn need(&self) -> String {
        match self {
            Self::Signed(signed) => signed::need(signed),
            Self::Image(image) => image::need(image),
            Self::AnyOf(branches) => format!("one of {} branches in full", branches.len()),
        }
    }
}

/// Whether the list fails whatever is signed: its image checks alone fail it.
fn image_denies(checks: &[Check], outcomes: &[CheckOutcome]) -> bool {
    checks.iter().zip(outcomes).any(|(check, outcome)| match &check.kind {
        CheckKind::Signed(_) => false,
        CheckKind::Image(_) => !outcome.held,
        CheckKind::AnyOf(branches) => {
            !outcome.held
                && branches
                    .iter()
                    .zip(&outcome.branches)
                    .all(|(checks, outcomes)| image_denies(checks, outcomes))
        }
    })
}

fn collect_waivers(checks: &[CheckOutcome], used: &mut BTreeSet<String>) {
    for check in checks {
        used.extend(check.waived_by.iter().cloned());
        check.branches.iter().for_each(|branch| collect_waivers(branch, used));
    }
}
