//! The registry store against the in-process registry: what it does when the
//! registry keeps to distribution-spec v1.1.1, and what it answers when not.

#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod auth;
mod blobs;
mod manifests;
mod older_signatures;
mod proxy;
mod push;
mod redirects;
mod referrers;
mod retries;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use common::registry::Registry;
use futures_util::TryStreamExt;
use ocisign::image::{Descriptor, Digest, media_type};
use ocisign::limits::Limits;
use ocisign::store::auth::{Anonymous, Credential, HostCredential, Secret};
use ocisign::store::registry::{self, RegistryOptions};
use ocisign::store::{Blob, Store, StoreError, Target};

/// No test waits longer than this for an answer.
const BOUND: Duration = Duration::from_secs(20);

/// Limits under which failures are repeated within a second.
fn limits() -> Limits {
    Limits {
        attempts: 3,
        idle_timeout: Duration::from_secs(10), // nothing here is slow, the machine may be
        retry_after: Duration::from_millis(200),
        ..Limits::default()
    }
}

fn options() -> RegistryOptions {
    RegistryOptions { credentials: Arc::new(Anonymous), limits: limits(), ..Default::default() }
}

/// Limits under which a slow registry is given up on within a second.
fn impatient() -> RegistryOptions {
    let limits = Limits { idle_timeout: Duration::from_millis(400), ..limits() };
    RegistryOptions { limits, ..options() }
}

/// The user that the registry knows.
fn me(registry: &Registry) -> Arc<HostCredential> {
    let credential =
        Credential::Password { username: "me".into(), password: Secret::new("secret") };
    Arc::new(HostCredential { host: registry.host(), credential })
}

fn open(registry: &Registry, path: &str) -> registry::Registry {
    open_with(registry, path, options())
}

fn open_with(registry: &Registry, path: &str, options: RegistryOptions) -> registry::Registry {
    registry::Registry::open(&registry.repository(path), options).unwrap()
}

/// An answer within the bound, whatever it is.
async fn bounded<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, answer).await.expect("no answer in time")
}

async fn pull_tag(store: &impl Store, tag: &str) -> Result<Vec<u8>, StoreError> {
    let max = 4 << 20;
    bounded(store.manifest(&Target::Tag(tag.to_owned()), max)).await.map(|raw| raw.bytes)
}

async fn read(store: &impl Store, blob: &Descriptor) -> Result<Vec<u8>, StoreError> {
    read_as(store, &blob.digest, blob.size).await
}

async fn read_as(store: &impl Store, digest: &Digest, size: u64) -> Result<Vec<u8>, StoreError> {
    bounded(async {
        let Blob::Stream(stream) = store.blob(digest, size).await? else { panic!("no stream") };
        let all = |mut bytes: Vec<u8>, chunk: ocisign::store::Chunk| async move {
            bytes.extend_from_slice(&chunk);
            Ok(bytes)
        };
        stream.try_fold(Vec::new(), all).await
    })
    .await
}

/// A manifest that refers to `subject`.
fn referrer(subject: &Descriptor, note: &str) -> Vec<u8> {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": "application/vnd.example.note",
        "config": {
            "mediaType": media_type::OCI_EMPTY,
            "digest": Digest::sha256(b"{}"),
            "size": 2,
        },
        "layers": [],
        "subject": subject,
        "annotations": {"note": note},
    })
    .to_string()
    .into_bytes()
}
