//! Images in a registry: OCI distribution-spec v1.1.1 over HTTP.
//!
//! ```text
//! Registry (one repository) ─► manifest, blob, upload, referrers, fallback
//!                                   │ Call                  ▲ Answer
//!                                   ▼                       │
//!                      session: retries ─► 401 once ─► redirects ─► one request
//!                                   │
//!                      client: connections, TLS and tokens that repositories share
//! ```
//!
//! Every body is bounded before it is read, every wait has an end, and no
//! answer but 404 ever becomes [`StoreError::Absent`]. Credentials go to the
//! registry's own origin and to the token service that it names, nowhere else.

mod access;
mod answer;
mod blob;
mod challenge;
mod client;
mod elsewhere;
mod endpoint;
mod extension;
mod fallback;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod link;
mod manifest;
mod place;
mod referrers;
mod retry;
mod session;
mod tls;
mod token;
mod upload;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use client::RegistryClient;
pub use elsewhere::Elsewhere;

use super::auth::{AuthFiles, Credentials};
use super::lookaside::LookasideOptions;
use super::{Beside, Blob, RawManifest, Referrers, Store, StoreError, Target};
use crate::image::{Descriptor, Digest, Repository};
use crate::limits::Limits;
use session::Session;

/// Takes what a registry wants people to read: `Warning` headers, and entries
/// of a listing that could not be used. One line, printable, never acted on.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// A client certificate with its key, both PEM.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, followed by its intermediates.
    pub certificate: Vec<u8>,
    /// The private key: PKCS#8, SEC1 or PKCS#1.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity([redacted])")
    }
}

/// How to reach registries.
#[derive(Clone)]
pub struct RegistryOptions {
    /// HTTP without TLS for every host. Loopback hosts get it without this,
    /// unless `ca` or `client_identity` say that TLS is meant.
    pub plain_http: bool,
    /// TLS for loopback hosts too, unless `plain_http`.
    pub loopback_tls: bool,
    /// Certificates (PEM) that are trusted beside the system's roots.
    pub ca: Vec<Vec<u8>>,
    /// Certificate that the client shows.
    pub client_identity: Option<ClientIdentity>,
    /// Whom to ask after a registry answered 401.
    pub credentials: Arc<dyn Credentials>,
    /// Where GPG simple signatures lie.
    pub lookaside: LookasideOptions,
    /// Bounds on bytes, pages, attempts and waits.
    pub limits: Limits,
    /// Where notices go; `None` drops them.
    pub notice: Option<Notice>,
}

impl Default for RegistryOptions {
    /// TLS, the system's roots, the credentials that the environment names.
    fn default() -> Self {
        Self {
            plain_http: false,
            loopback_tls: false,
            ca: Vec::new(),
            client_identity: None,
            credentials: Arc::new(AuthFiles::from_environment()),
            lookaside: LookasideOptions::default(),
            limits: Limits::default(),
            notice: None,
        }
    }
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions")
            .field("plain_http", &self.plain_http)
            .field("ca", &self.ca.len())
            .field("client_identity", &self.client_identity)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// One repository of a registry.
#[derive(Clone)]
pub struct Registry {
    session: Arc<Session>,
}

impl Registry {
    /// Opens a repository with connections and tokens of its own. Nothing is
    /// sent yet. [`RegistryClient`] shares them between repositories.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] where the repository's host makes no URL.
    pub fn open(repository: &Repository, options: RegistryOptions) -> Result<Self, StoreError> {
        RegistryClient::new(options).open(repository)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.session.place)
    }
}

#[async_trait]
impl Store for Registry {
    fn place(&self) -> String {
        self.session.place.to_string()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        manifest::pull(&self.session, target, max).await
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        blob::open(Arc::clone(&self.session), digest, size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        referrers::list(&self.session, subject).await
    }

    /// The registry's own signature extension, where it says that it has it.
    async fn beside(&self, subject: &Digest, openpgp: bool) -> Result<Beside, StoreError> {
        match openpgp {
            true => extension::signatures(&self.session, subject).await,
            false => Ok(Beside::default()),
        }
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        blob::exists(&self.session, digest, size).await
    }

    async fn push_blob(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), StoreError> {
        upload::blob(&self.session, descriptor, blob).await
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        manifest::push(&self.session, descriptor, bytes, tag).await
    }
}
