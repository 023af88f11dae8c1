//! A running server with a registry that lies on request, and its clients.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use ocisign::crypto::PrivateKey;
use ocisign::engine::{Access, Image, SignOptions, SigningKey, Silent, sign};
use ocisign::evidence::Format;
use ocisign::gate::{self, Places, RegistryPlaces};
use ocisign::image::{Depth, media_type};
use ocisign::store::RegistryOptions;
use ocisign::store::auth::Anonymous;
use ocisign::webhook::review::Options;
use ocisign::webhook::{Control, Ended, Keychain, LogLevel, Server, Settings, TlsFiles};
use ocisign::{Digest, Limits, Source};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::common::registry::{Certificates, Registry};
use crate::common::run::source;

/// No test waits longer than this for anything.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// What a server is started with.
pub(crate) struct Setup {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) certificates: Certificates,
    pub(crate) settings: Settings,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) keychain: Option<Arc<dyn Keychain>>,
}

/// A running server.
pub(crate) struct Served {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) certificates: Certificates,
    pub(crate) control: Control,
    pub(crate) port: u16,
    pub(crate) client: reqwest::Client,
    log: Sink,
    running: JoinHandle<Ended>,
}

/// Where the log goes.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A policy that wants a signature of the test key on everything.
pub(crate) fn signed_policy(serial: u64) -> String {
    policy(
        serial,
        r#""require": [{"id": "signed", "signed": {"by": ["demo"], "reference": "none"}}]"#,
    )
}

/// A policy with one rule on everything.
pub(crate) fn policy(serial: u64, rule: &str) -> String {
    let signers = match rule.contains("demo") {
        true => r#""signers": {"demo": {"keys": [{"file": "demo.pub"}]}},"#,
        false => "",
    };
    format!(
        r#"{{"ocisign": "policy/1", "name": "test", "serial": {serial}, {signers}
  "rules": [{{"id": "all", "scope": ["**"], {rule}}}]}}"#
    )
}

impl Setup {
    /// Images signed by the test key may run.
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::admission())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::generate();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("policy.json"), signed_policy(1)).unwrap();
        std::fs::copy(source("keys-test/ecdsa-p256/key.pub"), path("demo.pub")).unwrap();
        write_pair(folder.path(), &certificates);
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            probe_listen: None,
            tls: TlsFiles { certificate: path("tls.crt"), key: path("tls.key"), client_ca: None },
            policy: path("policy.json"),
            resources: None,
            depth: Depth::Manifests,
            options: Options::default(),
            timeout: Duration::from_secs(10),
            reload_every: Duration::from_millis(50),
            lame_duck: Duration::from_millis(100),
            drain: Duration::from_secs(10),
            log: LogLevel::All,
            gate: gate::Settings::default(),
            limits: limits.clone(),
        };
        let options =
            RegistryOptions { credentials: Arc::new(Anonymous), limits, ..Default::default() };
        let places = Arc::new(RegistryPlaces::new(options));
        Self { folder, certificates, settings, places, keychain: None }
    }

    pub(crate) async fn start(self) -> Served {
        let log = Sink::default();
        let sink = Box::new(log.clone());
        let server = Server::bind(self.settings, self.places, self.keychain, sink).await.unwrap();
        let port = server.address().unwrap().port();
        let control = server.control();
        let running = tokio::spawn(server.run());
        let client = client(&self.certificates);
        Served {
            folder: self.folder,
            certificates: self.certificates,
            control,
            port,
            client,
            log,
            running,
        }
    }
}

