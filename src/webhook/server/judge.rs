//! The images of one review, each judged once, several at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::App;
use crate::engine;
use crate::gate::{Answer, Keyring, Origin, Question, Undecided};
use crate::policy::Decision;
use crate::webhook::PodAccess;
use crate::webhook::metrics::VerdictLabels;
use crate::webhook::review::Inquiry;

/// What became of one question.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) outcome: Result<Answer, Undecided>,
    pub(super) took: Duration,
}

/// Credentials by who has them, or why they cannot be had.
type Keyrings<'a> = BTreeMap<&'a PodAccess, Result<Option<Keyring>, Undecided>>;

impl App {
    /// Judges what is asked, in its order. What is not decided by `deadline`
    /// is undecided; the others keep their verdicts.
    pub(super) async fn judge(
        &self,
        namespace: &str,
        inquiries: &[Inquiry<'_>],
        deadline: Instant,
    ) -> Vec<Judged> {
        // one policy for the whole review, whatever replaces it meanwhile
        let engine = &self.gate.engine();
        let keyrings = &self.keyrings(namespace, inquiries, deadline).await;
        let one = |inquiry: &Inquiry<'_>| {
            let keyring = keyrings.get(inquiry.access).cloned().unwrap_or(Ok(None));
            let reference = inquiry.reference.clone();
            async move {
                let began = Instant::now();
                let patience = deadline.saturating_duration_since(began);
                let depth = self.settings.depth;
                let outcome = match keyring {
                    Err(why) => Err(why),
                    Ok(keyring) => {
                        let question = Question { reference, depth, keyring, patience };
                        // the gate keeps to the patience; this holds it to it
                        let asked =
                            timeout_at(deadline, self.gate.judge_by(engine, &question)).await;
                        asked.unwrap_or(Err(Undecided::Deadline(patience)))
                    }
                };
                self.metrics.verdicts.get_or_create(&labels(&outcome)).inc();
                Judged { outcome, took: began.elapsed() }
            }
        };
        let at_once = self.limits.review_parallel.max(1);
        stream::iter(inquiries.iter().map(one)).buffered(at_once).collect().await
    }

    /// The credentials of each pod spec, which is one but in custom resources.
    async fn keyrings<'a>(
        &self,
        namespace: &str,
        inquiries: &[Inquiry<'a>],
        deadline: Instant,
    ) -> Keyrings<'a> {
        let mut keyrings = Keyrings::new();
        let Some(keychain) = &self.keychain else { return keyrings };
        for Inquiry { access, .. } in inquiries {
            if keyrings.contains_key(access) {
                continue;
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            let found = timeout_at(deadline, keychain.keyring(namespace, access)).await;
            let found = match found {
                Ok(found) => {
                    found.map_err(|e| Undecided::Failed(Arc::new(engine::Error::Store(e))))
                }
                Err(_) => Err(Undecided::Deadline(patience)),
            };
            keyrings.insert(access, found);
        }
        keyrings
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
        Err(Undecided::Failed(_)) => ("undecided", "failed", "none"),
        Err(Undecided::Busy(_)) => ("undecided", "busy", "none"),
        Err(Undecided::Lost) => ("undecided", "lost", "none"),
    }
}
