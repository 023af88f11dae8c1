//! A real kube-apiserver on a real etcd, on loopback, for as long as a test
//! wants it. There are no controllers and no nodes: what is created stays as
//! it was admitted.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::common::{free_port, peer};

/// How long both take to start where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Cluster {
    children: Vec<Child>,
    folder: tempfile::TempDir,
    pub address: SocketAddr,
}

/// What the API server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub warnings: Vec<String>,
}

/// Whether a change is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    Dry,
    Real,
}

impl Cluster {
    /// The cluster that all tests of this binary share while one of them
    /// uses it; `None` where the machine has none.
    pub async fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let (etcd, server) = (peer("etcd")?, peer("kube-apiserver")?);
        tokio::task::spawn_blocking(move || {
            let mut shared = SHARED.lock().unwrap_or_else(|broken| broken.into_inner());
            if let Some(cluster) = shared.upgrade() {
                return Some(cluster);
            }
            let cluster = (0..3).find_map(|_| Self::start(&etcd, &server));
            let cluster = Arc::new(cluster.expect("kube-apiserver does not start"));
            *shared = Arc::downgrade(&cluster);
            Some(cluster)
        })
        .await
        .unwrap()
    }

    /// `None` where one of them ended at once: its port was taken.
    fn start(etcd: &Path, server: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let key = Command::new("openssl").args(["genrsa", "-out"]).arg(path("sa.key")).output();
        assert!(key.unwrap().status.success());
        std::fs::write(path("tokens.csv"), "admin,admin,1,\"system:masters\"\n").unwrap();
        let [client, peers, port] = [free_port(), free_port(), free_port()];
        let log = |name: &str| Stdio::from(File::create(path(name)).unwrap());
        let (clients, peers) = (url(client), url(peers));
        let etcd = Command::new(etcd)
            .args(["--data-dir", path("etcd").to_str().unwrap(), "--unsafe-no-fsync"])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .stdout(Stdio::null())
            .stderr(log("etcd.log"))
            .spawn()
            .unwrap();
        let file = |flag: &str, name: &str| format!("--{flag}={}", path(name).display());
        let server = Command::new(server)
            .args([format!("--etcd-servers={clients}"), format!("--secure-port={port}")])
            .args(["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .args(["--service-account-issuer=https://kube.local", "--authorization-mode=RBAC"])
            .args([
                file("cert-dir", "pki"),
                file("token-auth-file", "tokens.csv"),
                file("service-account-key-file", "sa.key"),
                file("service-account-signing-key-file", "sa.key"),
            ])
            // no controllers make service accounts here
            .args(["--service-cluster-ip-range=10.0.0.0/24"])
            .args(["--disable-admission-plugins=ServiceAccount"])
            .stdout(Stdio::null())
            .stderr(log("kube-apiserver.log"))
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { children: vec![server, etcd], folder, address }.ready()
    }

    fn ready(mut self) -> Option<Self> {
        let began = Instant::now();
        loop {
            let url = format!("https://{}/readyz", self.address);
            let header = "Authorization: Bearer admin";
            let asked =
                Command::new("curl").args(["-sk", "--noproxy", "*", "-H", header, &url]).output();
            if asked.unwrap().stdout == b"ok" {
                return Some(self);
            }
            if self.children.iter_mut().any(|child| child.try_wait().unwrap().is_some()) {
                return None;
            }
            if began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.folder.path().join("kube-apiserver.log"));
                panic!("kube-apiserver does not get ready:\n{}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.client("admin")
    }

    /// A client with a token. Whose certificate the server shows is its own
    /// affair here.
    pub fn client(&self, token: &str) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::new(format!("https://{}", self.address).parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.to_owned().into());
        config.proxy_url = None;
        Client::try_from(config).unwrap()
    }

    /// A kubeconfig for a token.
    pub fn kubeconfig(&self, token: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'https://{}', \
             insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: test, user: {{token: {token}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            self.address
        )
    }

    /// A token of a service account, from the API server.
    pub async fn token_of(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": ["https://kube.local"] } });
        let answer = self.send("POST", &path, "application/json", &request).await.is(201);
        answer.body["status"]["token"].as_str().unwrap().to_owned()
    }

    /// Applies an object by server-side apply, refusing every field that the
    /// API server does not know.
    pub async fn apply(&self, object: &Value, how: Try) -> Answer {
        let dry = if how == Try::Dry { "&dryRun=All" } else { "" };
        let query = format!("?fieldManager=test&force=true&fieldValidation=Strict{dry}");
        let path = self.path(object).await + &query;
        self.send("PATCH", &path, "application/apply-patch+yaml", object).await
    }

    /// Creates an object.
    pub async fn create(&self, object: &Value, how: Try) -> Answer {
        let path = self.path(object).await;
        let (path, _) = path.rsplit_once('/').unwrap();
        let dry = if how == Try::Dry { "?dryRun=All" } else { "" };
        self.send("POST", &format!("{path}{dry}"), "application/json", object).await
    }

    /// Changes an object, or its subresource, by a merge patch.
    pub async fn patch(&self, object: &Value, subresource: &str, change: &Value) -> Answer {
        let path = self.path(object).await + subresource;
        self.send("PATCH", &path, "application/merge-patch+json", change).await
    }

    /// Reads an object.
    pub async fn read(&self, object: &Value) -> Answer {
        let path = self.path(object).await;
        self.send("GET", &path, "application/json", &Value::Null).await
    }

    /// Deletes an object.
    pub async fn delete(&self, object: &Value) -> Answer {
        let path = self.path(object).await;
        self.send("DELETE", &path, "application/json", &Value::Null).await
    }

    /// Makes sure of a namespace with these labels.
    pub async fn namespace(&self, name: &str, labels: Value) {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": labels } });
        let answer = self.apply(&object, Try::Real).await;
        assert!(answer.status < 300, "{answer:?}");
    }

    async fn path(&self, object: &Value) -> String {
        let version = object["apiVersion"].as_str().unwrap();
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let gvk = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        let (kind, capabilities) = pinned_kind(&self.admin(), &gvk).await.unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let namespace = match capabilities.scope {
            Scope::Cluster => String::new(),
            Scope::Namespaced => {
                let name = object["metadata"]["namespace"].as_str();
                format!("namespaces/{}/", name.unwrap_or("default"))
            }
        };
        let root =
            if group.is_empty() { "/api/v1".into() } else { format!("/apis/{group}/{version}") };
        format!("{root}/{namespace}{}/{name}", kind.plural)
    }

    pub async fn send(&self, method: &str, path: &str, kind: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, kind);
        let answer = self.admin().send(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let warnings = head.headers.get_all(WARNING).iter();
        let warnings = warnings.map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned());
        let warnings = warnings.collect();
        let body = body.collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status.as_u16(), body, warnings }
    }
}

impl Answer {
    /// Fails the test unless the API server answered so.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Fails the test unless the change was made, without a remark.
    #[track_caller]
    pub fn passes(self, what: &str) -> Self {
        assert!(self.status < 300, "{what}: {}", self.body);
        assert!(self.warnings.is_empty(), "{what}: {:?}", self.warnings);
        self
    }

    /// Whether the API server could not ask the webhook, and denied.
    pub fn is_stopped_by_the_gate(&self) -> bool {
        let message = self.body["message"].as_str().unwrap_or_default();
        self.status == 500 && message.contains("failed calling webhook")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
