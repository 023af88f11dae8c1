//! Listing what refers to an image.

use super::*;
use crate::common::registry::{Lie, Options};
use ocisign::image::Algorithm;
use ocisign::store::Referrers;
use serde_json::json;

fn subject() -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, b"{}")
}

fn tag() -> String {
    format!("sha256-{}", subject().digest.hex())
}

async fn list(registry: &Registry) -> Result<Referrers, StoreError> {
    list_with(registry, options()).await
}

async fn list_with(registry: &Registry, options: RegistryOptions) -> Result<Referrers, StoreError> {
    bounded(open_with(registry, "app", options).referrers(&subject().digest)).await
}

/// Referrers `0..count`, stored as the registry stores pushed ones.
fn with_referrers(options: Options, count: usize) -> Registry {
    let registry = Registry::start(options);
    for n in 0..count {
        let bytes = referrer(&subject(), &n.to_string());
        registry.put_manifest("app", None, media_type::OCI_MANIFEST, &bytes);
    }
    registry
}

fn index(entries: &[serde_json::Value]) -> Vec<u8> {
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    index.to_string().into_bytes()
}

fn entry(content: &str) -> serde_json::Value {
    serde_json::to_value(Descriptor::of(media_type::OCI_MANIFEST, content.as_bytes())).unwrap()
}

#[tokio::test]
async fn all_pages_are_read_in_one_order_with_type_and_annotations() {
    let registry = with_referrers(Options { page: 2, ..Options::default() }, 7);
    let found = list(&registry).await.unwrap();
    assert_eq!((found.entries.len(), found.truncated), (7, None));
    assert!(found.entries.is_sorted_by(|a, b| a.digest < b.digest));
    assert_eq!(found.entries[0].artifact_type.as_deref(), Some("application/vnd.example.note"));
    assert!(found.entries[0].annotations.contains_key("note"));
    assert_eq!(registry.count("GET /v2/app/referrers/*"), 4);
}

