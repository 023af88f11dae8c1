//! The images of one review, each judged once, several at a time.

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use super::App;
use crate::gate::{Answer, Keyring, Origin, Question, Undecided};
use crate::image::Reference;
use crate::policy::Decision;
use crate::webhook::metrics::VerdictLabels;

/// What became of one image.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) outcome: Result<Answer, Undecided>,
    pub(super) took: std::time::Duration,
}

impl App {
    /// Judges every reference, in their order. What is not decided by
    /// `deadline` is undecided; the others keep their verdicts.
    pub(super) async fn judge(
        &self,
        references: Vec<Reference>,
        keyring: Option<&Keyring>,
        deadline: Instant,
    ) -> Vec<Judged> {
        let one = |reference: Reference| async move {
            let began = Instant::now();
            let patience = deadline.saturating_duration_since(began);
            let keyring = keyring.cloned();
            let question = Question { reference, depth: self.settings.depth, keyring, patience };
            // the gate keeps to the patience; this holds it to it
            let outcome = timeout_at(deadline, self.gate.judge(&question)).await;
            let outcome = outcome.unwrap_or(Err(Undecided::Deadline(patience)));
            self.metrics.verdicts.get_or_create(&labels(&outcome)).inc();
            Judged { outcome, took: began.elapsed() }
        };
        let at_once = self.limits.review_parallel.max(1);
        stream::iter(references).map(one).buffered(at_once).collect().await
    }
}

fn labels(outcome: &Result<Answer, Undecided>) -> VerdictLabels {
    let (decision, row, origin) = words(outcome);
    VerdictLabels { decision, row, origin }
}

/// Decision, row and origin, as metrics and log say them.
pub(super) fn words(
    outcome: &Result<Answer, Undecided>,
) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Ok(answer) => {
            let verdict = answer.verdict();
            let decision = match verdict.decision {
                Decision::Allow => "allow",
                Decision::Deny => "deny",
                Decision::Undecided => "undecided",
            };
            let origin = match answer.origin() {
                Origin::Verified => "verified",
                Origin::Joined => "joined",
                Origin::Remembered => "remembered",
            };
            (decision, verdict.row.as_str(), origin)
        }
        Err(Undecided::Deadline(_)) => ("undecided", "deadline", "none"),
        Err(Undecided::Busy(_)) => ("undecided", "busy", "none"),
        Err(Undecided::Lost) => ("undecided", "lost", "none"),
        Err(Undecided::Failed(_)) => ("undecided", "failed", "none"),
    }
}