/// A client that trusts the CA of `certificates`.
pub(crate) fn client(certificates: &Certificates) -> reqwest::Client {
    let tls = client_tls(certificates);
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// TLS that trusts the CA of `certificates`.
pub(crate) fn client_tls(certificates: &Certificates) -> rustls::ClientConfig {
    trusting(certificates).with_no_client_auth()
}

fn trusting(
    certificates: &Certificates,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificates.ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

/// A client that shows a certificate of the same CA.
pub(crate) fn known_client(certificates: &Certificates) -> reqwest::Client {
    known_client_of(certificates, certificates)
}

/// A client that trusts one CA and shows a certificate of another.
pub(crate) fn known_client_of(shown: &Certificates, trusted: &Certificates) -> reqwest::Client {
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(shown.client.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(shown.client_key.as_bytes()).unwrap();
    let tls = trusting(trusted).with_client_auth_cert(vec![certificate], key).unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// Writes the server's certificate and key where the settings look for them.
pub(crate) fn write_pair(folder: &Path, certificates: &Certificates) {
    for (name, pem) in ["tls.crt", "tls.key"].iter().zip(&certificates.server_pem) {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}

impl Served {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Puts a file in place as a whole, as a ConfigMap does.
    pub(crate) fn replace(&self, name: &str, content: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks for one review; status and body.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let sent = self.client.post(self.url(path)).body(body).send();
        let answer = tokio::time::timeout(BOUND, sent).await.expect("no answer").unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The `response` of a review.
    pub(crate) async fn review(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post(path, review.to_string()).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"], "{answer}");
        answer["response"].clone()
    }

    /// A metric's value by its name with labels; 0 where it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        metric_of(&text, name)
    }

    /// The log's lines so far that are of one event.
    pub(crate) fn logged(&self, event: &str) -> Vec<Value> {
        let bytes = self.log.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !holds(self).await {
            assert!(began.elapsed() < BOUND, "it never holds that {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the server; how it ended.
    pub(crate) async fn end(self) -> Ended {
        self.control.end();
        self.ended().await
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> Ended {
        tokio::time::timeout(BOUND, self.running).await.expect("it does not end").unwrap()
    }
}

/// A metric's value in a scrape.
pub(crate) fn metric_of(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

/// A review of a Pod that is created with these images.
pub(crate) fn pod(uid: &str, images: &[&str]) -> Value {
    let containers: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}))
        .collect();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "app",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "ana"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "app", "namespace": "default"},
                "spec": {"containers": containers},
            },
            "oldObject": null,
            "dryRun": false,
        },
    })
}

/// The operations of an answer's patch.
pub(crate) fn patch(response: &Value) -> Vec<Value> {
    let Some(text) = response["patch"].as_str() else { return Vec::new() };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A registry, and images that are put into it.
pub(crate) struct Images {
    pub(crate) registry: Registry,
}

impl Images {
    pub(crate) fn new() -> Self {
        Self { registry: Registry::start(Default::default()) }
    }

    /// An image of one layer that nobody signed; its digest.
    pub(crate) fn unsigned(&self, repository: &str, tag: &str) -> Digest {
        let registry = &self.registry;
        let content = format!("{repository}:{tag}");
        let layer = registry.put_blob(repository, content.as_bytes());
        let config = json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
        let config = registry.put_blob(repository, config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": {"mediaType": media_type::OCI_CONFIG,
                "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.digest, "size": layer.size}],
        });
        let manifest = manifest.to_string();
        registry
            .put_manifest(repository, Some(tag), media_type::OCI_MANIFEST, manifest.as_bytes())
            .digest
    }

    /// The same, signed by the test key.
    pub(crate) async fn signed(&self, repository: &str, tag: &str) -> Digest {
        let digest = self.unsigned(repository, tag);
        self.sign(&self.name(repository, tag)).await;
        digest
    }

    /// Signs an image.
    pub(crate) async fn sign(&self, name: &str) {
        let limits = Limits::default();
        let pem = std::fs::read(source("keys-test/ecdsa-p256/key.pem")).unwrap();
        let key = PrivateKey::from_pem(&pem, &mut || panic!("no password"), &limits).unwrap();
        let source = Source::parse(name).unwrap();
        let image = Image::open(&source, None, &Access::default(), &limits).unwrap();
        let options = SignOptions {
            annotations: Default::default(),
            format: Format::Sigstore,
            recursive: false,
            attach: true,
            sign: true,
            created: Timestamp::now(),
        };
        sign(&image, SigningKey::Key(&key), &options, &limits, &Silent).await.unwrap();
    }

    pub(crate) fn name(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.registry.host())
    }
}
