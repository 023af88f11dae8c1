//! A registry with images, policies over them, and a gate between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ocisign::crypto::{PrivateKey, Signer as _};
use ocisign::envelope::{dsse, sigstore};
use ocisign::gate::{
    Answer, Clock, Event, Gate, Observer, Origin, Question, RegistryPlaces, Settings, Undecided,
};
use ocisign::image::{Depth, Descriptor, Digest, Reference, media_type};
use ocisign::store::RegistryOptions;
use ocisign::store::auth::Anonymous;
use ocisign::{Decision, Engine, Limits};
use serde_json::{Value, json};

use crate::common::registry::Registry;

/// No answer takes longer, on however busy a machine.
pub const BOUND: Duration = Duration::from_secs(60);

pub const REPOSITORY: &str = "app";

pub fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Limits under which failures are repeated within a moment.
pub fn limits() -> Limits {
    Limits {
        attempts: 2,
        idle_timeout: Duration::from_secs(30),
        retry_after: Duration::from_millis(50),
        ..Limits::default()
    }
}

/// A policy of these rules; the signers are `ana` and `bo`, each with a key
/// of keys-test. Whatever else stands in `more`.
pub fn policy(rules: &Value, more: &Value) -> Vec<u8> {
    let key = |name: &str| json!({"keys": [{"file": format!("keys-test/{name}/key.pub")}]});
    let mut policy = json!({
        "ocisign": "policy/1",
        "name": "test",
        "signers": {"ana": key("ecdsa-p256"), "bo": key("ed25519")},
        "rules": rules,
    });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy.to_string().into_bytes()
}

/// Everything must be signed by `signer`, under any name.
pub fn signed_by(signer: &str) -> Value {
    json!([rule("signed", "**", signer, "none")])
}

pub fn rule(id: &str, scope: &str, signer: &str, reference: &str) -> Value {
    let signed = json!({"by": [signer], "reference": reference});
    json!({"id": id, "scope": [scope], "require": [{"id": "s", "signed": signed}]})
}

pub fn engine(rules: &Value) -> Engine {
    engine_of(&policy(rules, &json!({})), &limits())
}

pub fn engine_of(text: &[u8], limits: &Limits) -> Engine {
    Engine::from_text("test.json", text, &path("."), limits).unwrap()
}

/// Registries over loopback, without credentials.
pub fn places() -> Arc<RegistryPlaces> {
    Arc::new(RegistryPlaces::new(options()))
}

pub fn options() -> RegistryOptions {
    RegistryOptions { credentials: Arc::new(Anonymous), limits: limits(), ..Default::default() }
}

/// A gate by ana's rule.
pub fn gate() -> Arc<Gate> {
    gate_with(engine(&signed_by("ana")), Settings::default())
}

pub fn gate_with(engine: Engine, settings: Settings) -> Arc<Gate> {
    Arc::new(Gate::with(engine, places(), settings, Arc::new(ocisign::gate::Unobserved)))
}

pub fn question(reference: impl ToString) -> Question {
    Question {
        reference: reference.to_string().parse().unwrap(),
        depth: Depth::Manifests,
        keyring: None,
        patience: BOUND,
    }
}

/// `127.0.0.1:PORT/REPOSITORY` and what follows.
pub fn name(registry: &Registry, repository: &str, rest: &str) -> Reference {
    format!("{}/{repository}{rest}", registry.host()).parse().unwrap()
}

/// What was answered, after a check that an answer admits what it says.
#[track_caller]
pub fn told(answer: Result<Answer, Undecided>) -> (Decision, Origin) {
    let answer = answer.unwrap_or_else(|why| panic!("undecided: {why}"));
    let verdict = answer.verdict();
    match answer.admit() {
        Ok(admitted) => {
            assert_eq!(verdict.decision, Decision::Allow);
            assert_eq!(*admitted.digest(), verdict.digest);
            assert_eq!(admitted.reference().tag(), None);
        }
        Err(_) => assert_ne!(verdict.decision, Decision::Allow),
    }
    (verdict.decision, answer.origin())
}

pub async fn ask(gate: &Gate, reference: impl ToString) -> (Decision, Origin) {
    told(gate.judge(&question(reference)).await)
}

