//! Bad input, through the whole pipe: a signed image in a registry that lies,
//! and the stated answer to each lie, in bounded time and memory.
//!
//! | what is wrong | answer |
//! |---|---|
//! | a byte or the length of anything in the image's tree | deny: integrity |
//! | a signature's manifest or bundle | a rejection; deny if nothing else counts |
//! | something that was there could not be had, or a bound was reached | undecided, or an error (exit 2) |
#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod bytes;
mod command;
mod documents;
#[cfg(feature = "cli")]
mod extension;
#[cfg(feature = "cli")]
mod lookaside;
mod network;
mod signatures;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::registry::{Options, Registry};
use jiff::Timestamp;
use ocisign::crypto::{PrivateKey, PublicKey, Signer as _};
use ocisign::engine::{Error, Shorthand, shorthand};
use ocisign::envelope::{dsse, sigstore};
use ocisign::image::{Depth, Descriptor, Digest, media_type};
use ocisign::policy::Row;
use ocisign::{Access, Ask, Decision, Engine, Image, Limits, Source, Verdict, block_on};
use serde_json::{Value, json};

type Answer = (Decision, Row);
const ALLOW: Answer = (Decision::Allow, Row::Holds);
const INTEGRITY: Answer = (Decision::Deny, Row::Integrity);
/// All was read, and no signature counts.
const UNSIGNED: Answer = (Decision::Deny, Row::Checks);
const INCOMPLETE: Answer = (Decision::Undecided, Row::Incomplete);

/// No answer takes longer, on however busy a machine.
const BOUND: Duration = Duration::from_secs(60);

const REPOSITORY: &str = "app";

/// A registry with a signed image in it, repository `app`, tag `v1`.
struct Scene {
    registry: Registry,
    root: Descriptor,
}

impl Scene {
    /// The image of the README's first command, with its signature.
    fn demo() -> Self {
        Self::demo_in(Options::default())
    }

    fn demo_in(options: Options) -> Self {
        let registry = Registry::start(options);
        let (index, blobs) = demo();
        let root = index.iter().find(|entry| entry.get("artifactType").is_none()).unwrap();
        for bytes in blobs {
            match kind_of(&bytes) {
                Some(kind) => drop(registry.put_manifest(REPOSITORY, None, &kind, &bytes)),
                None => drop(registry.put_blob(REPOSITORY, &bytes)),
            }
        }
        let root: Descriptor = serde_json::from_value(root.clone()).unwrap();
        let bytes = registry.manifest(REPOSITORY, &root.digest.to_string()).unwrap();
        registry.put_manifest(REPOSITORY, Some("v1"), &root.media_type, &bytes);
        Self { registry, root }
    }

    /// A root of any form, under `v1` and signed by the trusted key: what is
    /// wrong with it is wrong all the same.
    fn signed(media_type: &str, root: &[u8], others: &[(&str, &[u8])]) -> Self {
        let registry = Registry::start(Options::default());
        for (kind, bytes) in others {
            match kind.is_empty() {
                true => drop(registry.put_blob(REPOSITORY, bytes)),
                false => drop(registry.put_manifest(REPOSITORY, None, kind, bytes)),
            }
        }
        let root = registry.put_manifest(REPOSITORY, Some("v1"), media_type, root);
        let scene = Self { registry, root };
        scene.attach(&scene.root, &bundle(&statement(&scene.root.digest)));
        scene
    }

    /// Pushes a bundle as a referrer; gives its manifest.
    fn attach(&self, subject: &Descriptor, bundle: &[u8]) -> Descriptor {
        let layer = Descriptor::of(media_type::SIGSTORE_BUNDLE, bundle);
        let made = Timestamp::UNIX_EPOCH;
        let manifest = sigstore::manifest(&layer, subject, sigstore::SIGN_PREDICATE, made);
        self.registry.put_blob(REPOSITORY, bundle);
        self.registry.put_manifest(REPOSITORY, None, media_type::OCI_MANIFEST, &manifest)
    }

    /// The answer for `app:v1`.
    fn verify(&self) -> Result<Verdict, Error> {
        self.verify_with(&limits(), Depth::Layers)
    }

    fn verify_with(&self, limits: &Limits, depth: Depth) -> Result<Verdict, Error> {
        verify(&format!("{}/{REPOSITORY}:v1", self.registry.host()), limits, depth)
    }

