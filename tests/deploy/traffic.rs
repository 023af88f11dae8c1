//! Rotation under load: the API server asks `ocisign serve` all the time, and
//! not one request is answered otherwise because of a certificate.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cluster::{Answer, Cluster};
use crate::common::free_port;
use crate::common::real::Real;
use crate::common::run::Sandbox;
use crate::rotation::{Job, Server, decoded};

const NAMESPACE: &str = "traffic";
const PATH: &str = "/apis/apps/v1/namespaces/traffic/deployments?dryRun=All";

/// From a Secret's change to the files of a pod's mount, and from there to
/// what the server shows. In a cluster the first takes up to a minute.
const MOUNTED: Duration = Duration::from_millis(300);
const LOADED: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_while_the_certificate_is_rotated() {
    let Some(registry) = Real::start("referrers-registry") else { return };
    let port = free_port();
    let Some(job) = Job::set_up(NAMESPACE, Server::Loopback(port)).await else { return };
    let images = Images::push(&registry);
    job.run("").exits(0).says("a certificate was made");
    mount(&images.sandbox, &job.data().await);
    let _server = Serve::start(&images.sandbox, port);
    job.configure().await;
    job.run("").exits(0).says("trusts its authority");
    in_force(&job.cluster, &images).await;

    let traffic = Traffic::start(&job.cluster, &images);
    for round in 0..3 {
        job.run("--now --settle=1s").exits(0).says("was replaced");
        sleep(MOUNTED).await;
        mount(&images.sandbox, &job.data().await);
        sleep(LOADED).await;
        // every replica has it: nothing but the new authority is trusted now
        job.run("--overlap=0s").exits(0).says("no longer trusted");
        sleep(LOADED).await;
        assert!(traffic.answered() > 10 * (round + 1), "no traffic");
    }
    traffic.stop().await;

    // and it was checked: a server that kept the old one is not believed
    job.run("--now --settle=0s").exits(0);
    job.run("--overlap=0s").exits(0);
    for attempt in 0.. {
        let answer = create(&job.cluster, &images.signed).await;
        if answer.is_stopped_by_the_gate() {
            assert!(answer.body.to_string().contains("x509"), "{}", answer.body);
            break;
        }
        assert!(attempt < 100, "the old authority is still believed");
        sleep(Duration::from_millis(100)).await;
    }
    job.clean_up().await;
}

/// A signed image and one that is not, in a registry, and the policy.
struct Images {
    sandbox: Sandbox,
    signed: String,
    unsigned: String,
}

impl Images {
    fn push(registry: &Real) -> Self {
        let sandbox = Sandbox::with_layouts(&["demo"]);
        sandbox.key("ecdsa-p256/key.pem", "me.key");
        sandbox.key("ecdsa-p256/key.pub", "me.pub");
        let host = &registry.host;
        let (signed, unsigned) = (format!("{host}/signed:v1"), format!("{host}/unsigned:v1"));
        for image in [&signed, &unsigned] {
            sandbox.ocisign(&format!("copy --no-referrers oci:demo:v1 {image}")).exits(0);
        }
        sandbox.ocisign(&format!("sign --key me.key {signed}")).exits(0);
        let scope = format!("policy init --scope {host}/** --signer me=me.pub");
        let policy = sandbox.ocisign(&scope).exits(0).stdout;
        sandbox.write("policy.json", policy);
        Self { sandbox, signed, unsigned }
    }
}

/// Puts a Secret into files as the kubelet does: a folder for each content,
/// and a link that changes from one to the next at once.
fn mount(sandbox: &Sandbox, data: &Value) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let content = format!("..{}", NEXT.fetch_add(1, Ordering::Relaxed));
    for key in ["tls.crt", "tls.key"] {
        sandbox.write(&format!("tls/{content}/{key}"), decoded(&data[key]));
        let link = sandbox.path(format!("tls/{key}"));
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Path::new("..data").join(key), link).unwrap();
        }
    }
    std::os::unix::fs::symlink(&content, sandbox.path("tls/..next")).unwrap();
    std::fs::rename(sandbox.path("tls/..next"), sandbox.path("tls/..data")).unwrap();
}

struct Serve(Child);

impl Serve {
    fn start(sandbox: &Sandbox, port: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_ocisign"))
            .current_dir(sandbox.path("."))
            .args(["serve", "--policy=policy.json", "--reload-every=500ms"])
            .args(["--tls-cert=tls/tls.crt", "--tls-key=tls/tls.key"])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .env("HOME", sandbox.path("."))
            .env("NO_PROXY", "127.0.0.1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn create(cluster: &Cluster, image: &str) -> Answer {
    let labels = json!({ "app": "one" });
    let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "one", "namespace": NAMESPACE },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "c", "image": image }] } } } });
    cluster.send("POST", PATH, "application/json", &object).await
}

async fn in_force(cluster: &Cluster, images: &Images) {
    for attempt in 0.. {
        let (signed, unsigned) =
            (create(cluster, &images.signed).await, create(cluster, &images.unsigned).await);
        if signed.status == 201 && unsigned.status == 403 {
            return;
        }
        assert!(attempt < 200, "{}\n{}", signed.body, unsigned.body);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Clients that never stop, and know what the answers must be.
struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    fn start(cluster: &Arc<Cluster>, images: &Images) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |image: &str, right: fn(&Answer) -> bool| {
            let (cluster, image) = (Arc::clone(cluster), image.to_owned());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = create(&cluster, &image).await;
                    assert!(right(&answer), "{image}: {} {}", answer.status, answer.body);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let pinned = |answer: &Answer| {
            let template = &answer.body["spec"]["template"]["spec"];
            let image = template["containers"][0]["image"].as_str().unwrap_or_default();
            answer.status == 201 && image.contains("@sha256:")
        };
        let denied = |answer: &Answer| {
            answer.status == 403 && answer.body.to_string().contains("denied the request")
        };
        let clients = vec![
            client(&images.signed, pinned),
            client(&images.signed, pinned),
            client(&images.unsigned, denied),
        ];
        Self { stop, answered, clients }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}
