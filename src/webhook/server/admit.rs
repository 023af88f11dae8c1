//! One request to `/validate` or `/mutate`, from its head to its answer.
//!
//! Whatever happens behind the first parse, the answer is a review with the
//! request's uid: a denial that says why tells people more than a failed call
//! of a webhook.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use super::serve::Peer;
use super::{App, body};
use crate::webhook::deadline;
use crate::webhook::metrics::RequestLabels;

/// Which of the two webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Denies what the policy does not allow.
    Validate,
    /// Puts the digest that was verified into each image as well.
    Mutate,
}

impl Endpoint {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// A request that no review answers: there is no uid to answer with.
struct Refused {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

pub(super) async fn validate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    app.admit(Endpoint::Validate, peer, request).await
}

pub(super) async fn mutate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    app.admit(Endpoint::Mutate, peer, request).await
}

impl App {
    async fn admit(&self, endpoint: Endpoint, peer: Peer, request: Request) -> Response {
        let began = Instant::now();
        match self.answer(endpoint, peer, request, began).await {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(Refused { status, reason, message }) => {
                self.metrics.refuse(reason);
                (status, format!("{message}\n")).into_response()
            }
        }
    }

    async fn answer(
        &self,
        endpoint: Endpoint,
        peer: Peer,
        request: Request,
        began: Instant,
    ) -> Result<Vec<u8>, Refused> {
        let (head, body) = request.into_parts();
        self.may_ask(peer)?;
        let deadline = began + self.patience(head.uri.query())?;
        let arrived = deadline.min(began + self.limits.body_timeout);
        let held = self.budget.read(&head.headers, body, arrived).await?;
        Err(Refused { status: StatusCode::BAD_REQUEST, reason: "malformed", message: "x".into() })
    }

    /// Where the CA of clients is named, only its clients get reviews.
    fn may_ask(&self, peer: Peer) -> Result<(), Refused> {
        match (&self.settings.tls.client_ca, peer) {
            (None, _) | (Some(_), Peer::Known) => Ok(()),
            (Some(_), Peer::Anyone) => Err(Refused {
                status: StatusCode::FORBIDDEN,
                reason: "stranger",
                message: "reviews are answered to clients with a certificate of the named CA"
                    .to_owned(),
            }),
        }
    }

    fn patience(&self, query: Option<&str>) -> Result<Duration, Refused> {
        let asked = deadline::asked(query).map_err(|message| Refused {
            status: StatusCode::BAD_REQUEST,
            reason: "malformed",
            message,
        })?;
        let patience = asked.unwrap_or(self.settings.timeout);
        Ok(deadline::usable(patience, self.limits.review_timeout))
    }
}

impl From<body::Refusal> for Refused {
    fn from(refusal: body::Refusal) -> Self {
        let (status, reason, message) = refusal.told();
        Self { status, reason, message: message.to_owned() }
    }
}

#[derive(Default, Debug)]
pub(super) struct Table;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    Audit,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    Optional,
    Required,
}
#[derive(Debug)]
pub(super) struct TableFile {
    pub(super) path: std::path::PathBuf,
    pub(super) limits: crate::Limits,
}
impl crate::webhook::reload::Source for TableFile {
    type Value = Table;
    fn fingerprint(&self) -> crate::webhook::reload::Fingerprint {
        crate::webhook::reload::Fingerprint::of([self.path.as_path()], self.limits.policy_bytes)
    }
    fn load(&self) -> Result<Table, crate::webhook::Error> {
        Ok(Table)
    }
}
