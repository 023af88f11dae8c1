//! What the repositories of one run share: connections, TLS, tokens.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client, Url};

use super::access::Access;
use super::endpoint::{Endpoint, is_loopback};
use super::place::Place;
use super::session::Session;
use super::{Registry, RegistryOptions, tls};
use crate::image::Repository;
use crate::store::StoreError;
use crate::store::auth::Credentials;

/// Opens repositories that share connections and tokens.
///
/// Cheap to clone. Nothing is set up before the first request, and TLS with
/// the system's roots not before the first one that needs it.
#[derive(Clone)]
pub struct RegistryClient(Arc<Shared>);

impl RegistryClient {
    /// A client without connections.
    pub fn new(options: RegistryOptions) -> Self {
        Self(Arc::new(Shared { options, transports: Arc::default(), accesses: Mutex::default() }))
    }

    /// The same connections with other credentials: tokens and whatever else
    /// was got with the ones before stay with those.
    #[must_use]
    pub fn with_credentials(&self, credentials: Arc<dyn Credentials>) -> Self {
        Self(Arc::new(Shared {
            options: RegistryOptions { credentials, ..self.0.options.clone() },
            transports: Arc::clone(&self.0.transports),
            accesses: Mutex::default(),
        }))
    }

    /// The connections for a URL; see [`Shared::transport`].
    pub(super) fn transport(&self, url: &Url) -> Result<&Client, String> {
        self.0.transport(url)
    }

    /// Opens a repository; sends nothing.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] where the repository's host makes no URL.
    pub fn open(&self, repository: &Repository) -> Result<Registry, StoreError> {
        let place = Place::new(repository.to_string());
        let endpoint = Endpoint::new(repository, &self.0.options)
            .ok_or_else(|| place.protocol("its host makes no URL; check the image's name"))?;
        let access = self.0.access(repository);
        let session = Session {
            place,
            endpoint,
            repository: repository.clone(),
            access,
            shared: Arc::clone(&self.0),
        };
        Ok(Registry { session: Arc::new(session) })
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryClient({:?})", self.0.options)
    }
}

/// Repositories whose tokens are kept; a server that sees more forgets those
/// that nobody uses.
const ACCESSES: usize = 1024;

pub(super) struct Shared {
    pub(super) options: RegistryOptions,
    /// Plain or TLS, through a proxy or direct: see [`Shared::transport`].
    /// Nothing that a request carries stays with its connection: no
    /// cookies, and no authentication but by header.
    transports: Arc<[OnceLock<Result<Client, String>>; 4]>,
    accesses: Mutex<HashMap<Repository, Arc<Access>>>,
}

impl Shared {
    /// The connections for a URL. Loopback is never reached through a proxy.
    ///
    /// # Errors
    /// A text for people: certificates that cannot be used.
    pub(super) fn transport(&self, url: &Url) -> Result<&Client, String> {
        let secure = url.scheme() == "https";
        let direct = url.host_str().is_some_and(is_loopback);
        let [plain, plain_direct, tls, tls_direct] = &*self.transports;
        let slot = match (secure, direct) {
            (false, false) => plain,
            (false, true) => plain_direct,
            (true, false) => tls,
            (true, true) => tls_direct,
        };
        slot.get_or_init(|| self.connect(secure, direct)).as_ref().map_err(Clone::clone)
    }

    fn connect(&self, secure: bool, direct: bool) -> Result<Client, String> {
        let tls = if secure { tls::config(&self.options)? } else { tls::unused()? };
        let loopback: [SocketAddr; 2] =
            [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("ocisign/", env!("CARGO_PKG_VERSION")))
            .default_headers(identity())
            .redirect(reqwest::redirect::Policy::none()) // session.rs follows them
            .retry(reqwest::retry::never()) // retry.rs counts them
            .referer(false)
            .http1_only() // blobs gain nothing from HTTP/2's second flow control
            .resolve_to_addrs("localhost", &loopback) // RFC 6761: never asks DNS
            .connect_timeout(self.options.limits.idle_timeout);
        let builder = if direct { builder.no_proxy() } else { builder };
        builder.build().map_err(|error| format!("HTTP cannot be set up ({error})"))
    }

    fn access(&self, repository: &Repository) -> Arc<Access> {
        let mut all = self.accesses.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ACCESSES {
            all.retain(|_, access| Arc::strong_count(access) > 1);
        }
        Arc::clone(all.entry(repository.clone()).or_default())
    }
}

/// Digests are of the bytes as they are stored: no transfer compression.
fn identity() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}
