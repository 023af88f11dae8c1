//! Pulling manifests.

use std::time::Duration;

use super::*;
use crate::common::registry::{Lie, Options};

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

fn with_image() -> Registry {
    let registry = Registry::start(Options::default());
    registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, MANIFEST);
    registry
}

#[tokio::test]
async fn a_tag_and_a_digest_give_the_bytes_and_their_media_type() {
    let registry = with_image();
    let store = open(&registry, "app");
    for target in [Target::Tag("v1".into()), Target::Digest(Digest::sha256(MANIFEST))] {
        let raw = bounded(store.manifest(&target, 1000)).await.unwrap();
        assert_eq!(raw.bytes, MANIFEST);
        assert_eq!(raw.media_type.as_deref(), Some(media_type::OCI_MANIFEST));
    }
    let request = &registry.requests()[0];
    let accept = request.header("accept").unwrap();
    for wanted in [
        media_type::OCI_INDEX,
        media_type::OCI_MANIFEST,
        media_type::DOCKER_LIST,
        media_type::DOCKER_MANIFEST,
    ] {
        assert!(accept.contains(wanted), "an old registry rewrites what is not accepted");
    }
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(request.header("user-agent").unwrap().starts_with("ocisign/"));
}

#[tokio::test]
async fn only_404_is_absent() {
    let registry = with_image();
    let store = open(&registry, "app");
    assert!(matches!(pull_tag(&store, "v2").await, Err(StoreError::Absent { .. })));
    for (status, is) in [
        (400, "Protocol"),
        (401, "Unauthorized"),
        (403, "Unauthorized"),
        (406, "Protocol"),
        (410, "Protocol"),
        (204, "Protocol"),
        (206, "Protocol"),
        (429, "Unreachable"),
        (500, "Unreachable"),
        (501, "Unreachable"),
        (503, "Unreachable"),
    ] {
        registry.lie_times(
            limits().attempts as usize,
            "GET /v2/app/manifests/v1",
            Lie::Status(status),
        );
        let error = pull_tag(&store, "v1").await.unwrap_err();
        assert!(format!("{error:?}").starts_with(is), "{status}: {error:?}");
        // a lie that was not retried is still planned: use it up
        while pull_tag(&store, "v1").await.is_err() {}
    }
}

#[tokio::test]
async fn what_the_registry_says_about_an_error_is_shown_without_control_characters() {
    let registry = with_image();
    let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\u001b[2Jway\\n\"}]}".to_vec();
    registry.lie("GET *", Lie::Status(403));
    registry.lie("GET *", Lie::Body(body));
    let error = pull_tag(&open(&registry, "app"), "v1").await.unwrap_err().to_string();
    assert!(error.contains("DENIED: no [2Jway"), "{error}");
    assert!(!error.contains('\u{1b}') && !error.contains('\n'));
}

#[tokio::test]
async fn a_body_is_bounded_before_it_is_read() {
    let registry = with_image();
    let store = open(&registry, "app");
    let max = MANIFEST.len() as u64;
    let target = Target::Tag("v1".into());
    assert!(bounded(store.manifest(&target, max)).await.is_ok());
    let error = bounded(store.manifest(&target, max - 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit, .. } if limit == max - 1));

    registry.lie("GET *", Lie::Endless);
    let error = bounded(store.manifest(&target, 100_000)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
    // what the sockets buffer comes on top of what was read
    assert!(registry.sent() < 16 << 20, "{} bytes were taken", registry.sent());
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_not_read_at_all() {
    let registry = with_image();
    registry.lie("GET *", Lie::Length(u64::MAX / 2));
    let error = pull_tag(&open(&registry, "app"), "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_compressed_answer_is_against_the_rules() {
    let registry = with_image();
    registry.lie("GET *", Lie::Header("Content-Encoding", "gzip".into()));
    let error = pull_tag(&open(&registry, "app"), "v1").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Protocol { reason, .. } if reason.contains("gzip")),
        "{error:?}"
    );
    let registry = with_image();
    registry.lie("GET *", Lie::Header("Content-Encoding", "identity".into()));
    assert!(pull_tag(&open(&registry, "app"), "v1").await.is_ok());
}

#[tokio::test]
async fn a_slow_or_silent_registry_is_given_up_on() {
    for lie in [
        Lie::Silent(Duration::from_secs(60)),
        Lie::Drip(1, Duration::from_millis(150)), // never silent, never done
        Lie::Cut(5),
        Lie::Hangup,
        Lie::Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    ] {
        let registry = with_image();
        registry.lie("GET *", lie.clone());
        let store = open_with(&registry, "app", impatient());
        let error = pull_tag(&store, "v1").await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{lie:?}: {error:?}");
    }
}

#[tokio::test]
async fn other_bytes_and_media_types_come_through_as_they_are() {
    // the store promises nothing: whoever asked hashes what came
    let registry = with_image();
    registry.lie("GET *", Lie::Body(b"other".to_vec()));
    registry.lie("GET *", Lie::Header("Content-Type", "Text/Plain; charset=utf-8".into()));
    registry
        .lie("GET *", Lie::Header("Docker-Content-Digest", Digest::sha256(b"third").to_string()));
    let target = Target::Digest(Digest::sha256(MANIFEST));
    let raw = bounded(open(&registry, "app").manifest(&target, 1000)).await.unwrap();
    assert_eq!(raw.bytes, b"other");
    assert_eq!(raw.media_type.as_deref(), Some("text/plain"));
    assert!(raw.claimed.is_none());
}

#[tokio::test]
async fn a_tag_outside_the_grammar_is_never_sent() {
    let registry = with_image();
    let store = open(&registry, "app");
    for tag in ["", "../../other/manifests/v1", "v1?x=y", "v1#", "a b", "-x"] {
        assert!(matches!(pull_tag(&store, tag).await, Err(StoreError::Protocol { .. })), "{tag}");
    }
    assert!(matches!(
        bounded(store.manifest(&Target::Only, 1)).await,
        Err(StoreError::Protocol { .. })
    ));
    assert_eq!(registry.requests().len(), 0);
}

#[tokio::test]
async fn a_warning_is_handed_on() {
    let registry = with_image();
    registry.lie("GET *", Lie::Header("Warning", r#"299 - "this tag goes away""#.into()));
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let notice: registry::Notice =
        Arc::new(move |text: &str| sink.lock().unwrap().push(text.to_owned()));
    let store = open_with(&registry, "app", RegistryOptions { notice: Some(notice), ..options() });
    pull_tag(&store, "v1").await.unwrap();
    assert!(heard.lock().unwrap()[0].ends_with("this tag goes away"));
}
