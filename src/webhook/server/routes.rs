//! The routes.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::admit::{post_mutate, post_validate};
use super::{App, Phase};
use crate::report::visible;
use crate::webhook::metrics;

/// Everything, for API servers.
pub(super) fn all(app: Arc<App>) -> Router {
    Router::new()
        .route("/validate", post(post_validate))
        .route("/mutate", post(post_mutate))
        .merge(looks())
        .fallback(nothing)
        .with_state(app)
}

/// What probes and scrapes ask for.
pub(super) fn probes(app: Arc<App>) -> Router {
    looks().fallback(nothing).with_state(app)
}

fn looks() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
}

/// Alive: the event loop answers. It shares no bound with reviews.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: reviews are answered, and by what.
async fn readyz(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    // writing into a String does not fail
    let status = match *app.phase.borrow() {
        Phase::Serving => {
            text.push_str("ready\n");
            StatusCode::OK
        }
        Phase::LameDuck | Phase::Draining | Phase::Over => {
            text.push_str("ending\n");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let engine = app.gate.engine();
    let document = engine.policy().document();
    let _ = writeln!(text, "policy {} {}", visible(&document.name), document.digest);
    for refused in app.refused() {
        let _ = writeln!(text, "not taken: {}", visible(&refused));
    }
    (status, text).into_response()
}

async fn scrape(State(app): State<Arc<App>>) -> Response {
    let load = app.gate.load();
    app.metrics.verifications.set(i64::try_from(load.verifications).unwrap_or(i64::MAX));
    app.metrics.remembered.set(i64::try_from(load.verdicts).unwrap_or(i64::MAX));
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.text()).into_response()
}

async fn nothing() -> (StatusCode, &'static str) {
    let told = "there are /validate and /mutate (POST), /healthz, /readyz and /metrics (GET)\n";
    (StatusCode::NOT_FOUND, told)
}
