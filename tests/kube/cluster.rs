//! A real Kubernetes API, without nodes: etcd and kube-apiserver on loopback,
//! one for all tests of this binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::common::{free_port, peer};

/// Runs both for as long as its standard input is open, which is as long as
/// the tests run, however they end. `$1` is the folder, `$2` the program, `$3`
/// the port of the API, `$4` and `$5` those of etcd.
const SCRIPT: &str = r#"
set -eu
cd "$1"
openssl genrsa -out sa.key 2048 2> /dev/null
etcd --data-dir etcd --listen-client-urls "http://127.0.0.1:$4" \
    --advertise-client-urls "http://127.0.0.1:$4" --listen-peer-urls "http://127.0.0.1:$5" \
    --initial-advertise-peer-urls "http://127.0.0.1:$5" \
    --initial-cluster "default=http://127.0.0.1:$5" > etcd.log 2>&1 &
etcd=$!
"$2" --etcd-servers="http://127.0.0.1:$4" --bind-address=127.0.0.1 --secure-port="$3" \
    --cert-dir=pki --endpoint-reconciler-type=none --service-cluster-ip-range=10.0.0.0/24 \
    --service-account-issuer=https://kube.local --service-account-key-file=sa.key \
    --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv \
    --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount \
    --runtime-config=api/all=true \
    --audit-policy-file=audit.yaml --audit-log-path=audit.log > kube-apiserver.log 2>&1 &
api=$!
trap 'kill -9 $etcd $api; wait; cd /; rm -rf "$1"' EXIT
trap 'exit 1' INT TERM
read -r _ || true
"#;

/// What the audit log holds: what was asked and by whom, and annotations.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

/// A cluster's API.
pub(crate) struct Cluster {
    folder: PathBuf,
    url: String,
    runtime: Runtime,
    client: kube::Client,
    _lifeline: Lifeline,
}

/// What both end with: where they do not come up, or by the end of the pipe
/// when the tests end.
struct Lifeline(Child);

impl Drop for Lifeline {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Reply {
    #[expect(dead_code, reason = "failures show it")]
    asked: String,
    pub(crate) status: u16,
    /// The texts of the `Warning` headers.
    pub(crate) warnings: Vec<String>,
    pub(crate) json: Value,
}

/// The cluster; `None` where its programs are not installed.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start).as_ref()
}

impl Cluster {
    fn start() -> Option<Self> {
        let (program, _) = (peer("kube-apiserver")?, peer("etcd")?);
        // a port may be taken by another process before the server has it
        let started = (0..3).find_map(|_| Self::try_start(&program));
        Some(started.unwrap_or_else(|| panic!("kube-apiserver does not start")))
    }

    fn try_start(program: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::write(folder.join("tokens.csv"), "admin,admin,1,\"system:masters\"\n").unwrap();
        fs::write(folder.join("audit.yaml"), AUDIT).unwrap();
        let port = free_port();
        let lifeline = Lifeline(
            Command::new("sh")
                .args(["-c", SCRIPT, "kube"])
                .arg(&folder)
                .arg(program)
                .args([port, free_port(), free_port()].map(|port| port.to_string()))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let url = format!("https://127.0.0.1:{port}");
        let certificate = folder.join("pki/apiserver.crt");
        if !eventually(Duration::from_secs(60), || certificate.is_file()) {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let kubeconfig = kubeconfig(&url, &certificate, "admin");
        let client = runtime.block_on(client(&kubeconfig));
        let cluster = Self { folder, url, runtime, client, _lifeline: lifeline };
        let ready = || cluster.try_send("GET", "/readyz", "", "").is_some_and(|r| r.status == 200);
        if !eventually(Duration::from_secs(60), ready) {
            let log = fs::read_to_string(cluster.folder.join("kube-apiserver.log"));
            eprintln!("{}", log.unwrap_or_default());
            return None;
        }
        Some(cluster)
    }

    /// Where the API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig for whoever has the token.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&self.url, &self.folder.join("pki/apiserver.crt"), token)
    }

    /// A token of a service account, as a pod of it would have.
    pub(crate) fn token(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let reply = self.create(&path, &request).succeeds();
        reply.json["status"]["token"].as_str().unwrap().to_owned()
    }

    /// The lines of the audit log of requests for this namespace.
    pub(crate) fn audited(&self, namespace: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default();
        // the last line may not be whole yet
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["objectRef"]["namespace"] == namespace).collect()
    }

