//! Redirects, and what is not carried along.

use super::*;
use crate::common::registry::{Auth, Certificates, Lie, Options};

#[tokio::test]
async fn another_host_gets_no_authorization() {
    let elsewhere = Registry::start(Options::default());
    let blob = elsewhere.put_blob("cdn", b"content");
    for auth in [Auth::Basic, Auth::private()] {
        let registry = Registry::start(Options { auth, ..Options::default() });
        registry.put_blob("app", b"content");
        let target = format!("{}/v2/cdn/blobs/{}?X-Signature=abc", elsewhere.url(), blob.digest);
        let store = open_with(
            &registry,
            "app",
            RegistryOptions { credentials: me(&registry), ..options() },
        );
        assert!(bounded(store.has_blob(&blob.digest, blob.size)).await.unwrap(), "logs in");
        registry.lie("GET /v2/app/blobs/*", Lie::StatusWith(307, vec![("Location", target)]));
        assert_eq!(read(&store, &blob).await.unwrap(), b"content");
        let asked = registry.requests();
        assert!(asked.last().unwrap().header("authorization").is_some());
    }
    let seen = elsewhere.requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert!(request.header("authorization").is_none() && request.header("cookie").is_none());
    }
}

#[tokio::test]
async fn a_user_name_in_a_location_makes_no_authorization() {
    let elsewhere = Registry::start(Options::default());
    let blob = elsewhere.put_blob("cdn", b"content");
    let registry = Registry::start(Options::default());
    let target = format!("http://user:pass@{}/v2/cdn/blobs/{}", elsewhere.host(), blob.digest);
    registry.lie("GET *", Lie::StatusWith(302, vec![("Location", target)]));
    assert_eq!(read(&open(&registry, "app"), &blob).await.unwrap(), b"content");
    assert!(elsewhere.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn the_way_back_does_not_restore_the_authorization() {
    let registry = Registry::start(Options { auth: Auth::Basic, ..Options::default() });
    let blob = registry.put_blob("app", b"content");
    let elsewhere = Registry::start(Options::default());
    let there = format!("{}/v2/cdn/blobs/x", elsewhere.url());
    let back = format!("{}/v2/other/blobs/{}", registry.url(), blob.digest);
    registry.lie_times(9, "GET /v2/app/blobs/*", Lie::StatusWith(307, vec![("Location", there)]));
    elsewhere.lie("GET *", Lie::StatusWith(307, vec![("Location", back)]));
    let store =
        open_with(&registry, "app", RegistryOptions { credentials: me(&registry), ..options() });
    assert!(bounded(store.has_blob(&blob.digest, blob.size)).await.unwrap(), "logs in");
    assert!(read(&store, &blob).await.is_err());
    let last = registry.requests().pop().unwrap();
    assert!(last.path().contains("/other/") && last.header("authorization").is_none());
}

#[tokio::test]
async fn a_relative_location_stays_and_keeps_the_authorization() {
    let registry = Registry::start(Options { auth: Auth::Basic, ..Options::default() });
    let blob = registry.put_blob("app", b"content");
    registry.put_blob("moved", b"content");
    let target = format!("/v2/moved/blobs/{}", blob.digest);
    let store =
        open_with(&registry, "app", RegistryOptions { credentials: me(&registry), ..options() });
    assert!(bounded(store.has_blob(&blob.digest, blob.size)).await.unwrap(), "logs in");
    registry.lie("GET /v2/app/*", Lie::StatusWith(307, vec![("Location", target)]));
    assert_eq!(read(&store, &blob).await.unwrap(), b"content");
    assert!(registry.requests().pop().unwrap().header("authorization").is_some());
}

#[tokio::test]
async fn redirects_end() {
    let registry = Registry::start(Options::default());
    let circle = vec![("Location", "/v2/app/manifests/v1".to_owned())];
    registry.lie("GET *", Lie::StatusWith(302, circle));
    let error = pull_tag(&open(&registry, "app"), "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 1 + limits().redirects);
}

#[tokio::test]
async fn a_redirect_to_nowhere_or_to_a_file_is_against_the_rules() {
    for headers in [
        vec![],
        vec![("Location", "file:///etc/passwd".to_owned())],
        vec![("Location", "http://".to_owned())],
    ] {
        let registry = Registry::start(Options::default());
        registry.lie("GET *", Lie::StatusWith(302, headers.clone()));
        let error = pull_tag(&open(&registry, "app"), "v1").await.unwrap_err();
        assert!(matches!(error, StoreError::Protocol { .. }), "{headers:?}: {error:?}");
    }
}

#[tokio::test]
async fn tls_is_never_given_up() {
    let plain = Registry::start(Options::default());
    plain.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    let certificates = Certificates::generate();
    let ca = vec![certificates.ca.clone().into_bytes()];
    let secure = Registry::start(Options { tls: Some(certificates), ..Options::default() });
    let target = format!("{}/v2/app/manifests/v1", plain.url());
    secure.lie("GET *", Lie::StatusWith(307, vec![("Location", target)]));
    let store = open_with(&secure, "app", RegistryOptions { ca, ..options() });
    let error = pull_tag(&store, "v1").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Protocol { reason, .. } if reason.contains("TLS")),
        "{error:?}"
    );
    assert_eq!(plain.requests().len(), 0);
}

#[tokio::test]
async fn a_401_of_another_host_asks_nobody_for_credentials() {
    let elsewhere = Registry::start(Options { auth: Auth::Basic, ..Options::default() });
    let registry = Registry::start(Options::default());
    let target = format!("{}/v2/app/manifests/v1", elsewhere.url());
    registry.lie("GET *", Lie::StatusWith(307, vec![("Location", target)]));
    let store =
        open_with(&registry, "app", RegistryOptions { credentials: me(&registry), ..options() });
    let error = pull_tag(&store, "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Unauthorized { .. }), "{error:?}");
    assert_eq!(elsewhere.requests().len(), 1);
    assert!(elsewhere.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn a_write_does_not_become_a_read_by_a_redirect() {
    let registry = Registry::start(Options::default());
    registry.lie("PUT *", Lie::StatusWith(303, vec![("Location", "/v2/".to_owned())]));
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, b"{}");
    let store = open(&registry, "app");
    let error = bounded(store.push_manifest(&descriptor, b"{}", Some("v1"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
}
