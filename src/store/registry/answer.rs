//! An answer: its head as it is, its body bounded in bytes and in time.

use std::error::Error as _;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};

use super::place::{Place, printable};
use super::retry::{Again, Failure, retry_after};
use super::session::{Call, Session};
use crate::store::{Chunk, StoreError};

/// Most that is read of an error's body, which only feeds a message.
const ERROR_BYTES: u64 = 8 << 10;

/// Bytes that a body must give per second of waiting, measured over the idle
/// timeout. A drip below it is a stall: 4 MiB would take over an hour.
const LEAST_RATE: f64 = 1024.0;

/// The head of an answer, with the body still to come.
pub(super) struct Answer {
    response: Response,
    url: Url,
    foreign: bool,
    place: Place,
    pace: Pace,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) bytes: Vec<u8>,
    /// Content-Type without parameters.
    pub(super) media_type: Option<String>,
    /// `Link` headers.
    pub(super) links: Vec<String>,
}

impl Answer {
    pub(super) fn new(response: Response, url: Url, foreign: bool, session: &Session) -> Self {
        let pace = Pace::new(session.limits().idle_timeout);
        Self { response, url, foreign, place: session.place.clone(), pace }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Where the answer came from, after redirects.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a redirect led to another origin than was asked.
    pub(super) fn foreign(&self) -> bool {
        self.foreign
    }

    /// The values of a header that are text.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Content-Length as the server sent it (also for HEAD).
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|text| text.parse().ok())
    }

    /// Refuses a body that is compressed for transfer: its bytes are not
    /// those that the digest is of, and nobody asked for it.
    pub(super) fn plain(&self, what: &str) -> Result<(), StoreError> {
        let mut encodings = self.response.headers().get_all(CONTENT_ENCODING).iter();
        match encodings.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            None => Ok(()),
            Some(value) => {
                let coding = printable(&String::from_utf8_lossy(value.as_bytes()), 40);
                let reason =
                    format!("{what} came compressed as `{coding}` though identity was asked for");
                Err(self.place.protocol(reason))
            }
        }
    }

    /// The next bytes of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        let Some(patience) = self.pace.left() else { return Err(self.slow()) };
        let began = Instant::now();
        let read = tokio::time::timeout(patience, self.response.chunk()).await;
        match read {
            Err(_) => Err(self.slow()),
            Ok(Err(error)) => Err(broken(&self.place, &error)),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(bytes))) => {
                self.pace.took(began.elapsed(), bytes.len());
                Ok(Some(bytes))
            }
        }
    }

    fn slow(&self) -> Failure {
        let seconds = self.pace.window.as_secs_f32();
        let reason =
            format!("it sent almost nothing for {seconds} s; check the network and try again");
        Failure::unknown(self.place.unreachable(reason))
    }

    /// Reads the whole body, of at most `max` bytes.
    pub(super) async fn document(mut self, max: u64, what: &str) -> Result<Document, Failure> {
        self.plain(what)?;
        let too_large = || StoreError::TooLarge { what: what.to_owned(), limit: max };
        if self.length().is_some_and(|length| length > max) {
            return Err(too_large().into());
        }
        let bytes = self.read(max).await?.ok_or_else(too_large)?;
        let media_type = self.header(CONTENT_TYPE.as_str()).and_then(essence);
        let links = self.headers("link").map(str::to_owned).collect();
        Ok(Document { bytes, media_type, links })
    }

    /// `None` once there are more than `max` bytes.
    async fn read(&mut self, max: u64) -> Result<Option<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() as u64 + chunk.len() as u64 > max {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    /// What a status other than success means for what was asked.
    pub(super) async fn refusal(mut self, call: &Call) -> StoreError {
        let (status, what) = (self.status(), &call.what);
        let writing = !matches!(call.method, Method::GET | Method::HEAD);
        if status == StatusCode::NOT_FOUND && !writing {
            return self.place.absent(what);
        }
        let said = self.said().await;
        match status {
            StatusCode::UNAUTHORIZED if self.foreign => self.place.unauthorized(format!(
                "{what} was redirected to a server that wants credentials{said}"
            )),
            StatusCode::UNAUTHORIZED => self.place.unauthorized(format!(
                "it did not accept the credentials for {what}{said}; log in again"
            )),
            StatusCode::FORBIDDEN => self.place.unauthorized(format!(
                "{what} is forbidden{said}; ask for access, or log in as someone who has it"
            )),
            StatusCode::METHOD_NOT_ALLOWED if writing => {
                self.place.read_only(format!("it does not take {what}{said}"))
            }
            // what servers that want TLS say to plain HTTP, in no form of a registry's
            StatusCode::BAD_REQUEST if self.url.scheme() == "http" && said.is_empty() => {
                self.place.protocol(format!(
                    "{what} was answered with 400 over plain HTTP; if it wants TLS, name its \
                     certificates with --ca"
                ))
            }
            _ => self.place.protocol(format!("{what} was answered with {}{said}", status.as_u16())),
        }
    }

    /// 429 and 5xx: what to say, and when to try again.
    pub(super) async fn busy(mut self) -> Failure {
        let status = self.status();
        let now = jiff::Timestamp::now();
        let asked = self.header(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, now));
        let again = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Again::Unprocessed(asked)
            }
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Again::No,
            _ => Again::Unknown(asked),
        };
        let said = self.said().await;
        let reason = match status {
            StatusCode::TOO_MANY_REQUESTS => {
                format!(
                    "it answered 429, too many requests{said}; wait, or log in for a higher limit"
                )
            }
            _ => format!("it answered {}{said}; try again later", status.as_u16()),
        };
        Failure { error: self.place.unreachable(reason), again }
    }

    /// ` (CODE: message)` from a body in the form of distribution-spec,
    /// "Error Codes"; nothing where it has another form.
    async fn said(&mut self) -> String {
        if self.plain("").is_err() {
            return String::new();
        }
        let Ok(Some(bytes)) = self.read(ERROR_BYTES).await else { return String::new() };
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return String::new();
        };
        let text = |name: &str| {
            let value = body
                .pointer("/errors/0")
                .and_then(|error| error.get(name))
                .and_then(|v| v.as_str());
            value.map(|text| printable(text, 200)).filter(|text| !text.is_empty())
        };
        match (text("code"), text("message")) {
            (Some(code), Some(message)) => format!(" ({code}: {message})"),
            (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
            (None, None) => String::new(),
        }
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> Option<String> {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    (!bare.is_empty()).then(|| bare.to_ascii_lowercase())
}

/// How fast a body comes. Only time spent waiting counts: a reader that
/// hashes slowly is not the server's fault.
struct Pace {
    window: Duration,
    waited: Duration,
    got: usize,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self { window, waited: Duration::ZERO, got: 0 }
    }

    /// How long the next read may take; `None` where the last window gave
    /// too little.
    fn left(&mut self) -> Option<Duration> {
        if self.waited >= self.window {
            if (self.got as f64) < LEAST_RATE * self.window.as_secs_f64() {
                return None;
            }
            (self.waited, self.got) = (Duration::ZERO, 0);
        }
        // a window that has enough already is not cut short by its end
        let enough = self.got as f64 >= LEAST_RATE * self.window.as_secs_f64();
        Some(if enough { self.window } else { self.window - self.waited })
    }

    fn took(&mut self, waited: Duration, bytes: usize) {
        self.waited += waited;
        self.got += bytes;
    }
}