    pub(crate) fn read(&self, path: &str) -> Reply {
        self.send("GET", path, "", "")
    }

    /// Creates an object in the collection at `path`.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Reply {
        self.send("POST", path, "application/json", &object.to_string())
    }

    /// Creates an object that is written in YAML.
    pub(crate) fn create_yaml(&self, path: &str, object: &str) -> Reply {
        self.send("POST", path, "application/yaml", object)
    }

    pub(crate) fn replace(&self, path: &str, object: &Value) -> Reply {
        self.send("PUT", path, "application/json", &object.to_string())
    }

    /// RFC 7386.
    pub(crate) fn merge(&self, path: &str, patch: &Value) -> Reply {
        self.send("PATCH", path, "application/merge-patch+json", &patch.to_string())
    }

    /// As `kubectl debug` and `kubectl edit` do.
    pub(crate) fn strategic(&self, path: &str, patch: &Value) -> Reply {
        self.send("PATCH", path, "application/strategic-merge-patch+json", &patch.to_string())
    }

    /// Server-side apply.
    pub(crate) fn apply(&self, path: &str, object: &Value) -> Reply {
        let path = format!("{path}?fieldManager=test");
        self.send("PATCH", &path, "application/apply-patch+yaml", &object.to_string())
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, "", "")
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Reply {
        self.try_send(method, path, kind, body)
            .unwrap_or_else(|| panic!("{method} {path}: silence"))
    }

    fn try_send(&self, method: &str, path: &str, kind: &str, body: &str) -> Option<Reply> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let request = request.body(kube::client::Body::from(body.as_bytes().to_vec())).unwrap();
        let (head, body) = self.runtime.block_on(async {
            let (head, body) = self.client.send(request).await.ok()?.into_parts();
            let body = axum::body::to_bytes(axum::body::Body::new(body), 64 << 20).await.ok()?;
            Some((head, body))
        })?;
        let warnings = head.headers.get_all("warning").iter();
        let warnings = warnings.map(|value| warning(value.to_str().unwrap())).collect();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Some(Reply {
            asked: format!("{method} {path}"),
            status: head.status.as_u16(),
            warnings,
            json: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
        })
    }
}

impl Reply {
    /// Fails the test unless it was done.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:#?}");
        self
    }

    /// The message of an admission webhook that denied it.
    #[track_caller]
    pub(crate) fn denied(&self) -> &str {
        let message = self.json["message"].as_str().unwrap_or_default();
        assert!(self.status >= 400 && message.contains("admission webhook"), "{self:#?}");
        assert!(message.contains("denied the request"), "{self:#?}");
        message
    }

    /// What went wrong beside a denial.
    #[track_caller]
    pub(crate) fn fails(&self) -> &str {
        assert!(self.status >= 400, "{self:#?}");
        self.json["message"].as_str().unwrap_or_default()
    }
}

/// Asks again until it is so or the time is over.
pub(crate) fn eventually(time: Duration, mut so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if so() {
            return true;
        }
        if began.elapsed() > time {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn client(kubeconfig: &str) -> kube::Client {
    let file = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
    let mut config = config.unwrap();
    (config.default_retry, config.proxy_url) = (false, None);
    kube::Client::try_from(config).unwrap()
}

fn kubeconfig(url: &str, certificate: &Path, token: &str) -> String {
    let certificate = certificate.display();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{url}', certificate-authority: {certificate}}}}}]\n\
         users: [{{name: test, user: {{token: '{token}'}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n"
    )
}

/// `299 - "text"` (RFC 7234, section 5.5).
fn warning(header: &str) -> String {
    let text = header.splitn(3, ' ').nth(2).unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    text.unwrap_or(header).replace("\\\"", "\"").replace("\\\\", "\\")
}
