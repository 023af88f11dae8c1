//! What a test has to itself: a registry with a signed and an unsigned image,
//! a key, a policy, a namespace, and a webhook that is asked about it alone.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cluster::{Cluster, cluster, eventually};
use super::common::registry::Certificates;
use super::common::run::{Sandbox, source};
use super::common::{free_port, real::Real};

/// Who signed what must stand on the root of every image.
pub(crate) const POLICY: &str = r#"{
  "ocisign": "policy/1",
  "name": "kube",
  "signers": { "me": { "keys": [{ "file": "me.pub" }] } },
  "rules": [
    { "id": "all", "scope": ["**"],
      "require": [{ "id": "signed-by-me", "signed": { "by": ["me"], "reference": "repository" } }] }
  ]
}"#;

/// The two endpoints, by the manifests in deploy/ that ask them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    Validate,
    Mutate,
}

impl Hook {
    fn file(self) -> &'static str {
        match self {
            Self::Validate => "deploy/kustomize/webhooks/validating.yaml",
            Self::Mutate => "deploy/kustomize/webhooks/mutating.yaml",
        }
    }

    fn collection(self) -> &'static str {
        match self {
            Self::Validate => {
                "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
            }
            Self::Mutate => "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Validate => "/validate",
            Self::Mutate => "/mutate",
        }
    }
}

/// A test's own.
pub(crate) struct World {
    pub(crate) cluster: &'static Cluster,
    pub(crate) namespace: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) registry: Option<Real>,
    /// `HOST/signed:v1`, signed by `me`.
    pub(crate) signed: String,
    /// `HOST/unsigned:v1`.
    pub(crate) unsigned: String,
    certificates: Certificates,
    webhook: Option<Child>,
    port: u16,
    probes: u16,
    hooks: Vec<Hook>,
}

