//! The API server: one kind of objects, page by page, and single documents.

use std::cell::OnceCell;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::StatusCode;
use kube::core::Request;
use kube::core::params::ListParams;
use serde::de::DeserializeOwned;

use super::page::{Page, read_page};
use super::{Found, Resource};
use crate::limits::Limits;
use crate::report::escaped;

/// Objects of one page: what `kubectl` asks for.
const PAGE: u32 = 500;

/// Listings of one kind that begin anew because the server forgot where the
/// last one was: it keeps that for five minutes.
const RESTARTS: u32 = 5;

/// Times that one request is made.
const TRIES: u32 = 3;

/// The API server.
pub(super) struct Api<'l> {
    client: kube::Client,
    limits: &'l Limits,
    /// Why it cannot be reached: then nothing more is asked, or nine kinds
    /// would wait nine times.
    gone: OnceCell<String>,
}

/// What the server said to one request.
enum Said {
    Bytes(Vec<u8>),
    /// There is no such thing.
    Absent,
    /// It has forgotten where the listing was.
    Expired,
    /// It has too much to do; the text says so.
    Later(String),
    /// Nothing; the text says how.
    Nothing(String),
    /// It will not; the text says why and what to do.
    No(String),
}

/// How a listing went.
enum Listing {
    Whole,
    Expired,
}

impl<'l> Api<'l> {
    pub(super) fn new(client: kube::Client, limits: &'l Limits) -> Self {
        Self { client, limits, gone: OnceCell::new() }
    }

    /// Lists all objects of a kind; those of one namespace where one is
    /// given. The error says why there may be others.
    pub(super) async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        found: &mut Found<'_>,
    ) -> Result<(), String> {
        if namespace.is_some_and(|namespace| !is_label(namespace)) {
            return Err("this is no namespace's name; correct it".to_owned());
        }
        let path = resource.path(namespace);
        for _ in 0..=RESTARTS {
            match self.pages(&path, resource, found).await? {
                Listing::Whole => return Ok(()),
                Listing::Expired => found.clear(),
            }
        }
        Err("the listing expired again and again (410); try when the server is less busy"
            .to_owned())
    }

    async fn pages(
        &self,
        path: &str,
        resource: &Resource,
        found: &mut Found<'_>,
    ) -> Result<Listing, String> {
        let mut next: Option<String> = None;
        for _ in 0..self.limits.cluster_pages {
            let bytes = match self.patiently(path, next.as_deref(), &resource.name()).await? {
                Said::Bytes(bytes) => bytes,
                Said::Expired => return Ok(Listing::Expired),
                Said::Absent => {
                    let what = resource.name();
                    return Err(format!("the API server has no {what} (404); look at its version"));
                }
                Said::Later(why) | Said::Nothing(why) | Said::No(why) => return Err(why),
            };
            let Page { more } = read_page(&bytes, &mut |object| found.add(object))?;
            if more.is_none() {
                return Ok(Listing::Whole);
            }
            if more == next {
                return Err("the server gives the same page again and again".to_owned());
            }
            next = more;
        }
        let most = self.limits.cluster_pages;
        Err(format!("there are more than {most} pages; audit some namespaces at a time"))
    }

    /// A document about the API; `None` where there is none.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
    ) -> Result<Option<T>, String> {
        match self.patiently(path, None, what).await? {
            Said::Absent => Ok(None),
            Said::Bytes(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                format!("the API server's answer is another (line {line}, column {column})")
            }),
            Said::Expired => Err("the API server answers 410; try again".to_owned()),
            Said::Later(why) | Said::Nothing(why) | Said::No(why) => Err(why),
        }
    }

    /// One page; a server that has too much to do is asked again.
    async fn patiently(&self, path: &str, next: Option<&str>, what: &str) -> Result<Said, String> {
        if let Some(why) = self.gone.get() {
            return Err(why.clone());
        }
        let mut attempt = 1;
        loop {
            let said = self.once(path, next, what).await?;
            match &said {
                Said::Later(_) | Said::Nothing(_) if attempt < TRIES => {}
                Said::Nothing(why) => {
                    let why = self.gone.get_or_init(|| why.clone());
                    return Err(why.clone());
                }
                Said::Bytes(_) | Said::Absent | Said::Expired | Said::Later(_) | Said::No(_) => {
                    return Ok(said);
                }
            }
            tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
            attempt += 1;
        }
    }

    async fn once(&self, path: &str, next: Option<&str>, what: &str) -> Result<Said, String> {
        let mut asked = ListParams::default().limit(PAGE);
        asked.continue_token = next.map(str::to_owned);
        let request = Request::new(path).list(&asked).map_err(|error| error.to_string())?;
        let answer = async {
            let response = self
                .client
                .send(request.map(kube::client::Body::from))
                .await
                .map_err(|error| Said::Nothing(unreachable(&error)))?;
            match response.status() {
                StatusCode::OK => Ok(response.into_body()),
                status => Err(refused(status, what)),
            }
        };
        let wait = self.limits.idle_timeout;
        let silent = || {
            let why = format!("no answer from the API server within {} s", wait.as_secs());
            Ok(Said::Nothing(format!("{why}; try again")))
        };
        match tokio::time::timeout(wait, answer).await {
            Err(_) => silent(),
            Ok(Err(said)) => Ok(said),
            Ok(Ok(body)) => match tokio::time::timeout(wait, self.body(body)).await {
                Ok(bytes) => bytes,
                Err(_) => silent(),
            },
        }
    }

    async fn body(&self, body: kube::client::Body) -> Result<Said, String> {
        let most = self.limits.cluster_page_bytes;
        let mut chunks = Body::new(body).into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else {
                return Ok(Said::Nothing(
                    "the API server's answer broke off; try again".to_owned(),
                ));
            };
            let length = bytes.len().saturating_add(chunk.len());
            if u64::try_from(length).unwrap_or(u64::MAX) > most {
                return Err(format!(
                    "{PAGE} of them are larger than the limit of {most} bytes; \
                     audit some namespaces at a time"
                ));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Said::Bytes(bytes))
    }
}

fn refused(status: StatusCode, what: &str) -> Said {
    match status {
        StatusCode::GONE => Said::Expired,
        StatusCode::FORBIDDEN => Said::No(format!(
            "the API server forbids listing them (403); allow `list` on {what}, in these namespaces"
        )),
        StatusCode::UNAUTHORIZED => Said::No(
            "the API server does not know who asks (401); give a valid token or kubeconfig"
                .to_owned(),
        ),
        StatusCode::NOT_FOUND => Said::Absent,
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Said::Later(format!("the API server answers {}; try again later", status.as_u16()))
        }
        status => Said::No(format!("the API server answers {}; look at its log", status.as_u16())),
    }
}

/// The error with its causes: the first alone says nothing.
fn unreachable(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    format!("the API server cannot be reached ({}); look at the kubeconfig", escaped(&text))
}

/// A DNS label (RFC 1123), as every namespace has for a name.
fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
