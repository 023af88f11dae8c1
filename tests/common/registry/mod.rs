//! A registry inside the test: distribution-spec v1.1.1 as it should be, and
//! a list of lies that it tells on request. It records what it was asked.
//!
//! ```ignore
//! let registry = Registry::start(Options::default());
//! let image = registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
//! registry.lie("GET /v2/app/manifests/*", Lie::Status(503));
//! ```

mod auth;
mod content;
mod http;
mod lie;
mod serve;
mod tls;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ocisign::Limits;
use ocisign::image::{Descriptor, Digest, Repository, manifest_digest};

pub use auth::Auth;
pub use http::Request;
pub use lie::Lie;
pub use tls::Certificates;

/// What kind of registry to be.
#[derive(Clone)]
pub struct Options {
    /// Whether it has the referrers API; without it the API answers 404.
    pub referrers: bool,
    /// Whether a push with a subject is answered with OCI-Subject.
    pub oci_subject: bool,
    /// Entries of one page of referrers.
    pub page: usize,
    /// Whom it lets in.
    pub auth: Auth,
    /// Certificates to speak TLS with.
    pub tls: Option<Certificates>,
    /// Whether only clients with a certificate of the same CA are served.
    pub client_certificates: bool,
    /// Whether upload Locations are absolute URLs.
    pub absolute_locations: bool,
}

impl Default for Options {
    /// All of the specification, open to everyone, without TLS.
    fn default() -> Self {
        Self {
            referrers: true,
            oci_subject: true,
            page: 1000,
            auth: Auth::Open,
            tls: None,
            client_certificates: false,
            absolute_locations: false,
        }
    }
}

impl Options {
    /// As distribution is: neither the referrers API nor OCI-Subject.
    pub fn without_referrers() -> Self {
        Self { referrers: false, oci_subject: false, ..Self::default() }
    }
}

/// A running registry; it ends when this is dropped.
pub struct Registry {
    shared: Arc<Shared>,
}

pub struct Shared {
    addr: SocketAddr,
    options: Options,
    content: Mutex<content::Content>,
    lies: Mutex<Vec<lie::Planned>>,
    requests: Mutex<Vec<Request>>,
    tokens: Mutex<auth::Tokens>,
    sent: AtomicU64,
    stop: AtomicBool,
}

impl Registry {
    /// Starts one on a free loopback port.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let shared = Arc::new(Shared {
            addr: listener.local_addr().expect("an address"),
            options,
            content: Mutex::default(),
            lies: Mutex::default(),
            requests: Mutex::default(),
            tokens: Mutex::default(),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || serve::accept(&listener, &accepting));
        Self { shared }
    }

    /// `127.0.0.1:PORT`, the host part of image names.
    pub fn host(&self) -> String {
        self.shared.addr.to_string()
    }

    /// `http://127.0.0.1:PORT`, or with https.
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// A repository of this registry.
    pub fn repository(&self, path: &str) -> Repository {
        format!("{}/{path}", self.host()).parse().expect("a repository name")
    }

    /// Stores a blob directly.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of("application/octet-stream", bytes);
        self.shared.content().put_blob(repository, descriptor.digest.clone(), bytes.to_vec());
        descriptor
    }

    /// Stores a manifest directly, also under a tag where one is given. Its
    /// subject, if it has one, then lists it in the referrers API.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> Descriptor {
        let mut descriptor = Descriptor::of(media_type, bytes);
        // of schema 1 without its signatures, as registries that know it do
        let (limits, sha256) = (Limits::default(), descriptor.digest.algorithm());
        descriptor.digest = manifest_digest(sha256, Some(media_type), bytes, &limits);
        let mut content = self.shared.content();
        content.put_manifest(
            repository,
            &descriptor.digest.to_string(),
            media_type,
            bytes.to_vec(),
        );
        if let Some(tag) = tag {
            content.put_manifest(repository, tag, media_type, bytes.to_vec());
        }
        descriptor
    }

    /// Adds entries to what the referrers API lists, whether or not there is
    /// anything behind them.
    pub fn list_referrers(&self, subject: &Digest, entries: Vec<serde_json::Value>) {
        self.shared.content().listed.entry(subject.to_string()).or_default().extend(entries);
    }

    /// The manifest under a tag or digest, as it is stored.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        self.shared.content().manifest(repository, reference).map(|stored| stored.bytes)
    }

    /// The blob, as it is stored.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        self.shared.content().blob(repository, &digest.to_string())
    }

    /// Puts other bytes where the blob of this digest was.
    pub fn replace_blob(&self, repository: &str, digest: &Digest, bytes: Vec<u8>) {
        self.shared.content().put_blob(repository, digest.clone(), bytes);
    }

    /// Puts other bytes where the manifest of this digest was, under every
    /// name that it has.
    pub fn replace_manifest(&self, repository: &str, digest: &Digest, bytes: Vec<u8>) {
        self.shared.content().replace_manifest(repository, &digest.to_string(), &bytes);
    }

    /// Lies to every request that matches: `METHOD /path`, `*` for anything.
    pub fn lie(&self, pattern: &str, lie: Lie) {
        self.lie_times(usize::MAX, pattern, lie);
    }

    /// Lies to so many matching requests, then tells the truth.
    pub fn lie_times(&self, times: usize, pattern: &str, lie: Lie) {
        let planned = lie::Planned { pattern: pattern.to_owned(), times, lie };
        self.shared.lies.lock().unwrap().push(planned);
    }

    /// Everything that was asked, in its order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests matched a pattern.
    pub fn count(&self, pattern: &str) -> usize {
        self.requests().iter().filter(|request| lie::matches(pattern, request)).count()
    }

    /// Bytes of bodies that it could send before the client had enough.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends the lifetime of every token that was handed out.
    pub fn expire_tokens(&self) {
        self.shared.tokens.lock().unwrap().expire();
    }
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, content::Content> {
        self.content.lock().unwrap()
    }

    fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // wakes the thread that accepts
        let _ = TcpStream::connect_timeout(&self.shared.addr, Duration::from_secs(1));
    }
}