impl World {
    /// `None` where a program is not installed.
    pub(crate) fn new(namespace: &str) -> Option<Self> {
        let (cluster, registry) = (cluster()?, Real::start("referrers-registry")?);
        let sandbox = Sandbox::with_layouts(&["demo"]);
        sandbox.ocisign("key generate --no-password --output me").exits(0);
        let image = |name: &str| format!("{}/{name}:v1", registry.host);
        let (signed, unsigned) = (image("signed"), image("unsigned"));
        for image in [&signed, &unsigned] {
            sandbox.ocisign(&format!("copy --no-referrers oci:demo:v1 {image}")).exits(0);
        }
        sandbox.ocisign(&format!("sign --key me.key {signed}")).exits(0);
        sandbox.write("policy.json", POLICY);
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace}});
        cluster.create("/api/v1/namespaces", &object).succeeds();
        let certificates = Certificates::generate();
        sandbox.write("tls.crt", &certificates.server_pem[0]);
        sandbox.write("tls.key", &certificates.server_pem[1]);
        Some(Self {
            cluster,
            namespace: namespace.to_owned(),
            sandbox,
            registry: Some(registry),
            signed,
            unsigned,
            certificates,
            webhook: None,
            port: free_port(),
            probes: free_port(),
            hooks: Vec::new(),
        })
    }

    /// One with a webhook that validates, and pins where `hooks` says so.
    pub(crate) fn guarded(namespace: &str, hooks: &[Hook]) -> Option<Self> {
        let mut world = Self::new(namespace)?;
        world.serve("");
        world.register(hooks, |_| {});
        Some(world)
    }

    /// The digest of the signed image.
    pub(crate) fn digest(&self) -> String {
        let line = format!("verify --output json --key me.pub {}", self.signed);
        self.sandbox.ocisign(&line).exits(0).json()["digest"].as_str().unwrap().to_owned()
    }

    /// Starts the webhook, with more words on its command line.
    pub(crate) fn serve(&mut self, more: &str) {
        let log = File::create(self.sandbox.path("serve.log")).unwrap();
        let line = format!(
            "serve --policy policy.json --tls-cert tls.crt --tls-key tls.key \
             --listen 127.0.0.1:{} --probe-listen 127.0.0.1:{} {more}",
            self.port, self.probes
        );
        let child = Command::new(env!("CARGO_BIN_EXE_ocisign"))
            .args(line.split_whitespace())
            .current_dir(self.sandbox.path("."))
            .env("HOME", self.sandbox.path("."))
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.webhook = Some(child);
        let ready = || self.probe("/readyz").is_some_and(|text| text.contains("200"));
        assert!(eventually(Duration::from_secs(30), ready), "not ready:\n{}", self.log());
    }

    /// Kills the webhook as a machine that fails does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.webhook.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets the webhook stand still, and go on.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.webhook.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Takes the registry away.
    pub(crate) fn close_registry(&mut self) {
        self.registry = None;
    }

    /// What the webhook wrote.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.sandbox.read("serve.log")).into_owned()
    }

    /// The sum of a metric's samples whose labels hold all of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.probe("/metrics").unwrap();
        let fits =
            |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        text.lines()
            .filter(fits)
            .map(|line| line.rsplit(' ').next().unwrap().trim().parse::<f64>().unwrap())
            .sum()
    }

    /// An answer of the webhook's own, head and body.
    fn probe(&self, path: &str) -> Option<String> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.probes)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Registers the manifests of deploy/ for this namespace and this webhook,
    /// after `change`, and waits until the API server asks it.
    pub(crate) fn register(&mut self, hooks: &[Hook], change: impl Fn(&mut Value)) {
        for hook in hooks {
            let text = std::fs::read_to_string(source(hook.file())).unwrap();
            // the API server's own reading of the YAML
            let dry = format!("{}?dryRun=All", hook.collection());
            let mut object = self.cluster.create_yaml(&dry, &text).succeeds().json;
            object["metadata"] = json!({"name": self.namespace});
            let webhook = &mut object["webhooks"][0];
            webhook["clientConfig"] = json!({
                "url": format!("https://127.0.0.1:{}{}", self.port, hook.path()),
                "caBundle": STANDARD.encode(&self.certificates.ca),
            });
            webhook["namespaceSelector"] = json!({"matchLabels":
                {"kubernetes.io/metadata.name": self.namespace}});
            change(webhook);
            self.cluster.create(hook.collection(), &object).succeeds();
            self.hooks.push(*hook);
            self.await_hook(*hook);
        }
    }

    fn await_hook(&self, hook: Hook) {
        let before = self.asked(hook);
        let pod = pod("canary", &json!({"containers": [{"name": "c", "image": self.signed}]}));
        let path = format!("{}?dryRun=All", self.collection("Pod"));
        let heard = eventually(Duration::from_secs(30), || {
            self.cluster.create(&path, &pod);
            self.asked(hook) > before
        });
        assert!(heard, "the API server does not ask:\n{}", self.log());
    }

    /// How many reviews came to an endpoint.
    pub(crate) fn asked(&self, hook: Hook) -> f64 {
        let endpoint = format!("endpoint=\"{}\"", &hook.path()[1..]);
        self.metric("ocisign_admission_requests_total", &[&endpoint])
    }

    /// Where objects of a kind are.
    pub(crate) fn collection(&self, kind: &str) -> String {
        let (api, plural) = match kind {
            "Pod" => ("/api/v1", "pods"),
            "PodTemplate" => ("/api/v1", "podtemplates"),
            "ReplicationController" => ("/api/v1", "replicationcontrollers"),
            "ReplicaSet" => ("/apis/apps/v1", "replicasets"),
            "Deployment" => ("/apis/apps/v1", "deployments"),
            "StatefulSet" => ("/apis/apps/v1", "statefulsets"),
            "DaemonSet" => ("/apis/apps/v1", "daemonsets"),
            "Job" => ("/apis/batch/v1", "jobs"),
            "CronJob" => ("/apis/batch/v1", "cronjobs"),
            "Secret" => ("/api/v1", "secrets"),
            "ServiceAccount" => ("/api/v1", "serviceaccounts"),
            "Rollout" => ("/apis/example.test/v1", "rollouts"),
            other => panic!("no kind {other}"),
        };
        format!("{api}/namespaces/{}/{plural}", self.namespace)
    }

    /// Where one object is.
    pub(crate) fn path(&self, kind: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(kind))
    }

    /// `HOST/NAME:TAG` of this test's registry, unsigned.
    pub(crate) fn push(&self, name: &str) -> String {
        let image = format!("{}/{name}", self.registry.as_ref().unwrap().host);
        self.sandbox.ocisign(&format!("copy --no-referrers oci:demo:v1 {image}")).exits(0);
        image
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for hook in &self.hooks {
            self.cluster.delete(&format!("{}/{}", hook.collection(), self.namespace));
        }
        if std::thread::panicking() {
            eprintln!("webhook of {}:\n{}", self.namespace, self.log());
        }
        self.kill();
    }
}

/// A pod with this spec.
pub(crate) fn pod(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

/// A pod with one container.
pub(crate) fn simple_pod(name: &str, image: &str) -> Value {
    pod(name, &json!({"containers": [{"name": "c", "image": image}]}))
}
