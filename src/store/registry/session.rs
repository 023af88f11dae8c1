//! One request from its first attempt to its answer: retries around at most
//! one renewed authorization around at most a few redirects.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::access::{Access, Right};
use super::answer::{Answer, Document};
use super::client::Shared;
use super::endpoint::{Endpoint, same_origin};
use super::place::{Place, printable};
use super::retry::{Failure, Tries};
use crate::image::Repository;
use crate::limits::Limits;
use crate::store::{Chunk, StoreError};

/// A repository with all that its requests need.
pub(super) struct Session {
    pub(super) place: Place,
    pub(super) endpoint: Endpoint,
    pub(super) repository: Repository,
    pub(super) access: Arc<Access>,
    pub(super) shared: Arc<Shared>,
}

/// One request, before authorization and redirects.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Payload,
    pub(super) right: Right,
    /// Whether sending it twice does what sending it once does.
    pub(super) idempotent: bool,
    /// What is asked for, in messages: "blob sha256:…".
    pub(super) what: String,
}

/// What a request carries.
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    /// Bytes that exist once: taken by the first attempt.
    Once {
        len: u64,
        stream: Mutex<Option<BoxStream<'static, Result<Chunk, StoreError>>>>,
    },
}

impl Call {
    pub(super) fn new(method: Method, url: Url, right: Right, what: impl Into<String>) -> Self {
        let (headers, idempotent) = (HeaderMap::new(), method != Method::POST);
        Self { method, url, headers, body: Payload::Empty, right, idempotent, what: what.into() }
    }

    pub(super) fn get(url: Url, what: impl Into<String>) -> Self {
        Self::new(Method::GET, url, Right::Pull, what)
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn body(mut self, body: Payload) -> Self {
        self.body = body;
        self
    }

    fn replayable(&self) -> bool {
        !matches!(self.body, Payload::Once { .. })
    }
}

impl Session {
    pub(super) fn limits(&self) -> &Limits {
        &self.shared.options.limits
    }

    /// Hands a line to whoever wants to show it.
    pub(super) fn notice(&self, text: &str) {
        if let Some(notice) = &self.shared.options.notice {
            notice(&format!("{}: {}", self.place, printable(text, 4096)));
        }
    }

    /// Sends until an answer comes that a retry would not change. The answer
    /// may still be a refusal: see [`Answer::refusal`].
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, StoreError> {
        let mut tries = Tries::new(self.limits(), call.idempotent && call.replayable());
        loop {
            match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.pause(failure).await?,
            }
        }
    }

    /// Sends, and reads a 200's whole body of at most `max` bytes. `None`
    /// for a status that the caller named as its business.
    pub(super) async fn fetch(
        &self,
        call: &Call,
        max: u64,
        callers: &[StatusCode],
    ) -> Result<Option<Document>, StoreError> {
        let mut tries = Tries::new(self.limits(), call.idempotent);
        loop {
            match self.fetch_once(call, max, callers).await {
                Ok(document) => return Ok(document),
                Err(failure) => tries.pause(failure).await?,
            }
        }
    }

    async fn fetch_once(
        &self,
        call: &Call,
        max: u64,
        callers: &[StatusCode],
    ) -> Result<Option<Document>, Failure> {
        let answer = self.attempt(call).await?;
        match answer.status() {
            StatusCode::OK => answer.document(max, &call.what).await.map(Some),
            status if callers.contains(&status) => Ok(None),
            _ => Err(answer.refusal(call).await.into()),
        }
    }