/// Silence for as long as the limits allow.
pub(super) fn silent(place: &Place, idle: Duration) -> Failure {
    let seconds = idle.as_secs_f32();
    Failure::unknown(place.unreachable(format!(
        "it did not answer within {seconds} s; check the address and the network"
    )))
}

/// A connection that could not be made, or that broke.
pub(super) fn broken(place: &Place, error: &reqwest::Error) -> Failure {
    let causes = causes(error);
    if let Some(hint) = tls_hint(error) {
        return place.unreachable(format!("{causes}; {hint}")).into();
    }
    let failure = place.unreachable(format!("{causes}; check the address and the network"));
    match error.is_connect() {
        true => Failure { error: failure, again: Again::Unprocessed(None) },
        false => Failure::unknown(failure),
    }
}

/// The chain of causes without the URL, whose query may hold a signature.
fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = printable(&cause.to_string(), 300);
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    match texts.last() {
        Some(last) if texts.len() > 1 => format!("{} ({last})", texts.first().unwrap_or(last)),
        Some(only) => only.clone(),
        None => "the request failed".to_owned(),
    }
}

/// What to do about a failed handshake; such a failure does not pass by
/// being repeated.
fn tls_hint(error: &reqwest::Error) -> Option<&'static str> {
    Some(match tls_error(error)? {
        rustls::Error::InvalidCertificate(_) => {
            "if its certificate is of a private CA, give that with --ca"
        }
        rustls::Error::InvalidMessage(_) => "if it does not speak TLS, give --plain-http",
        _ => "check its TLS settings",
    })
}

/// The TLS error among the causes. An I/O error names as its source that of
/// the error inside it, so the inside is looked at first.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match inside {
        Some(inner) => tls_error(inner),
        None => tls_error(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_a_stall_and_a_burst_buys_one_window() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second);
        assert_eq!(pace.left(), Some(second));
        pace.took(second / 2, 10);
        assert_eq!(pace.left(), Some(second / 2));
        pace.took(second / 2, 10);
        assert_eq!(pace.left(), None, "20 bytes in a second");
        let mut pace = Pace::new(second);
        pace.took(second, 5000);
        assert_eq!(pace.left(), Some(second));
        pace.took(second, 10);
        assert_eq!(pace.left(), None);
    }

    #[test]
    fn a_content_type_loses_its_parameters() {
        assert_eq!(essence("Application/JSON; charset=utf-8").as_deref(), Some("application/json"));
        assert_eq!(essence(" ; x"), None);
    }
}
