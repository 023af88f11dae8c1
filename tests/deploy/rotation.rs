//! The certificate's life in a cluster, with the rights that the manifests
//! give to its job and no others.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Try};
use crate::common::run::{Ran, Sandbox};
use crate::rendered::{self, only, title};

/// What the job is given, and where it runs.
pub struct Job {
    pub cluster: Arc<Cluster>,
    pub sandbox: Sandbox,
    line: String,
    objects: Vec<Value>,
}

/// Whom the API server calls.
#[derive(Clone, Copy)]
pub enum Server {
    /// Nobody: the configurations select nothing.
    None,
    /// A server on this port of loopback, about the job's namespace.
    Loopback(u16),
}

impl Job {
    /// The overlay in a namespace of its own, but for what needs nodes, and
    /// for the configurations if they are to come later.
    pub async fn set_up(namespace: &str, server: Server) -> Option<Self> {
        let cluster = Cluster::shared().await?;
        let mut objects = moved(rendered::overlay("self-managed")?, namespace, server);
        let job = only(&objects, "Job", "ocisign-certificate-first");
        let args = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let mut line = args.iter().map(|arg| arg.as_str().unwrap()).collect::<Vec<_>>().join(" ");
        if let Server::Loopback(_) = server {
            line += " --host=127.0.0.1";
        }
        objects.retain(|one| {
            let kind = one["kind"].as_str().unwrap();
            kind.contains("Role")
                || ["Namespace", "ServiceAccount", "Secret"].contains(&kind)
                || kind.ends_with("WebhookConfiguration")
        });
        for object in objects.iter().filter(|one| !is_configuration(one)) {
            cluster.apply(object, Try::Real).await.passes(&title(object));
        }
        let mut sandbox = Sandbox::new();
        let token = cluster.token_of(namespace, "ocisign-certificate").await;
        sandbox.write("kubeconfig", cluster.kubeconfig(&token));
        sandbox.chmod("kubeconfig", 0o600);
        sandbox.set("KUBECONFIG", sandbox.path("kubeconfig").to_str().unwrap());
        Some(Self { cluster, sandbox, line, objects })
    }

    pub fn run(&self, more: &str) -> Ran {
        self.sandbox.ocisign(&format!("{} {more}", self.line))
    }

    pub async fn configure(&self) {
        for object in self.objects.iter().filter(|one| is_configuration(one)) {
            self.cluster.apply(object, Try::Real).await.passes(&title(object));
        }
    }

    /// `ca.crt` and `tls.crt` of the secret, as text.
    async fn secret(&self) -> (String, String) {
        let data = self.data().await;
        (decoded(&data["ca.crt"]), decoded(&data["tls.crt"]))
    }

    /// All that the secret holds, in base64.
    pub async fn data(&self) -> Value {
        let secret = self.objects.iter().find(|one| one["kind"] == "Secret").unwrap();
        self.cluster.read(secret).await.is(200).body["data"].clone()
    }