    /// One attempt: an answer that is neither 429 nor 5xx.
    pub(super) async fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        let answer = self.authorized(call).await?;
        self.show_warnings(&answer);
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(answer.busy().await);
        }
        Ok(answer)
    }

    /// Renews the authorization at most once: a registry that goes on with
    /// 401 is refusing, not asking.
    async fn authorized(&self, call: &Call) -> Result<Answer, Failure> {
        let own = self.endpoint.is_own(&call.url);
        let sent = if own { self.access.header(call.right) } else { None };
        let answer = self.follow(call, sent.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !own || answer.foreign() {
            return Ok(answer);
        }
        self.access.renew(self, call.right, &answer, sent.as_ref()).await?;
        if !call.replayable() {
            let reason = "it asked for other credentials in the middle of an upload; try again";
            return Err(self.place.unauthorized(reason).into());
        }
        self.follow(call, self.access.header(call.right)).await
    }

    /// Sends, and follows redirects. The authorization is for the origin of
    /// the first URL: once another origin was visited it is gone for good.
    pub(super) async fn follow(
        &self,
        call: &Call,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        for _ in 0..=self.limits().redirects {
            let response = self.hop(call, &url, authorization.as_ref()).await?;
            let Some(next) = self.redirect(call, &url, &response)? else {
                let foreign = !same_origin(&call.url, &url);
                return Ok(Answer::new(response, url, foreign, self));
            };
            if !same_origin(&call.url, &next) {
                authorization = None;
            }
            url = next;
        }
        let most = self.limits().redirects;
        Err(self
            .place
            .protocol(format!("{} was redirected more than {most} times", call.what))
            .into())
    }

    fn redirect(
        &self,
        call: &Call,
        from: &Url,
        response: &Response,
    ) -> Result<Option<Url>, StoreError> {
        let reading = matches!(call.method, Method::GET | Method::HEAD);
        match response.status().as_u16() {
            301..=303 if reading => {}
            307 | 308 if call.replayable() => {}
            301..=303 | 307 | 308 => {
                let reason = format!("{} was redirected, which a write cannot follow", call.what);
                return Err(self.place.protocol(reason));
            }
            _ => return Ok(None),
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| {
            self.place.protocol(format!("{} was redirected to nowhere", call.what))
        })?;
        self.target(from, location).map(Some)
    }

    /// A URL that the registry named, relative or absolute. TLS is never
    /// given up on a server's word.
    pub(super) fn target(&self, from: &Url, location: &str) -> Result<Url, StoreError> {
        let shown = || printable(location, 200);
        let bad = |why: &str| self.place.protocol(format!("it points to `{}`, {why}", shown()));
        let mut url = from.join(location).map_err(|_| bad("which is no URL"))?;
        match (from.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => {}
            ("https", "http") => return Err(bad("which would give up TLS")),
            _ => return Err(bad("which is not HTTP")),
        }
        // A user name in the URL would become an Authorization header.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(url)
    }

    async fn hop(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let client = self.shared.transport(url).map_err(|reason| self.place.unreachable(reason))?;
        let mut request =
            client.request(call.method.clone(), url.clone()).headers(call.headers.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let upload = Arc::new(Upload::default());
        let request = match &call.body {
            Payload::Empty => request,
            Payload::Bytes(bytes) => request.body(bytes.clone()),
            Payload::Once { len, stream } => {
                let taken = stream.lock().ok().and_then(|mut stream| stream.take());
                let stream = taken.ok_or_else(|| {
                    self.place
                        .unreachable("the upload was cut off and cannot be repeated; try again")
                })?;
                let counted = counted(stream, Arc::clone(&upload));
                request.header(CONTENT_LENGTH, *len).body(reqwest::Body::wrap_stream(counted))
            }
        };
        let sent = self.patiently(request.send(), &upload.chunks).await;
        match upload.failure.lock().ok().and_then(|mut failure| failure.take()) {
            Some(error) => Err(error.into()),
            None => sent,
        }
    }

    /// Waits for the head of an answer as long as something moves: silence
    /// of the idle timeout, without a byte uploaded, ends it.
    async fn patiently(
        &self,
        sending: impl Future<Output = reqwest::Result<Response>>,
        progress: &AtomicU64,
    ) -> Result<Response, Failure> {
        let idle = self.limits().idle_timeout;
        let mut sending = std::pin::pin!(sending);
        let mut before = progress.load(Ordering::Relaxed);
        loop {
            match tokio::time::timeout(idle, &mut sending).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(super::answer::broken(&self.place, &error)),
                Err(_) => {
                    let now = progress.load(Ordering::Relaxed);
                    if now == before {
                        return Err(super::answer::silent(&self.place, idle));
                    }
                    before = now;
                }
            }
        }
    }

    /// RFC 9111 calls the header obsolete; distribution-spec v1.1.1,
    /// "Warnings", still wants it shown to people.
    fn show_warnings(&self, answer: &Answer) {
        for value in answer.headers("warning") {
            if let Some(text) = value.strip_prefix("299 - ") {
                self.notice(text.trim_matches('"'));
            }
        }
    }
}

/// What happens to the bytes of an upload.
#[derive(Default)]
struct Upload {
    chunks: AtomicU64,
    /// Why the source gave no more: the answer to whoever gave the source,
    /// in place of "the request failed".
    failure: Mutex<Option<StoreError>>,
}

fn counted(
    stream: BoxStream<'static, Result<Chunk, StoreError>>,
    upload: Arc<Upload>,
) -> impl futures_util::Stream<Item = std::io::Result<Chunk>> {
    stream.map(move |item| {
        upload.chunks.fetch_add(1, Ordering::Relaxed);
        item.map_err(|error| {
            *upload.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            std::io::Error::other("the source of the upload failed")
        })
    })
}
