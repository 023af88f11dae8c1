//! Copies from a layout into registries and back, real ones and one that
//! lies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ocisign::engine::copy::{CopyError, copy};
use ocisign::store::StoreError;
use ocisign::store::auth::Anonymous;
use ocisign::store::registry::{Registry, RegistryOptions};

use super::common::real::Real;
use super::common::registry::{self, Lie, Options};
use super::*;

fn repository(host: &str) -> Registry {
    let limits = Limits {
        attempts: 3,
        idle_timeout: Duration::from_millis(900),
        retry_after: Duration::from_millis(50),
        ..Limits::default()
    };
    let options =
        RegistryOptions { credentials: Arc::new(Anonymous), limits, ..Default::default() };
    Registry::open(&format!("{host}/app").parse().unwrap(), options).unwrap()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let blobs = std::fs::read_dir(folder.join("blobs/sha256")).unwrap();
    blobs.map(|blob| blob.unwrap().file_name().into_string().unwrap()).collect()
}

/// The demo with a signature on its root, one on a child, and cosign's tag.
async fn signed() -> (tempfile::TempDir, Layout, Descriptor) {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let signature = attach(&layout, &image, "root").await;
    let index = std::fs::read(blob_path(folder.path(), &image.digest)).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let child: Descriptor = serde_json::from_value(index["manifests"][1].clone()).unwrap();
    let on_child = attach(&layout, &child, "child").await;
    attach(&layout, &signature, "signature").await;
    let legacy = std::fs::read(blob_path(folder.path(), &on_child.digest)).unwrap();
    let legacy_tag = format!("sha256-{}.sig", child.digest.hex());
    layout.push_manifest(&on_child, &legacy, Some(&legacy_tag)).await.unwrap();
    (folder, layout, image)
}

/// Into the registry and out again: nothing is lost, nothing changes.
async fn there_and_back(host: &str) {
    let (folder, layout, image) = signed().await;
    let there = repository(host);
    let limits = Limits::default();
    let copied = copy(&layout, &Target::Only, &there, Some("v1"), true, &limits).await.unwrap();
    assert_eq!((copied.attached, copied.manifests), (3, 6));
    assert_eq!(copied.root.digest, image.digest);

    let kept = tempfile::tempdir().unwrap();
    let back = Layout::create(kept.path(), limits.clone()).unwrap();
    let copied = copy(&there, &tag("v1"), &back, Some("v1"), true, &limits).await.unwrap();
    assert_eq!((copied.attached, copied.manifests), (3, 6));
    assert!(copied.skipped.is_empty(), "{copied:?}");
    assert_eq!(files(kept.path()), files(folder.path()));
    for blob in files(kept.path()) {
        let path = Path::new("blobs/sha256").join(&blob);
        assert_eq!(
            std::fs::read(kept.path().join(&path)).unwrap(),
            std::fs::read(folder.path().join(&path)).unwrap()
        );
    }
    assert_eq!(root(&back, &Target::Only).await.digest, image.digest);
    assert_eq!(
        back.referrers(&image.digest).await.unwrap().entries,
        layout.referrers(&image.digest).await.unwrap().entries
    );

    for name in ["docker", "artifact", "nested"] {
        let from = open(&data(name));
        copy(&from, &Target::Only, &there, Some(name), true, &limits).await.unwrap();
        let kept = tempfile::tempdir().unwrap();
        let back = Layout::create(kept.path(), limits.clone()).unwrap();
        copy(&there, &tag(name), &back, None, true, &limits).await.unwrap();
        let image = root(&from, &Target::Only).await;
        assert_eq!(root(&back, &Target::Only).await.digest, image.digest);
    }
}

#[tokio::test]
async fn there_and_back_over_real_registries() {
    for name in ["distribution", "docker-registry", "referrers-registry"] {
        if let Some(real) = Real::start(name) {
            there_and_back(&real.host).await;
        }
    }
}

#[tokio::test]
async fn there_and_back_with_and_without_the_referrers_api() {
    for options in [Options::default(), Options::without_referrers()] {
        there_and_back(&registry::Registry::start(options).host()).await;
    }
}

/// A registry with the demo in it, and a layout to copy it to.
async fn source() -> (registry::Registry, Registry, tempfile::TempDir, Layout) {
    let server = registry::Registry::start(Options::default());
    let src = repository(&server.host());
    let demo = open(&data("unsigned"));
    copy(&demo, &Target::Only, &src, Some("v1"), true, &Limits::default()).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    let dst = Layout::create(kept.path(), Limits::default()).unwrap();
    (server, src, kept, dst)
}

#[tokio::test]
async fn a_registry_that_gives_other_bytes_is_found_out() {
    for (pattern, lie) in [
        ("GET /v2/app/blobs/*", Lie::Body(b"wrong".to_vec())),
        ("GET /v2/app/blobs/*", Lie::Endless),
        ("GET /v2/app/manifests/sha256*", Lie::Body(b"{}".to_vec())),
    ] {
        let (server, src, kept, dst) = source().await;
        server.lie(pattern, lie.clone());
        let copied = copy(&src, &tag("v1"), &dst, Some("v1"), true, &Limits::default()).await;
        let error = copied.unwrap_err();
        assert!(matches!(error, CopyError::Mismatch { .. }), "{lie:?}: {error:?}");
        assert!(error.is_denial());
        assert!(dst.tags().unwrap().is_empty());
        assert!(files(kept.path()).is_empty(), "no wrong blob is kept");
        assert!(server.sent() < 64 << 20);
    }
}

/// No signature may be taken for absent because a registry cannot say.
#[tokio::test]
async fn referrers_that_cannot_be_had_stop_the_copy() {
    for lie in [Lie::Status(500), Lie::Status(403), Lie::EndlessPages, Lie::Body(b"[]".to_vec())] {
        let (server, src, _kept, dst) = source().await;
        server.lie("GET /v2/app/referrers/*", lie.clone());
        let copied = copy(&src, &tag("v1"), &dst, Some("v1"), true, &Limits::default()).await;
        let error = copied.unwrap_err();
        assert!(!error.is_denial(), "{lie:?}: {error:?}");
        assert!(dst.tags().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_begun_again() {
    let server = registry::Registry::start(Options::default());
    let dst = repository(&server.host());
    let demo = open(&data("unsigned"));
    server.lie_times(2, "PUT /v2/app/blobs/*", Lie::Status(503));
    server.lie_times(1, "PUT /v2/app/blobs/*", Lie::Hangup);
    copy(&demo, &Target::Only, &dst, Some("v1"), true, &Limits::default()).await.unwrap();
    let image = root(&demo, &Target::Only).await;
    let raw = dst.manifest(&tag("v1"), 1 << 20).await.unwrap();
    assert!(image.digest.matches(&raw.bytes));

    let gone = registry::Registry::start(Options::default());
    let dst = repository(&gone.host());
    gone.lie("PUT /v2/app/blobs/*", Lie::Hangup);
    let error = copy(&demo, &Target::Only, &dst, Some("v1"), true, &Limits::default()).await;
    assert!(matches!(error, Err(CopyError::Store(StoreError::Unreachable { .. }))), "{error:?}");
}
