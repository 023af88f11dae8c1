//! Asking again: when, how often, after how long.

use std::time::{Duration, Instant};

use super::*;
use crate::common::registry::{Lie, Options};

fn with_image() -> Registry {
    let registry = Registry::start(Options::default());
    registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    registry
}

#[tokio::test]
async fn a_passing_failure_passes() {
    for lie in [
        Lie::Status(429),
        Lie::Status(500),
        Lie::Status(502),
        Lie::Status(503),
        Lie::Status(504),
        Lie::Hangup,
        Lie::Cut(1),
    ] {
        let registry = with_image();
        registry.lie_times(2, "GET *", lie.clone());
        assert!(pull_tag(&open(&registry, "app"), "v1").await.is_ok(), "{lie:?}");
        assert_eq!(registry.requests().len(), 3);
    }
}

#[tokio::test]
async fn attempts_end() {
    let registry = with_image();
    registry.lie("GET *", Lie::Status(503));
    assert!(pull_tag(&open(&registry, "app"), "v1").await.is_err());
    assert_eq!(registry.requests().len(), limits().attempts as usize);
}

#[tokio::test]
async fn what_will_not_change_is_not_repeated() {
    for status in [400, 403, 404, 410, 501] {
        let registry = with_image();
        registry.lie("GET *", Lie::Status(status));
        assert!(pull_tag(&open(&registry, "app"), "v1").await.is_err());
        assert_eq!(registry.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_the_limit() {
    let registry = with_image();
    let soon = Lie::StatusWith(429, vec![("Retry-After", "1".into())]);
    registry.lie_times(1, "GET *", soon);
    let patient = Limits { retry_after: Duration::from_secs(10), ..limits() };
    let store = open_with(&registry, "app", RegistryOptions { limits: patient, ..options() });
    let began = Instant::now();
    pull_tag(&store, "v1").await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));

    for long in ["3600", "99999999999999999999", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let registry = with_image();
        registry.lie_times(1, "GET *", Lie::StatusWith(503, vec![("Retry-After", long.into())]));
        let began = Instant::now();
        pull_tag(&open(&registry, "app"), "v1").await.unwrap();
        let took = began.elapsed();
        assert!(took >= limits().retry_after && took < Duration::from_secs(5), "{long}: {took:?}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let repository = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("{}/app", listener.local_addr().unwrap()).parse().unwrap()
    };
    let store = registry::Registry::open(&repository, options()).unwrap();
    let error = pull_tag(&store, "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}
