//! What the decision log says of a review.

use std::time::Duration;

use super::App;
use super::admit::Endpoint;
use super::judge::{Judged, words};
use crate::image::Depth;
use crate::policy::{RuleOutcome, Verdict};
use crate::report::escaped;
use crate::webhook::log::{ImageLine, Line};
use crate::webhook::review::{Inquiry, Outcome, Plan, Response, Review};

impl App {
    /// A line for each image, and for each text that names none.
    pub(super) fn log_images(
        &self,
        endpoint: Endpoint,
        review: &Review,
        plan: &Plan,
        judged: &[Judged],
        response: &Response,
    ) {
        if !self.log.wants_some() {
            return;
        }
        let head = Head::of(endpoint, review, response);
        for (Inquiry { reference, .. }, judged) in plan.inquiries().iter().zip(judged) {
            let (decision, row, origin) = words(&judged.outcome);
            let verdict = judged.outcome.as_ref().ok().map(|answer| answer.verdict());
            let remarkable = decision != "allow"
                || verdict.is_some_and(|verdict| !verdict.would_deny.is_empty());
            if !self.log.wants(remarkable) {
                continue;
            }
            let image = reference.to_string();
            let digest = verdict.map(|verdict| verdict.digest.to_string());
            let policy_digest = verdict.map(|verdict| verdict.policy_digest.to_string());
            let reason = match &judged.outcome {
                Ok(answer) => escaped(&answer.verdict().summary),
                Err(why) => escaped(&why.to_string()),
            };
            let line = ImageLine {
                image: &image,
                digest: digest.as_deref(),
                decision,
                row,
                rule: verdict.and_then(|v| v.rule.as_ref()).map(|rule| rule.id.as_str()),
                failed: verdict.map(failed).unwrap_or_default(),
                would_deny: verdict.map(|v| v.would_deny.as_slice()).unwrap_or_default(),
                reason: &reason,
                origin,
                depth: verdict.map(|verdict| depth(verdict.depth)),
                policy: verdict.map(|verdict| verdict.policy_name.as_str()),
                policy_digest: policy_digest.as_deref(),
            };
            self.log.decision(&head.line(Some(line), "", judged.took));
        }
        for unnamed in plan.uses.iter().filter(|found| found.reference.is_err()) {
            let why = unnamed.reference.as_ref().err().map(|why| escaped(why)).unwrap_or_default();
            let image = ImageLine { reason: &why, ..ImageLine::unnamed() };
            let text = escaped(&unnamed.text);
            self.log.decision(&head.line(
                Some(ImageLine { image: &text, ..image }),
                "",
                Duration::ZERO,
            ));
        }
    }

    /// One line for a review that came to no image.
    pub(super) fn log_review(
        &self,
        endpoint: Endpoint,
        review: &Review,
        response: &Response,
        took: Duration,
    ) {
        if self.log.wants(response.outcome() != Outcome::Allowed) {
            let message = response.message().map(escaped).unwrap_or_default();
            self.log.decision(&Head::of(endpoint, review, response).line(None, &message, took));
        }
    }

    /// One line for a review of which the uid is all that was read.
    pub(super) fn log_refusal(
        &self,
        endpoint: Endpoint,
        uid: &str,
        response: &Response,
        took: Duration,
    ) {
        let head = Head { endpoint: endpoint.as_str(), uid: escaped(uid), ..Head::default() };
        let message = response.message().map(escaped).unwrap_or_default();
        if self.log.wants(true) {
            self.log.decision(&head.line(None, &message, took));
        }
    }
}

/// What every line of one review says.
#[derive(Default)]
struct Head {
    endpoint: &'static str,
    uid: String,
    operation: &'static str,
    kind: String,
    namespace: String,
    name: String,
    user: String,
    allowed: bool,
}

impl Head {
    fn of(endpoint: Endpoint, review: &Review, response: &Response) -> Self {
        Self {
            endpoint: endpoint.as_str(),
            uid: escaped(&review.uid),
            operation: review.operation.as_str(),
            kind: escaped(&review.kind.kind),
            namespace: escaped(&review.namespace),
            name: escaped(&review.name),
            user: escaped(&review.user),
            allowed: response.outcome().lets_through(),
        }
    }

    fn line<'a>(
        &'a self,
        image: Option<ImageLine<'a>>,
        message: &'a str,
        took: Duration,
    ) -> Line<'a> {
        Line {
            endpoint: self.endpoint,
            uid: &self.uid,
            operation: self.operation,
            kind: &self.kind,
            namespace: &self.namespace,
            name: &self.name,
            user: &self.user,
            allowed: self.allowed,
            image,
            message,
            took_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
        }
    }
}

/// The checks that failed, as `rule/check`.
fn failed(verdict: &Verdict) -> Vec<String> {
    let of = |rule: &RuleOutcome| {
        let checks = rule.checks.iter().filter(|check| !check.held);
        checks.map(|check| format!("{}/{}", rule.id, check.id)).collect::<Vec<_>>()
    };
    verdict.rule.iter().chain(&verdict.baseline).flat_map(of).collect()
}

fn depth(depth: Depth) -> &'static str {
    match depth {
        Depth::Manifests => "manifests",
        Depth::Layers => "layers",
        Depth::Contents => "contents",
    }
}