#[tokio::test]
async fn a_link_may_be_absolute_but_not_lead_away() {
    let registry = with_referrers(Options { page: 4, ..Options::default() }, 7);
    let next = format!("{}/v2/app/referrers/{}?from=4", registry.url(), subject().digest);
    registry.lie_times(1, "GET *", Lie::Header("Link", format!("<{next}>; rel=\"next\"")));
    let found = list(&registry).await.unwrap();
    assert_eq!((found.entries.len(), found.truncated), (7, None));

    let elsewhere = with_referrers(Options::default(), 9);
    let next = format!("{}/v2/app/referrers/{}", elsewhere.url(), subject().digest);
    registry.lie_times(1, "GET *", Lie::Header("Link", format!("<{next}>; rel=\"next\"")));
    let found = list(&registry).await.unwrap();
    assert_eq!(found.entries.len(), 4, "what came before counts");
    assert!(found.truncated.unwrap().contains("another server"));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn pages_in_a_circle_and_pages_without_end_stop() {
    let registry = with_referrers(Options::default(), 3);
    let this = format!("</v2/app/referrers/{}>; rel=\"next\"", subject().digest);
    registry.lie("GET *", Lie::Header("Link", this));
    let found = list(&registry).await.unwrap();
    assert_eq!(found.entries.len(), 3);
    assert!(found.truncated.unwrap().contains("circle"));
    assert_eq!(registry.requests().len(), 1);

    let registry = with_referrers(Options::default(), 3);
    registry.lie("GET /v2/app/referrers/*", Lie::EndlessPages);
    let found = list(&registry).await.unwrap();
    assert!(found.truncated.unwrap().contains("pages"));
    assert_eq!(registry.count("GET /v2/app/referrers/*"), limits().referrers_pages);
}

#[tokio::test]
async fn one_good_entry_is_found_among_thousands_and_the_rest_is_bounded() {
    let registry = with_referrers(Options { page: 500, ..Options::default() }, 1);
    let junk = |count: usize| (0..count).map(|n| entry(&format!("junk {n}"))).collect();
    registry.list_referrers(&subject().digest, junk(4000));
    let good = Digest::sha256(&referrer(&subject(), "0"));
    let found = list(&registry).await.unwrap();
    assert_eq!((found.entries.len(), found.truncated), (4001, None));
    assert!(found.entries.iter().any(|entry| entry.digest == good));

    registry.list_referrers(&subject().digest, junk(20_000));
    let found = list(&registry).await.unwrap();
    assert_eq!(
        found.entries.len(),
        4001,
        "equal entries count once, in the list's bound they count"
    );
    assert!(found.truncated.unwrap().contains("5000 entries"));
    assert!(registry.count("GET *") < 40, "nobody reads on once the bound is reached");
}

#[tokio::test]
async fn entries_that_are_no_descriptors_are_passed_over() {
    let registry = with_referrers(Options::default(), 1);
    let odd = vec![
        json!(null),
        json!({}),
        json!("sha256:x"),
        json!({"mediaType": "a/b", "digest": "sha256:../../x", "size": 1}),
        json!({"mediaType": "a/b", "digest": format!("blake3:{}", "a".repeat(64)), "size": 1}),
        json!({"mediaType": "a/b", "digest": Digest::sha256(b""), "size": -1}),
        json!({"mediaType": "a/b", "digest": Digest::sha256(b""), "size": 1, "annotations": {"a": 1}}),
    ];
    registry.list_referrers(&subject().digest, odd);
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let sink = Arc::clone(&heard);
    let notice: registry::Notice = Arc::new(move |text: &str| sink.lock().unwrap().push_str(text));
    let found =
        list_with(&registry, RegistryOptions { notice: Some(notice), ..options() }).await.unwrap();
    assert_eq!(found.entries.len(), 1);
    assert!(heard.lock().unwrap().contains("7 entries"));
}

#[tokio::test]
async fn a_registry_without_the_api_is_read_by_tag() {
    for status in [404, 400, 405, 406] {
        let registry = Registry::start(Options::default());
        registry.lie("GET /v2/app/referrers/*", Lie::Status(status));
        registry.put_manifest(
            "app",
            Some(&tag()),
            media_type::OCI_INDEX,
            &index(&[entry("a"), entry("b"), entry("a")]),
        );
        assert_eq!(list(&registry).await.unwrap().entries.len(), 2, "{status}");
    }
    let registry = Registry::start(Options::without_referrers());
    assert_eq!(list(&registry).await.unwrap().entries.len(), 0, "no tag, no referrers");
}

#[tokio::test]
async fn an_empty_answer_of_the_api_is_checked_against_the_tag() {
    let registry = Registry::start(Options::default());
    registry.put_manifest("app", Some(&tag()), media_type::OCI_INDEX, &index(&[entry("a")]));
    assert_eq!(list(&registry).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_sha512_subject_is_found_under_either_tag() {
    let subject = Digest::of(Algorithm::Sha512, b"{}");
    let short = format!("sha512-{}", &subject.hex()[..64]);
    let registry = Registry::start(Options::without_referrers());
    let store = open(&registry, "app");
    assert_eq!(bounded(store.referrers(&subject)).await.unwrap().entries.len(), 0);
    let long = format!("sha512-{}", subject.hex());
    registry.put_manifest("app", Some(&long), media_type::OCI_INDEX, &index(&[entry("a")]));
    assert_eq!(bounded(store.referrers(&subject)).await.unwrap().entries.len(), 1);
    registry.put_manifest(
        "app",
        Some(&short),
        media_type::OCI_INDEX,
        &index(&[entry("a"), entry("b")]),
    );
    assert_eq!(bounded(store.referrers(&subject)).await.unwrap().entries.len(), 2);
    registry.lie("GET /v2/app/manifests/*", Lie::Status(400));
    assert!(bounded(store.referrers(&subject)).await.is_err(), "400 to a valid tag is no absence");
}

#[tokio::test]
async fn an_error_is_never_an_empty_list() {
    for (status, is) in [
        (401, "Unauthorized"),
        (403, "Unauthorized"),
        (429, "Unreachable"),
        (500, "Unreachable"),
        (501, "Unreachable"),
    ] {
        for path in ["GET /v2/app/referrers/*", "GET /v2/app/manifests/*"] {
            let registry = Registry::start(Options::default());
            registry.lie(path, Lie::Status(status));
            let error = list(&registry).await.unwrap_err();
            assert!(format!("{error:?}").starts_with(is), "{status} {path}: {error:?}");
        }
    }
    let registry = with_referrers(Options { page: 1, ..Options::default() }, 3);
    registry.lie("GET *from=1", Lie::Status(404));
    let error = list(&registry).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "a missing page: {error:?}");
}

#[tokio::test]
async fn what_is_no_index_is_no_list() {
    let manifest =
        json!({"mediaType": media_type::OCI_MANIFEST, "config": {}, "layers": []}).to_string();
    for lie in [
        Lie::Header("Content-Type", media_type::OCI_MANIFEST.into()),
        Lie::Header("Content-Type", "text/html".into()),
        Lie::Body(manifest.clone().into_bytes()),
        Lie::Body(b"<html>".to_vec()),
        Lie::Body(b"{\"manifests\":".repeat(200)),
        Lie::Header("Content-Encoding", "gzip".into()),
    ] {
        let registry = with_referrers(Options::default(), 1);
        registry.lie("GET /v2/app/referrers/*", lie.clone());
        let error = list(&registry).await.unwrap_err();
        assert!(matches!(error, StoreError::Protocol { .. }), "{lie:?}: {error:?}");
    }
    let registry = Registry::start(Options::without_referrers());
    registry.put_manifest("app", Some(&tag()), media_type::OCI_MANIFEST, manifest.as_bytes());
    let error = list(&registry).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn an_endless_page_is_bounded() {
    let registry = with_referrers(Options::default(), 1);
    registry.lie("GET *", Lie::Endless);
    let error = list(&registry).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
}