pub const ALLOWED: (Decision, Origin) = (Decision::Allow, Origin::Verified);
pub const DENIED: (Decision, Origin) = (Decision::Deny, Origin::Verified);
pub const STILL_ALLOWED: (Decision, Origin) = (Decision::Allow, Origin::Remembered);
pub const STILL_DENIED: (Decision, Origin) = (Decision::Deny, Origin::Remembered);

/// Pushes an image of one layer under a tag; `seed` makes it another one.
pub fn push(registry: &Registry, repository: &str, tag: &str, seed: &str) -> Descriptor {
    push_layers(registry, repository, tag, &[seed.as_bytes()])
}

pub fn push_layers(
    registry: &Registry,
    repository: &str,
    tag: &str,
    layers: &[&[u8]],
) -> Descriptor {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let mut config = registry.put_blob(repository, config.to_string().as_bytes());
    config.media_type = media_type::OCI_CONFIG.to_owned();
    let layers = layers.iter().map(|bytes| {
        let layer = registry.put_blob(repository, bytes);
        Descriptor { media_type: media_type::OCI_LAYER.to_owned(), ..layer }
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": config, "layers": layers.collect::<Vec<_>>(),
    });
    let bytes = manifest.to_string().into_bytes();
    registry.put_manifest(repository, Some(tag), media_type::OCI_MANIFEST, &bytes)
}

/// Signs an image as `ana` or `bo`, with a name where one is given.
pub fn sign(
    registry: &Registry,
    repository: &str,
    image: &Descriptor,
    signer: &str,
    name: Option<&Reference>,
) -> Descriptor {
    let file = match signer {
        "ana" => "keys-test/ecdsa-p256/key.pem",
        _ => "keys-test/ed25519/key.pem",
    };
    let pem = std::fs::read(path(file)).unwrap();
    let key = PrivateKey::from_pem(&pem, &mut || panic!("no password"), &limits()).unwrap();
    let payload = sigstore::statement(&image.digest, name, &BTreeMap::new());
    let signature = key.sign(&dsse::pae(dsse::IN_TOTO, &payload)).unwrap();
    let bundle = sigstore::bundle(&payload, &signature, &key.public_key().hint());
    let layer = Descriptor::of(media_type::SIGSTORE_BUNDLE, &bundle);
    let made = Timestamp::UNIX_EPOCH;
    let manifest = sigstore::manifest(&layer, image, sigstore::SIGN_PREDICATE, made);
    registry.put_blob(repository, &bundle);
    registry.put_manifest(repository, None, media_type::OCI_MANIFEST, &manifest);
    layer
}

/// A registry whose `app:v1` ana has signed.
pub fn signed_app() -> (Registry, Descriptor) {
    let registry = Registry::start(Default::default());
    let image = push(&registry, REPOSITORY, "v1", "one");
    sign(&registry, REPOSITORY, &image, "ana", None);
    (registry, image)
}

/// A clock whose hands the test moves.
#[derive(Debug, Clone)]
pub struct Hands(Arc<Mutex<(Timestamp, Duration)>>);

impl Hands {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((Timestamp::now(), Duration::from_secs(1)))))
    }

    /// Time passes.
    pub fn pass(&self, seconds: u64) {
        let mut hands = self.0.lock().unwrap();
        hands.0 += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        hands.1 += Duration::from_secs(seconds);
    }

    /// Somebody sets the time of day.
    pub fn set_by(&self, seconds: i64) {
        self.0.lock().unwrap().0 += SignedDuration::from_secs(seconds);
    }

    pub fn settings(&self) -> Settings {
        Settings { clock: Arc::new(self.clone()), ..Settings::default() }
    }
}

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// Writes down what a gate tells.
#[derive(Debug, Default)]
pub struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| *line == what).count()
    }
}

impl Observer for Diary {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Answered { answer, .. } => format!("answered {:?}", answer.origin()),
            Event::Undecided { why, .. } => format!("undecided: {why}"),
            Event::Resolved { outcome, .. } => format!("resolved {}", outcome.is_ok()),
            Event::Verifying { .. } => "verifying".to_owned(),
            Event::Verified { outcome, .. } => format!("verified {}", outcome.is_ok()),
            _ => panic!("an event that the tests do not know: {event:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

/// Waits until something is so.
pub async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < BOUND, "{what}: not so after {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
