//! One object of the API, by its name: bounded in bytes, time and number.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode, header};
use k8s_openapi::Resource;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::name::is_name;
use crate::limits::Limits;
use crate::store::StoreError;

/// The API server, for single objects.
pub(super) struct Api {
    client: kube::Client,
    calls: Semaphore,
    bytes: u64,
    timeout: Duration,
}

/// Why an object is not there to be used. Several askers share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No answer.
    Unreachable { place: String, reason: String },
    /// Not for us.
    Forbidden { place: String, reason: String },
    /// Of no use, or we are nobody to the API server.
    Unusable { place: String, reason: String },
    /// More than the limits allow.
    TooLarge { what: String, limit: u64 },
    /// An answer that is none.
    Protocol { place: String, reason: String },
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable { place, reason } => Self::Unreachable { place, reason },
            Trouble::Forbidden { place, reason } | Trouble::Unusable { place, reason } => {
                Self::Unauthorized { place, reason }
            }
            Trouble::TooLarge { what, limit } => Self::TooLarge { what, limit },
            Trouble::Protocol { place, reason } => Self::Protocol { place, reason },
        }
    }
}

/// `secret `ns/name``: how errors name an object.
pub(super) fn place<T: Resource>(namespace: &str, name: &str) -> String {
    let kind = match T::KIND {
        "Secret" => "pull secret",
        "ServiceAccount" => "service account",
        other => other,
    };
    format!("{kind} `{namespace}/{name}`")
}

impl Api {
    pub(super) fn new(client: kube::Client, limits: &Limits) -> Self {
        Self {
            client,
            calls: Semaphore::new(limits.cluster_calls),
            bytes: limits.secret_bytes,
            timeout: limits.cluster_timeout,
        }
    }

    /// The object; `None` where there is none of this name.
    pub(super) async fn get<T>(&self, namespace: &str, name: &str) -> Result<Option<T>, Trouble>
    where
        T: Resource + DeserializeOwned,
    {
        if !is_name(namespace) || !is_name(name) {
            return Ok(None); // no object can have it
        }
        let place = place::<T>(namespace, name);
        let path = format!("/api/v1/namespaces/{namespace}/{}/{name}", T::URL_PATH_SEGMENT);
        match tokio::time::timeout(self.timeout, self.read(&place, path)).await {
            Ok(Ok(Some(bytes))) => decode(&place, &bytes).map(Some),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => {
                let ms = self.timeout.as_millis();
                let reason = format!("the API server gave no answer within {ms} ms; try again");
                Err(Trouble::Unreachable { place, reason })
            }
        }
    }

    async fn read(&self, place: &str, path: String) -> Result<Option<Zeroizing<Vec<u8>>>, Trouble> {
        let unreachable = |reason: String| Trouble::Unreachable { place: place.to_owned(), reason };
        let _call = self.calls.acquire().await.map_err(|error| unreachable(error.to_string()))?;
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        let request = request
            .body(kube::client::Body::empty())
            .map_err(|error| unreachable(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| {
            unreachable(format!("no answer from the API server ({}); try again", chain(&error)))
        })?;
        match response.status() {
            StatusCode::OK => self.body(place, response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(place, status)),
        }
    }

    async fn body(
        &self,
        place: &str,
        response: Response<kube::client::Body>,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let mut chunks = Body::new(response.into_body()).into_data_stream();
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                let reason = format!("the API server's answer broke off ({error}); try again");
                Trouble::Unreachable { place: place.to_owned(), reason }
            })?;
            if (bytes.len() + chunk.len()) as u64 > self.bytes {
                return Err(Trouble::TooLarge { what: place.to_owned(), limit: self.bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// serde's own words may quote a secret, its position cannot.
fn decode<T: DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = format!("the API server's answer is another (line {line}, column {column})");
        Trouble::Protocol { place: place.to_owned(), reason }
    })
}

fn refused(place: &str, status: StatusCode) -> Trouble {
    let place = place.to_owned();
    match status {
        StatusCode::FORBIDDEN => Trouble::Forbidden {
            place,
            reason: "the API server forbids reading it (403); allow ocisign's service account \
                     `get` on it"
                .to_owned(),
        },
        StatusCode::UNAUTHORIZED => Trouble::Unusable {
            place,
            reason: "the API server does not know ocisign (401); give it a valid token or \
                     kubeconfig"
                .to_owned(),
        },
        other => {
            let reason = format!("the API server answers {other}; try again");
            Trouble::Unreachable { place, reason }
        }
    }
}

/// An error with its causes, which kube's own text leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