    /// What both configurations trust.
    async fn bundles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for object in self.objects.iter().filter(|one| is_configuration(one)) {
            let answer = self.cluster.read(object).await.is(200);
            found.push(decoded(&answer.body["webhooks"][0]["clientConfig"]["caBundle"]));
        }
        assert_eq!(found.len(), 2);
        found
    }

    pub async fn clean_up(self) {
        for object in self.objects.iter().filter(|one| is_configuration(one)) {
            self.cluster.delete(object).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_certificate_is_made_and_trusted_and_then_left_alone() {
    let Some(job) = Job::set_up("first", Server::None).await else { return };
    // the server comes first, its configurations when it is ready
    job.run("").exits(0).says("a certificate was made").says("does not exist; run this again");
    let (authorities, certificate) = job.secret().await;
    job.configure().await;
    assert_eq!(job.bundles().await, ["", ""]);
    job.run("").exits(0).says("nothing is due").says("trusts its authority");
    assert_eq!(job.bundles().await, [authorities.as_str(), &authorities]);
    job.run("").exits(0).says("nothing is due").lacks("trusts its authority");
    // applying the manifests again takes nothing away
    for object in &job.objects {
        job.cluster.apply(object, Try::Real).await.passes(&title(object));
    }
    assert_eq!(job.secret().await, (authorities.clone(), certificate));
    assert_eq!(job.bundles().await, [authorities.as_str(), &authorities]);
    // and where somebody did, the next run puts it back
    let hook = &job.objects.iter().find(|one| is_configuration(one)).unwrap();
    job.cluster.delete(hook).await.is(200);
    job.configure().await;
    job.run("").exits(0).says("trusts its authority");
    assert_eq!(job.bundles().await, [authorities.as_str(), &authorities]);
    job.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_trusts_first_and_forgets_later() {
    let Some(job) = Job::set_up("rotated", Server::None).await else { return };
    job.configure().await;
    job.run("").exits(0);
    let (first_authority, first) = job.secret().await;
    // due: it holds for less than is asked for
    let due = "--valid=100d --renew-before=95d --settle=0s";
    job.run(due).exits(0).says("was replaced");
    let (both, second) = job.secret().await;
    assert_ne!(first, second);
    assert!(both.starts_with(&first_authority) && both.len() > first_authority.len());
    assert_eq!(job.bundles().await, [both.as_str(), &both]);
    // within the overlap both stay, after it the old one goes
    job.run("").exits(0).says("nothing is due");
    assert_eq!(job.secret().await.0, both);
    job.run("--overlap=0s").exits(0).says("no longer trusted");
    let (left, kept) = job.secret().await;
    assert_eq!(kept, second);
    assert_eq!(left, both[first_authority.len()..]);
    assert_eq!(job.bundles().await, [left.as_str(), &left]);
    job.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_leave_one_certificate_that_all_trust() {
    let Some(job) = Job::set_up("raced", Server::None).await else { return };
    job.configure().await;
    job.run("").exits(0);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| job.run("--now --settle=100ms").exits(0))).collect();
        runs.into_iter().for_each(|run| drop(run.join().unwrap()));
    });
    let (authorities, _) = job.secret().await;
    assert_eq!(job.bundles().await, [authorities.as_str(), &authorities]);
    job.run("").exits(0).says("nothing is due").lacks("trusts its authority");
    job.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_may_not_touch_stays_as_it_is() {
    let Some(job) = Job::set_up("foreign", Server::None).await else { return };
    job.configure().await;
    job.run("").exits(0);
    // another secret, by this account: no right
    let other = job.line.replace("--secret=ocisign-tls", "--secret=other");
    job.sandbox
        .ocisign(&other)
        .exits(2)
        .says("secret `foreign/other` cannot be read")
        .says("cannot get");
    // another configuration: no right
    let other = job.line.replace("--validating=ocisign-foreign", "--validating=other");
    job.sandbox.ocisign(&other).exits(2).says("ValidatingWebhookConfiguration `other`");
    // a secret that somebody else looks after, though the right is there
    let secret = job.objects.iter().find(|one| one["kind"] == "Secret").unwrap();
    job.cluster.delete(secret).await.is(200);
    let mut theirs = secret.clone();
    theirs["data"] = json!({ "tls.crt": "eA==", "tls.key": "eA==" });
    job.cluster.create(&theirs, Try::Real).await.is(201);
    job.run("").exits(2).says("did not make");
    assert_eq!(job.secret().await.1, "x");
    // a configuration that calls another service
    job.cluster.delete(secret).await.is(200);
    job.cluster.create(secret, Try::Real).await.is(201);
    let other = job.line.replace("--service=ocisign", "--service=other");
    job.sandbox.ocisign(&other).exits(2).says("calls the service");
    job.clean_up().await;
}

#[test]
fn no_cluster_is_an_error_that_says_what_to_do() {
    let sandbox = Sandbox::new();
    let line = "certificate rotate --namespace n --service s --secret t --validating v";
    sandbox.ocisign(line).exits(2).says("--kubeconfig");
    let short = format!("{line} --valid 30d");
    sandbox.ocisign(&short).exits(2).says("give a longer --valid");
    sandbox.ocisign(&format!("{line} --valid soon")).exits(2).says("write `90d`");
}

/// The same files for a server outside of Kubernetes; openssl agrees.
#[test]
fn files_are_renewed_when_they_are_due() {
    let sandbox = Sandbox::new();
    let line = "certificate files --output-dir tls --host gate.example --host 127.0.0.1";
    sandbox.ocisign(line).exits(0).says("a certificate was made");
    let first = sandbox.read("tls/tls.crt");
    sandbox.ocisign(line).exits(0).says("nothing is due");
    assert_eq!(sandbox.read("tls/tls.crt"), first);
    // for one name more: those who call it by another go on to trust it
    sandbox.ocisign(&format!("{line} --host other.example")).exits(0).says("was replaced");
    assert!(sandbox.read("tls/ca.crt").len() > 1000, "two authorities");
    sandbox.ocisign(&format!("{line} --valid 100d --renew-before 95d")).exits(0).says("replaced");
    let output = std::process::Command::new("openssl")
        .args(["verify", "-purpose", "sslserver", "-verify_hostname", "gate.example", "-CAfile"])
        .args([sandbox.path("tls/ca.crt"), sandbox.path("tls/tls.crt")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(sandbox.path("tls/tls.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn is_configuration(object: &Value) -> bool {
    object["kind"].as_str().unwrap().ends_with("WebhookConfiguration")
}

/// The objects in another namespace, and what has none under another name,
/// so that tests do not meet.
fn moved(objects: Vec<Value>, namespace: &str, server: Server) -> Vec<Value> {
    let text = serde_json::to_string(&objects).unwrap();
    let text = text.replace("\"namespace\":\"ocisign\"", &format!("\"namespace\":\"{namespace}\""));
    let text = text.replace("--namespace=ocisign", &format!("--namespace={namespace}"));
    let text = text.replace("=ocisign\"", &format!("=ocisign-{namespace}\""));
    let text = text.replace(&format!("--service=ocisign-{namespace}\""), "--service=ocisign\"");
    let mut objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let cluster_wide = kind.starts_with("ClusterRole") || is_configuration(object);
        if kind == "Namespace" {
            object["metadata"]["name"] = json!(namespace);
        } else if cluster_wide {
            let name = object["metadata"]["name"].as_str().unwrap();
            object["metadata"]["name"] = json!(format!("{name}-{namespace}"));
        }
        match kind.as_str() {
            "ClusterRole" => {
                object["rules"][0]["resourceNames"] = json!([format!("ocisign-{namespace}")]);
            }
            "ClusterRoleBinding" => {
                object["roleRef"]["name"] = object["metadata"]["name"].clone();
            }
            _ if is_configuration(object) => call(&mut object["webhooks"][0], namespace, server),
            _ => {}
        }
    }
    objects
}

fn call(hook: &mut Value, namespace: &str, server: Server) {
    let (key, operator) = match server {
        Server::None => ("nobody", "Exists"),
        Server::Loopback(port) => {
            let path = hook["clientConfig"]["service"]["path"].as_str().unwrap();
            let url = format!("https://127.0.0.1:{port}{path}");
            hook["clientConfig"] = json!({ "url": url });
            ("kubernetes.io/metadata.name", "In")
        }
    };
    let mut only = json!({ "key": key, "operator": operator });
    if let Server::Loopback(_) = server {
        only["values"] = json!([namespace]);
    }
    hook["namespaceSelector"]["matchExpressions"] = json!([only]);
}

pub fn decoded(value: &Value) -> String {
    use base64::Engine as _;
    let text = value.as_str().unwrap_or_default();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}
