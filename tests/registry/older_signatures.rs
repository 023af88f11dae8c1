//! The tag of older cosign signatures, which several may write at once.

use super::*;
use crate::common::registry::{Lie, Options};
use ocisign::Image;
use ocisign::crypto::{KeyAlgorithm, PrivateKey};
use ocisign::engine::{SignOptions, SigningKey, Silent, sign};
use ocisign::envelope::cosign;
use ocisign::evidence::Format;
use ocisign::image::Source;
use serde_json::{Value, json};

/// An image without layers, under `v1`.
fn image(registry: &Registry) -> Descriptor {
    let config =
        json!({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}})
            .to_string();
    registry.put_blob("app", config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, config.as_bytes()),
        "layers": [],
    });
    registry.put_manifest(
        "app",
        Some("v1"),
        media_type::OCI_MANIFEST,
        manifest.to_string().as_bytes(),
    )
}

async fn sign_with(registry: &Registry, annotation: &str) {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let source = Source::parse(&format!("{}/app:v1", registry.host())).unwrap();
    let image = Image::from_store(Arc::new(open(registry, "app")), &source, None).unwrap();
    let options = SignOptions {
        annotations: [("by".to_owned(), annotation.to_owned())].into(),
        format: Format::Cosign,
        recursive: false,
        attach: true,
        sign: true,
        created: jiff::Timestamp::UNIX_EPOCH,
    };
    bounded(sign(&image, SigningKey::Key(&key), &options, &limits(), &Silent)).await.unwrap();
}

/// Digests of the payloads under the image's tag of signatures.
fn listed(registry: &Registry, image: &Descriptor) -> Vec<Value> {
    let bytes = registry.manifest("app", &cosign::tag(&image.digest)).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].clone()).collect()
}

#[tokio::test]
async fn a_concurrent_writer_s_signature_and_ours_both_stay() {
    let registry = Registry::start(Options::default());
    let image = image(&registry);
    let foreign = |text: &[u8]| Descriptor::of(media_type::COSIGN_SIMPLE, text);
    let (early, late) = (foreign(b"early"), foreign(b"late"));
    let tag = cosign::tag(&image.digest);
    let before = cosign::manifest(std::slice::from_ref(&early)).manifest;
    registry.put_manifest("app", Some(&tag), media_type::OCI_MANIFEST, &before);
    // the other writer also lost the early signature: his copy was stale
    let after = cosign::manifest(std::slice::from_ref(&late)).manifest;
    registry.lie_times(1, "PUT /v2/app/manifests/sha256-*", Lie::Overwritten(after));
    sign_with(&registry, "us").await;
    let layers = listed(&registry, &image);
    assert_eq!(layers.len(), 3, "{layers:?}");
    for other in [early, late] {
        assert!(layers.contains(&json!(other.digest)), "{layers:?}");
    }
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let registry = Registry::start(Options::default());
    let image = image(&registry);
    let names: Vec<_> = (0..6).map(|n| n.to_string()).collect();
    let all = names.iter().map(|name| sign_with(&registry, name));
    futures_util::future::join_all(all).await;
    assert_eq!(listed(&registry, &image).len(), 6);
}
