//! Content in places that a manifest names (`urls`), which anybody may have
//! written: asked only where the caller wants that, without credentials, and
//! trusted with nothing (CVE-2020-15157 is what happens otherwise).

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use super::RegistryOptions;
use super::client::RegistryClient;
use super::endpoint::is_loopback;
use crate::limits::Limits;
use crate::store::auth::Anonymous;
use crate::store::{Blob, StoreError};

/// Fetches what `urls` name: https, or http from loopback.
#[derive(Clone)]
pub struct Elsewhere {
    client: RegistryClient,
    limits: Limits,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

impl Elsewhere {
    /// With the certificates of `options`, and none of its credentials: no
    /// password, no token, no certificate of the client.
    pub fn new(options: RegistryOptions) -> Self {
        let limits = options.limits.clone();
        let options = RegistryOptions {
            credentials: Arc::new(Anonymous),
            client_identity: None,
            notice: None,
            ..options
        };
        Self { client: RegistryClient::new(options), limits }
    }

    /// Opens the content at the first address that has it. The stream ends
    /// one chunk past `size` at the latest.
    ///
    /// # Errors
    /// [`StoreError::Absent`] where each address says that it has nothing, or
    /// is of a kind that is never asked; [`StoreError::Unreachable`] where
    /// one could not be had.
    pub async fn open(&self, urls: &[String], size: u64) -> Result<Blob, StoreError> {
        let mut failed = None;
        for url in urls.iter().take(self.limits.external_urls) {
            let Some(url) = Url::parse(url).ok().filter(may_be_asked) else { continue };
            let place = place(&url);
            match self.get(url, is_nothing).await {
                Ok(Some(response)) => return Ok(self.stream(place, response, size)),
                Ok(None) => {}
                Err(reason) => failed = Some(StoreError::Unreachable { place, reason }),
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Absent {
            what: "an external layer".to_owned(),
            place: "the addresses in its `urls`".to_owned(),
        }))
    }

    /// Whether an address may be asked that a page at another one names:
    /// never from outside into this machine.
    pub fn may_lead(from: &str, to: &str) -> bool {
        let local = |url: &Url| url.host_str().is_some_and(is_loopback);
        match (Url::parse(from), Url::parse(to)) {
            (Ok(from), Ok(to)) => may_be_asked(&to) && (local(&from) || !local(&to)),
            _ => false,
        }
    }

    /// As [`Elsewhere::small`]; whatever a server refuses is not there, but
    /// what it only puts off is no answer.
    ///
    /// # Errors
    /// As [`Elsewhere::small`].
    pub async fn page(&self, address: &str, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let refused = |status: &StatusCode| {
            let put_off = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
            status.is_client_error() && !put_off.contains(status)
        };
        self.read(address, max, refused).await
    }

    /// Reads what lies at one address; `None` where there is nothing.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] for an address of a kind that is never asked,
    /// [`StoreError::TooLarge`] for more than `max` bytes,
    /// [`StoreError::Unreachable`].
    pub async fn small(&self, address: &str, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(address, max, is_nothing).await
    }

    async fn read(
        &self,
        address: &str,
        max: u64,
        nothing: fn(&StatusCode) -> bool,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let shown: String = address.chars().take(200).collect();
        let Some(url) = Url::parse(address).ok().filter(may_be_asked) else {
            let reason = "only https is asked, and http on this machine; change the address";
            return Err(StoreError::Protocol { place: shown, reason: reason.to_owned() });
        };
        let place = place(&url);
        let response = match self.get(url, nothing).await {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(None),
            Err(reason) => return Err(StoreError::Unreachable { place, reason }),
        };
        let mut chunks = crate::store::chunks(self.stream(place, response, max));
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > max {
                return Err(StoreError::TooLarge { what: shown, limit: max });
            }
        }
        Ok(Some(bytes))
    }

    /// The answer with the content; `None` where there is nothing.
    async fn get(
        &self,
        mut url: Url,
        nothing: fn(&StatusCode) -> bool,
    ) -> Result<Option<Response>, String> {
        for _ in 0..=self.limits.redirects {
            let response = self.ask(&url).await?;
            match response.status() {
                StatusCode::OK => return Ok(Some(response)),
                status if nothing(&status) => return Ok(None),
                status if status.is_redirection() => url = target(&url, &response)?,
                status => return Err(format!("it answers {status}; try again later")),
            }
        }
        Err("it redirects too often; fetch the layer into the store".to_owned())
    }

    async fn ask(&self, url: &Url) -> Result<Response, String> {
        let client = self.client.transport(url)?;
        let wait = self.limits.idle_timeout;
        match tokio::time::timeout(wait, client.get(url.clone()).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(format!("{}; try again later", error.without_url())),
            Err(_) => Err("it does not answer; try again later".to_owned()),
        }
    }

    fn stream(&self, place: String, response: Response, size: u64) -> Blob {
        let wait = self.limits.idle_timeout;
        let state = (response, 0u64, place);
        let chunks = stream::try_unfold(state, move |(mut response, at, place)| async move {
            if at > size {
                return Ok(None);
            }
            let failed = |reason: String| StoreError::Unreachable { place: place.clone(), reason };
            match tokio::time::timeout(wait, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let at = at.saturating_add(chunk.len() as u64);
                    Ok(Some((chunk, (response, at, place))))
                }
                Ok(Ok(None)) => Ok(None),
                Ok(Err(error)) => Err(failed(format!("{}; try again", error.without_url()))),
                Err(_) => Err(failed("it stalls; try again".to_owned())),
            }
        });
        Blob::Stream(chunks.boxed())
    }
}

fn is_nothing(status: &StatusCode) -> bool {
    matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// https, or http from loopback; no name and password, which would be sent.
fn may_be_asked(url: &Url) -> bool {
    let local = url.host_str().is_some_and(is_loopback);
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    scheme && url.username().is_empty() && url.password().is_none()
}

/// Where a redirect leads: never to another kind of address, and not from
/// outside into this machine.
fn target(from: &Url, response: &Response) -> Result<Url, String> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let local = |url: &Url| url.host_str().is_some_and(is_loopback);
    match to {
        Some(to) if may_be_asked(&to) && (local(from) || !local(&to)) => Ok(to),
        Some(_) | None => {
            Err("it redirects to where nothing is fetched from; fetch the layer yourself"
                .to_owned())
        }
    }
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}
