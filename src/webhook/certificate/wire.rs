//! Single objects of the API server, by path: bounded in bytes and in time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{CertificateError, chain};
use crate::limits::Limits;

/// Whose field a change is, for `kubectl get --show-managed-fields`; and what
/// the API server does not know is an error.
const QUERY: &str = "?fieldManager=ocisign-certificate&fieldValidation=Strict";

/// An API server.
pub(super) struct Wire {
    client: kube::Client,
    bytes: usize,
    timeout: Duration,
}

/// How a change ended.
pub(super) enum Change<T> {
    /// Made.
    Made(T),
    /// Somebody else was quicker.
    Conflict,
    /// The object is not there.
    Absent,
}

/// What a change is.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// A new object.
    Create,
    /// RFC 7386.
    Merge,
    /// Lists by the name of their elements (Kubernetes, "Update API objects
    /// in place").
    Strategic,
}

impl How {
    fn method(self) -> (Method, &'static str) {
        match self {
            Self::Create => (Method::POST, "application/json"),
            Self::Merge => (Method::PATCH, "application/merge-patch+json"),
            Self::Strategic => (Method::PATCH, "application/strategic-merge-patch+json"),
        }
    }
}

impl Wire {
    pub(super) fn new(client: kube::Client, limits: &Limits) -> Self {
        Self {
            client,
            bytes: usize::try_from(limits.secret_bytes).unwrap_or(usize::MAX),
            timeout: limits.cluster_timeout,
        }
    }

    /// The object; `None` where there is none. `what` names it in errors.
    pub(super) async fn get(
        &self,
        what: &str,
        path: &str,
    ) -> Result<Option<Value>, CertificateError> {
        let failed = |reason| failed(what, "read", reason);
        let request = Request::get(path).header(ACCEPT, "application/json").body(Vec::new());
        let (status, value) = self.send(request).await.map_err(failed)?;
        match status {
            StatusCode::OK => Ok(Some(value)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(failed(said(status, &value))),
        }
    }

    /// Creates or changes the object, and yields it as it is then.
    pub(super) async fn change(
        &self,
        what: &str,
        path: &str,
        how: How,
        body: &Value,
    ) -> Result<Change<Value>, CertificateError> {
        let failed = |reason| failed(what, "written", reason);
        let (method, kind) = how.method();
        let request = Request::builder().method(method).uri(format!("{path}{QUERY}"));
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, kind);
        let (status, value) =
            self.send(request.body(body.to_string().into_bytes())).await.map_err(failed)?;
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(Change::Made(value)),
            StatusCode::CONFLICT => Ok(Change::Conflict),
            StatusCode::NOT_FOUND => Ok(Change::Absent),
            status => Err(failed(said(status, &value))),
        }
    }

    async fn send(
        &self,
        request: Result<Request<Vec<u8>>, http::Error>,
    ) -> Result<(StatusCode, Value), String> {
        let request = request.map_err(|error| error.to_string())?.map(Into::into);
        let exchange = async {
            let answer = self.client.send(request).await.map_err(|error| chain(&error))?;
            let (head, body) = answer.into_parts();
            let body = to_bytes(Body::new(body), self.bytes).await;
            let body = body.map_err(|error| format!("the answer cannot be read ({error})"))?;
            let value = serde_json::from_slice(&body)
                .map_err(|_| format!("the answer ({}) is no JSON", head.status));
            value.map(|value| (head.status, value))
        };
        let late = || format!("no answer within {} s", self.timeout.as_secs());
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| late())?
    }
}

fn failed(what: &str, did: &'static str, reason: String) -> CertificateError {
    CertificateError::Api { what: what.to_owned(), did, reason }
}

/// What a Status of the API server says.
fn said(status: StatusCode, value: &Value) -> String {
    #[derive(Default, Deserialize)]
    struct Status {
        #[serde(default)]
        message: String,
    }
    let message = Status::deserialize(value).unwrap_or_default().message;
    if message.is_empty() { status.to_string() } else { message }
}