    /// The answer for `app@DIGEST`, as a runtime that pins asks.
    fn verify_pinned(&self) -> Result<Verdict, Error> {
        let name = format!("{}/{REPOSITORY}@{}", self.registry.host(), self.root.digest);
        verify(&name, &limits(), Depth::Layers)
    }
}

fn verify(name: &str, limits: &Limits, depth: Depth) -> Result<Verdict, Error> {
    verify_by(&Access::default(), name, limits, depth)
}

fn verify_by(access: &Access, name: &str, limits: &Limits, depth: Depth) -> Result<Verdict, Error> {
    let began = Instant::now();
    let image = Image::open(&Source::parse(name).unwrap(), None, access, limits)?;
    let ask = Ask { depth, ..Ask::default() };
    let answer = block_on(engine(limits).check(&image, &ask, Timestamp::now()));
    assert!(began.elapsed() < BOUND, "an answer after {:?}", began.elapsed());
    answer
}

/// Signed by the demo key, under any name.
fn engine(limits: &Limits) -> Engine {
    let pem = std::fs::read(path("keys-test/ecdsa-p256/key.pub")).unwrap();
    let keys = [PublicKey::from_pem(&pem, limits).unwrap()];
    let annotations = BTreeMap::new();
    let policy = shorthand(&Shorthand {
        keys: &keys,
        keyrings: &[],
        trusted: &[],
        annotations: &annotations,
        reference: "none",
    });
    Engine::from_text("test", policy.as_bytes(), Path::new("."), limits).unwrap()
}

/// Limits under which failures are repeated within a moment.
fn limits() -> Limits {
    Limits {
        attempts: 2,
        idle_timeout: Duration::from_secs(10), // nothing here is slow, the machine may be
        retry_after: Duration::from_millis(50),
        ..Limits::default()
    }
}

#[track_caller]
fn answer(verdict: Result<Verdict, Error>) -> Answer {
    let verdict = verdict.unwrap_or_else(|error| panic!("an error: {error}"));
    let answer = (verdict.decision, verdict.row);
    let (allowed, digest) = (verdict.decision == Decision::Allow, verdict.digest.clone());
    match verdict.admit() {
        Ok(admitted) => assert!(allowed && *admitted.digest() == digest),
        Err(_) => assert!(!allowed),
    }
    answer
}

/// An error for which the exit code is 2, and what it says.
#[track_caller]
fn failure(verdict: Result<Verdict, Error>) -> String {
    let error = match verdict {
        Ok(verdict) => panic!("no error but {:?} {:?}", verdict.decision, verdict.row),
        Err(error) => error,
    };
    assert!(!error.is_answer(), "an error is no answer: {error}");
    error.to_string()
}

/// What the verdict tells of the candidates that did not count.
fn rejections(verdict: &Verdict) -> String {
    serde_json::to_string(&verdict.rejections).unwrap()
}

fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The entries of the demo layout's index, and all its blobs.
fn demo() -> (Vec<Value>, Vec<Vec<u8>>) {
    let layout = path("tests/data/layouts/demo");
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let index: Value = serde_json::from_slice(&read(layout.join("index.json"))).unwrap();
    let files = std::fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let blobs = files.map(|file| read(file.unwrap().path())).collect();
    (index["manifests"].as_array().unwrap().clone(), blobs)
}

/// The media type of what is a manifest or an index.
fn kind_of(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    (value.get("manifests").or(value.get("layers"))?).as_array()?;
    value.get("mediaType")?.as_str().map(str::to_owned)
}

fn key() -> PrivateKey {
    let pem = std::fs::read(path("keys-test/ecdsa-p256/key.pem")).unwrap();
    PrivateKey::from_pem(&pem, &mut || panic!("it has no password"), &Limits::default()).unwrap()
}

/// What is signed for an image, without a name.
fn statement(subject: &Digest) -> Vec<u8> {
    sigstore::statement(subject, None, &std::collections::BTreeMap::new())
}

/// A bundle with a signature of the trusted key over `payload`.
fn bundle(payload: &[u8]) -> Vec<u8> {
    let key = key();
    let signature = key.sign(&dsse::pae(dsse::IN_TOTO, payload)).unwrap();
    sigstore::bundle(payload, &signature, &key.public_key().hint())
}

/// An image manifest around a config and layers.
fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": layers,
    })
}

fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})
}

/// A config for layers that decompress to `diff_ids`.
fn config(diff_ids: &[Digest]) -> Vec<u8> {
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}
