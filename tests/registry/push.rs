//! Writing: blobs, manifests, and the list of referrers where the registry
//! keeps none.

use std::io::Write;

use super::*;
use crate::common::registry::{Auth, Lie, Options};
use futures_util::StreamExt;
use ocisign::image::Algorithm;
use serde_json::{Value, json};

fn file(bytes: &[u8]) -> Blob {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"before").unwrap();
    file.write_all(bytes).unwrap();
    Blob::File { file: Arc::new(file), offset: 6, len: bytes.len() as u64 }
}

fn stream(bytes: &[u8]) -> Blob {
    let chunks: Vec<_> =
        bytes.chunks(1000).map(|chunk| Ok(ocisign::store::Chunk::copy_from_slice(chunk))).collect();
    Blob::Stream(futures_util::stream::iter(chunks).boxed())
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

fn manifest(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, bytes)
}

fn subject() -> Descriptor {
    manifest(b"{}")
}

fn tag() -> String {
    format!("sha256-{}", subject().digest.hex())
}

fn listed(registry: &Registry) -> Vec<Value> {
    let bytes = registry.manifest("app", &tag()).expect("an index");
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(index["mediaType"], media_type::OCI_INDEX);
    index["manifests"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_blob_is_uploaded_once_whatever_the_location_looks_like() {
    for absolute_locations in [false, true] {
        let registry = Registry::start(Options { absolute_locations, ..Options::default() });
        let store = open(&registry, "app");
        let big = vec![3; 2 << 20];
        for bytes in [&b"content"[..], &b""[..], &big] {
            bounded(store.push_blob(&blob(bytes), file(bytes))).await.unwrap();
            assert_eq!(registry.blob("app", &blob(bytes).digest).as_deref(), Some(bytes));
        }
        bounded(store.push_blob(&blob(b"streamed"), stream(b"streamed"))).await.unwrap();
        assert_eq!(registry.count("POST *"), 4);
        bounded(store.push_blob(&blob(b"content"), file(b"content"))).await.unwrap();
        assert_eq!(registry.count("POST *"), 4, "it is there already");
        let put = registry.requests().into_iter().find(|r| r.method == "PUT").unwrap();
        assert_eq!(put.header("content-length"), Some("7"));
        assert_eq!(put.header("content-type"), Some("application/octet-stream"));
    }
}

#[tokio::test]
async fn an_upload_that_broke_starts_anew_where_the_bytes_can_be_read_again() {
    let registry = Registry::start(Options::default());
    registry.lie_times(1, "PUT *", Lie::Hangup);
    registry.lie_times(1, "PUT *", Lie::Status(503));
    let store = open(&registry, "app");
    bounded(store.push_blob(&blob(b"content"), file(b"content"))).await.unwrap();
    assert!(registry.blob("app", &blob(b"content").digest).is_some());

    registry.lie_times(1, "PUT *", Lie::Status(503));
    let error = bounded(store.push_blob(&blob(b"other"), stream(b"other"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_source_that_fails_gives_its_own_error() {
    let registry = Registry::start(Options::default());
    let store = open(&registry, "app");
    let whole = blob(&[7; 5000]);
    let broken = || StoreError::TooLarge { what: "the source".into(), limit: 1 };
    let chunks = vec![Ok(ocisign::store::Chunk::from_static(&[7; 1000])), Err(broken())];
    let source = Blob::Stream(futures_util::stream::iter(chunks).boxed());
    let error = bounded(store.push_blob(&whole, source)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit: 1, .. }), "{error:?}");
    for other in [&[7; 4000][..], &[7; 6000]] {
        let pushed = bounded(store.push_blob(&whole, stream(other))).await;
        let stored = registry.blob("app", &whole.digest);
        // a longer source is cut at the announced length, which the digest then covers
        assert_eq!(pushed.is_ok(), stored.is_some(), "{pushed:?}");
        assert!(other.len() > 5000 || pushed.is_err());
    }
}

#[tokio::test]
async fn a_refused_upload_says_why() {
    let registry = Registry::start(Options::default());
    let store = open(&registry, "app");
    let error = bounded(store.push_blob(&blob(b"right"), file(b"wrong"))).await.unwrap_err();
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    for (pattern, lie, is) in [
        ("POST *", Lie::NoHeader("Location"), "Protocol"),
        ("POST *", Lie::Header("Location", "ftp://x/".into()), "Protocol"),
        ("POST *", Lie::Status(405), "ReadOnly"),
        ("POST *", Lie::Status(404), "Protocol"),
        ("PUT *", Lie::Status(403), "Unauthorized"),
        ("PUT *", Lie::Status(202), "Protocol"),
    ] {
        let registry = Registry::start(Options::default());
        registry.lie(pattern, lie.clone());
        let store = open(&registry, "app");
        let error = bounded(store.push_blob(&blob(b"x"), file(b"x"))).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(is), "{lie:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_location_is_good_enough_where_none_is_needed() {
    let registry = Registry::start(Options::default());
    registry.lie("PUT *", Lie::NoHeader("Location"));
    let store = open(&registry, "app");
    bounded(store.push_blob(&blob(b"x"), file(b"x"))).await.unwrap();
    bounded(store.push_manifest(&manifest(b"{}"), b"{}", Some("v1"))).await.unwrap();
}

#[tokio::test]
async fn an_upload_to_another_host_carries_no_authorization() {
    let elsewhere = Registry::start(Options::default());
    let registry = Registry::start(Options { auth: Auth::Basic, ..Options::default() });
    let there = format!("{}/v2/app/blobs/uploads/1?_state=a%2Bb", elsewhere.url());
    registry.lie("POST *", Lie::Header("Location", there));
    let store =
        open_with(&registry, "app", RegistryOptions { credentials: me(&registry), ..options() });
    let _ = bounded(store.push_blob(&blob(b"x"), file(b"x"))).await;
    assert_eq!(elsewhere.requests().len(), 1);
    assert!(elsewhere.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn a_push_needs_one_token_for_all_its_requests() {
    let registry = Registry::start(Options { auth: Auth::private(), ..Options::default() });
    let store =
        open_with(&registry, "app", RegistryOptions { credentials: me(&registry), ..options() });
    bounded(store.push_blob(&blob(b"x"), stream(b"x"))).await.unwrap();
    bounded(store.push_manifest(&manifest(b"{}"), b"{}", Some("v1"))).await.unwrap();
    assert_eq!(registry.count("GET /token*"), 1);
}

#[tokio::test]
async fn a_manifest_goes_under_its_digest_and_its_tag() {
    let registry = Registry::start(Options::default());
    let store = open(&registry, "app");
    bounded(store.push_manifest(&manifest(b"{}"), b"{}", Some("v1"))).await.unwrap();
    bounded(store.push_manifest(&manifest(b"{ }"), b"{ }", None)).await.unwrap();
    assert_eq!(pull_tag(&store, "v1").await.unwrap(), b"{}");
    assert!(registry.manifest("app", &manifest(b"{ }").digest.to_string()).is_some());
    let sha512 = Digest::of(Algorithm::Sha512, b"{}");
    let descriptor = Descriptor::new(media_type::OCI_MANIFEST, sha512.clone(), 2);
    bounded(store.push_manifest(&descriptor, b"{}", Some("v3"))).await.unwrap();
    assert!(
        registry.manifest("app", &sha512.to_string()).is_some(),
        "a tag alone would lose sha512"
    );
    assert!(registry.manifest("app", "v3").is_some());
}

#[tokio::test]
async fn a_registry_that_indexes_subjects_is_left_to_it() {
    let registry = Registry::start(Options::default());
    let store = open(&registry, "app");
    let bytes = referrer(&subject(), "mine");
    bounded(store.push_manifest(&manifest(&bytes), &bytes, None)).await.unwrap();
    assert_eq!(registry.manifest("app", &tag()), None, "no tag beside the API");
    let found = bounded(store.referrers(&subject().digest)).await.unwrap();
    assert_eq!(found.entries.len(), 1);
}

#[tokio::test]
async fn without_oci_subject_the_tag_is_written_and_read() {
    let registry = Registry::start(Options::without_referrers());
    let store = open(&registry, "app");
    for note in ["a", "b", "a"] {
        let bytes = referrer(&subject(), note);
        bounded(store.push_manifest(&manifest(&bytes), &bytes, None)).await.unwrap();
    }
    let entries = listed(&registry);
    assert_eq!(entries.len(), 2, "pushing twice adds nothing");
    assert_eq!(entries[0]["artifactType"], "application/vnd.example.note");
    assert_eq!(entries[0]["annotations"]["note"], "a");
    let found = bounded(store.referrers(&subject().digest)).await.unwrap();
    assert_eq!(found.entries.len(), 2);
    let writes = registry.count("PUT /v2/app/manifests/sha256-*");
    assert_eq!(writes, 2, "an index that is right is not written again");
}

#[tokio::test]
async fn what_others_listed_stays() {
    let registry = Registry::start(Options::without_referrers());
    let theirs = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "annotations": {"who": "they"},
        "manifests": [{"mediaType": "a/b", "digest": "blake3:00", "size": 1, "theirs": [1, 2]}],
    });
    registry.put_manifest(
        "app",
        Some(&tag()),
        media_type::OCI_INDEX,
        theirs.to_string().as_bytes(),
    );
    let bytes = referrer(&subject(), "mine");
    bounded(open(&registry, "app").push_manifest(&manifest(&bytes), &bytes, None)).await.unwrap();
    let entries = listed(&registry);
    assert_eq!(entries[0], theirs["manifests"][0]);
    assert_eq!(entries[1]["digest"], manifest(&bytes).digest.to_string());
}

#[tokio::test]
async fn a_concurrent_writer_s_entry_and_ours_both_stay() {
    // the other writer read the index before our write and writes after it:
    // ours is lost, and must come back without taking theirs away
    let registry = Registry::start(Options::without_referrers());
    let early = json!({"mediaType": "a/b", "digest": Digest::sha256(b"early"), "size": 1});
    let late = json!({"mediaType": "a/b", "digest": Digest::sha256(b"late"), "size": 1});
    let index = |entries: &[&Value]| {
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries})
            .to_string()
            .into_bytes()
    };
    registry.put_manifest("app", Some(&tag()), media_type::OCI_INDEX, &index(&[&early]));
    // this one also lost the early entry, as a writer with a stale copy does
    registry.lie_times(1, "PUT /v2/app/manifests/sha256-*", Lie::Overwritten(index(&[&late])));
    let bytes = referrer(&subject(), "mine");
    bounded(open(&registry, "app").push_manifest(&manifest(&bytes), &bytes, None)).await.unwrap();
    let mut digests: Vec<_> = listed(&registry).iter().map(|e| e["digest"].clone()).collect();
    let mut want =
        vec![early["digest"].clone(), late["digest"].clone(), json!(manifest(&bytes).digest)];
    digests.sort_by_key(Value::to_string);
    want.sort_by_key(Value::to_string);
    assert_eq!(digests, want);
}

#[tokio::test]
async fn many_writers_of_one_process_lose_nothing() {
    let registry = Registry::start(Options::without_referrers());
    let all = (0..12).map(|n| {
        let store = open(&registry, "app");
        async move {
            let bytes = referrer(&subject(), &n.to_string());
            store.push_manifest(&manifest(&bytes), &bytes, None).await
        }
    });
    for result in bounded(futures_util::future::join_all(all)).await {
        result.unwrap();
    }
    assert_eq!(listed(&registry).len(), 12);
}

#[tokio::test]
async fn an_entry_that_never_stays_is_an_error() {
    let registry = Registry::start(Options::without_referrers());
    let empty = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    registry
        .lie("PUT /v2/app/manifests/sha256-*", Lie::Overwritten(empty.to_string().into_bytes()));
    let bytes = referrer(&subject(), "mine");
    let store = open(&registry, "app");
    let pushed =
        tokio::time::timeout(BOUND * 3, store.push_manifest(&manifest(&bytes), &bytes, None)).await;
    assert!(matches!(pushed.expect("an end"), Err(StoreError::Unreachable { .. })));
}

#[tokio::test]
async fn a_tag_that_is_no_index_is_not_overwritten() {
    let registry = Registry::start(Options::without_referrers());
    registry.put_manifest("app", Some(&tag()), media_type::OCI_MANIFEST, b"{\"layers\":[]}");
    let bytes = referrer(&subject(), "mine");
    let pushed =
        bounded(open(&registry, "app").push_manifest(&manifest(&bytes), &bytes, None)).await;
    assert!(matches!(pushed, Err(StoreError::Protocol { .. })));
    assert_eq!(registry.manifest("app", &tag()).unwrap(), b"{\"layers\":[]}");
    registry.lie("GET /v2/app/manifests/sha256-*", Lie::Status(403));
    let pushed =
        bounded(open(&registry, "app").push_manifest(&manifest(&bytes), &bytes, None)).await;
    assert!(
        matches!(pushed, Err(StoreError::Unauthorized { .. })),
        "what cannot be read is not replaced"
    );
}
