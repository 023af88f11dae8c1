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
use axum::response::{IntoResponse as _, Response as HttpResponse};
use futures_util::FutureExt as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, timeout_at};

use super::body::{Held, LARGE};
use super::serve::Peer;
use super::{App, body};
use crate::webhook::deadline;
use crate::webhook::metrics::RequestLabels;
use crate::webhook::review::{
    BadReview, Plan, Refusal, Response, Review, mutate, refuse, validate,
};

/// How much longer than its deadline a review may take at most.
const GRACE: Duration = Duration::from_millis(100);

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

pub(super) async fn post_validate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> HttpResponse {
    app.admit(Endpoint::Validate, peer, request).await
}

pub(super) async fn post_mutate(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> HttpResponse {
    app.admit(Endpoint::Mutate, peer, request).await
}

impl App {
    async fn admit(&self, endpoint: Endpoint, peer: Peer, request: Request) -> HttpResponse {
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
        let held = self.budget.read(&head.headers, body, deadline).await?;
        let _under_way = UnderWay::new(&self.metrics.in_flight);
        let (operation, response) = match self.read(held, deadline).await? {
            Ok((review, plan)) => {
                let response = self.respond(endpoint, &review, plan, began, deadline).await;
                (review.operation.as_str(), response)
            }
            Err(BadReview { uid: Some(uid), reason }) => {
                let response = refuse(&uid, &Refusal::Unreadable(reason), &self.settings.options);
                self.log_refusal(endpoint, &uid, &response, began.elapsed());
                ("unknown", response)
            }
            Err(BadReview { uid: None, reason }) => return Err(Refused::malformed(reason)),
        };
        let decision = response.outcome().as_str();
        let labels = RequestLabels { endpoint: endpoint.as_str(), operation, decision };
        self.metrics.answered(&labels, began.elapsed());
        Ok(response.into_body())
    }

    /// The review and its images. The object itself, by far the largest part,
    /// is gone when this returns.
    async fn read(
        &self,
        held: Held,
        deadline: Instant,
    ) -> Result<Result<(Review, Result<Plan, Refusal>), BadReview>, Refused> {
        // decoded, a byte can become a hundred: large ones one after another
        let _alone = match held.bytes.len() > LARGE {
            true => Some(timeout_at(deadline, self.large.acquire()).await),
            false => None,
        };
        if matches!(_alone, Some(Err(_))) {
            return Err(body::Refusal::Busy.into());
        }
        let read = caught(|| Review::parse(&held.bytes, &self.limits));
        let mut review = match read.map_err(|_| self.defect())? {
            Ok(review) => review,
            Err(bad) => return Ok(Err(bad)),
        };
        let plan = match caught(|| review.plan(&self.table())) {
            Ok(plan) => plan.map_err(Refusal::from),
            Err(_) => Err(self.defective()),
        };
        (review.object, review.old_object) = (None, None);
        Ok(Ok((review, plan)))
    }

    /// The answer to a review that was read: always one with its uid.
    async fn respond(
        &self,
        endpoint: Endpoint,
        review: &Review,
        plan: Result<Plan, Refusal>,
        began: Instant,
        deadline: Instant,
    ) -> Response {
        let decided = AssertUnwindSafe(async {
            self.decide(endpoint, review, &plan?, began, deadline).await
        });
        // everything below keeps to the deadline by itself; this holds it to it
        let refusal = match timeout_at(deadline + GRACE, decided.catch_unwind()).await {
            Ok(Ok(Ok(response))) => return response,
            Ok(Ok(Err(refusal))) => refusal,
            Ok(Err(_)) => self.defective(),
            Err(_) => Refusal::Undecided("not decided in time; try again".to_owned()),
        };
        let response = refuse(&review.uid, &refusal, &self.settings.options);
        self.log_review(endpoint, review, &response, began.elapsed());
        response
    }

    async fn decide(
        &self,
        endpoint: Endpoint,
        review: &Review,
        plan: &Plan,
        began: Instant,
        deadline: Instant,
    ) -> Result<Response, Refusal> {
        let inquiries = plan.inquiries();
        let judged = match inquiries.is_empty() {
            true => Vec::new(),
            false => {
                let turn = timeout_at(deadline, self.reviews.acquire()).await;
                let Ok(Ok(_turn)) = turn else { return Err(crowded()) };
                self.judge(&review.namespace, &inquiries, deadline).await
            }
        };
        let outcomes = judged.iter().map(|one| one.outcome.clone()).collect();
        let told = plan.judged(outcomes);
        let options = &self.settings.options;
        let response = match endpoint {
            Endpoint::Validate => validate(review, plan, &told, options),
            Endpoint::Mutate => mutate(review, plan, &told, options),
        };
        match plan.uses.is_empty() {
            true => self.log_review(endpoint, review, &response, began.elapsed()),
            false => self.log_images(endpoint, review, plan, &judged, &response),
        }
        Ok(response)
    }

    /// As [`Self::defect`], where there is a uid to answer with.
    fn defective(&self) -> Refusal {
        self.metrics.panics.inc();
        Refusal::Undecided("a defect kept this from being decided; see the log".to_owned())
    }

    fn defect(&self) -> Refused {
        self.metrics.panics.inc();
        Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            reason: "defect",
            message: "a defect kept this from being read".to_owned(),
        }
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
        let asked = deadline::asked(query).map_err(Refused::malformed)?;
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

impl Refused {
    fn malformed(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: "malformed", message }
    }
}

fn crowded() -> Refusal {
    Refusal::Undecided(
        "too many reviews at once; try again, or run more replicas of the webhook".to_owned(),
    )
}

/// What `work` gives, or that it has a defect.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
}

/// A review that is being answered, for as long as this is held.
struct UnderWay<'a>(&'a Gauge);

impl<'a> UnderWay<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
