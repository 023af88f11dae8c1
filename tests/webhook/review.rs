//! Reviews, from their bytes to the bytes that answer them: which images are
//! found, which are judged, and what is said of them.

mod answers;
mod hostile;
mod patches;
mod places;
mod properties;
mod vectors;
mod workload;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ocisign::gate::{Answer, Gate, Keyring, Places, Question, Undecided};
use ocisign::image::{Depth, Digest, Reference, Repository, media_type};
use ocisign::store::{Memory, Store, StoreError};
use ocisign::webhook::review::{Judged, Options, Plan, Response, Review, Table};
use ocisign::{Engine, Limits};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Accepts, rejects, and asks for a signature, by host. Nothing is signed.
const POLICY: &str = r#"{
    "ocisign": "policy/1", "name": "reviews",
    "signers": {"ana": {"keys": [{"file": "KEY"}]}},
    "rules": [
        {"id": "open", "scope": ["docker.io/**", "registry.example/**", "gone.example/**"],
         "accept": {"reason": "a test"}},
        {"id": "closed", "scope": ["bad.example/**"], "reject": {"reason": "a test"}},
        {"id": "trial", "scope": ["trial.example/**"], "mode": {"auditUntil": "2999-01-01T00:00:00Z"},
         "require": [{"id": "signed", "signed": {"by": ["ana"], "reference": "none"}}]},
        {"id": "release", "scope": ["signed.example/**"],
         "require": [{"id": "signed", "signed": {"by": ["ana"], "reference": "none"}}]}
    ]}"#;

const TAGS: &[&str] = &["latest", "v1", "v2", "1.27"];

/// The digest under a tag, in every repository.
fn digest_of(tag: &str) -> Digest {
    Digest::sha256(&index(tag))
}

fn index(tag: &str) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [],
        "annotations": {"tag": tag}});
    index.to_string().into_bytes()
}

/// Every repository holds the same tags; those of one host hold nothing.
#[derive(Debug)]
struct Shelf(BTreeMap<&'static str, Memory>);

impl Places for Shelf {
    fn open(&self, name: &Repository, _: Option<&Keyring>) -> Result<Arc<dyn Store>, StoreError> {
        let which = if name.host() == "gone.example" { "empty" } else { "full" };
        Ok(Arc::new(self.0[which].clone()))
    }
}

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let full = Memory::new("full");
    for tag in TAGS {
        full.put_manifest(media_type::OCI_INDEX, index(tag), Some(tag));
    }
    let shelf = Shelf(BTreeMap::from([("full", full), ("empty", Memory::new("empty"))]));
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/keys-test/ecdsa-p256/key.pub");
    std::fs::write(&policy, POLICY.replace("KEY", key)).unwrap();
    Gate::new(Engine::load(&policy, &Limits::default()).unwrap(), Arc::new(shelf))
});

/// What the gate says of one image, asked once.
fn judge(reference: &Reference) -> Result<Answer, Undecided> {
    static TOLD: Mutex<BTreeMap<Reference, Result<Answer, Undecided>>> =
        Mutex::new(BTreeMap::new());
    let mut told = TOLD.lock().unwrap();
    told.entry(reference.clone()).or_insert_with(|| ask(reference)).clone()
}

fn ask(reference: &Reference) -> Result<Answer, Undecided> {
    let question = Question {
        reference: reference.clone(),
        depth: Depth::Manifests,
        keyring: None,
        patience: Duration::from_secs(20),
    };
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(GATE.judge(&question))
}

fn judged(plan: &Plan) -> Vec<Judged> {
    let answers = plan.inquiries().iter().map(|asked| judge(asked.reference)).collect();
    plan.judged(answers)
}

fn table() -> Table {
    let places = std::fs::read(data("places.json")).unwrap();
    Table::parse(&places, &Limits::default()).unwrap()
}

fn data(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews").join(name)
}

fn parsed(body: &Value) -> Review {
    Review::parse(body.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn planned(body: &Value) -> Plan {
    parsed(body).plan(&table()).unwrap()
}

/// A review of an object as an API server would send it.
fn review(operation: &str, object: &Value, old: Option<&Value>) -> Value {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().unwrap();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "uid-1", "operation": operation, "namespace": "team", "name": "x",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": kind.to_lowercase() + "s"},
        "object": object, "oldObject": old,
    }})
}

/// A pod whose containers `c0`, `c1`… run these images.
fn pod(images: &[&str]) -> Value {
    let container = |(index, image)| json!({"name": format!("c{index}"), "image": image});
    let containers: Vec<Value> = images.iter().enumerate().map(container).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {"containers": containers}})
}

/// One of the two webhooks.
type Webhook = fn(&Review, &Plan, &[Judged], &Options) -> Response;

/// The whole way: the response to a review, as the outcome and as JSON.
fn answered(webhook: Webhook, body: &Value, options: &Options) -> (Response, Value) {
    let review = parsed(body);
    let plan = review.plan(&table()).unwrap();
    let response = webhook(&review, &plan, &judged(&plan), options);
    let json = serde_json::from_slice(response.body()).unwrap();
    (response, json)
}
