//! Reading blobs: resumption, and the bounds of it.

use std::time::Duration;

use super::*;
use crate::common::registry::{Lie, Options};

fn content() -> Vec<u8> {
    (0..3 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn with_blob() -> (Registry, Descriptor, Vec<u8>) {
    let registry = Registry::start(Options::default());
    let bytes = content();
    let blob = registry.put_blob("app", &bytes);
    (registry, blob, bytes)
}

#[tokio::test]
async fn a_blob_streams_as_it_is() {
    let (registry, blob, bytes) = with_blob();
    assert_eq!(read(&open(&registry, "app"), &blob).await.unwrap(), bytes);
    let none = Digest::sha256(b"none");
    let error = read_as(&open(&registry, "app"), &none, 4).await.unwrap_err();
    assert!(matches!(error, StoreError::Absent { .. }));
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let (registry, blob, bytes) = with_blob();
    registry.lie_times(1, "GET /v2/app/blobs/*", Lie::Cut(1_000_000));
    registry.lie_times(2, "GET /v2/app/blobs/*", Lie::Cut(1_000_000));
    assert_eq!(read(&open(&registry, "app"), &blob).await.unwrap(), bytes);
    let ranges: Vec<_> =
        registry.requests().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges[0], None);
    assert!(ranges.len() > 1 && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    assert!(registry.sent() < bytes.len() as u64 + 1000, "nothing was sent twice");
}

#[tokio::test]
async fn a_registry_without_ranges_sends_it_again_and_nothing_is_doubled() {
    let (registry, blob, bytes) = with_blob();
    registry.lie_times(2, "GET *", Lie::Cut(1_000_000));
    registry.lie("GET *", Lie::IgnoreRange);
    assert_eq!(read(&open(&registry, "app"), &blob).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_resumption_at_another_place_is_against_the_rules() {
    for range in [
        "bytes 0-9/10",
        "bytes 1000001-3145727/3145728",
        "bytes 1000000-3145727/9999999",
        "bytes 1000000-2000000/3145728",
        "garbage",
    ] {
        let (registry, blob, _) = with_blob();
        registry.lie_times(1, "GET *", Lie::Cut(1_000_000));
        registry.lie("GET *", Lie::Header("Content-Range", range.into()));
        let error = read(&open(&registry, "app"), &blob).await.unwrap_err();
        assert!(matches!(error, StoreError::Protocol { .. }), "{range}: {error:?}");
    }
}

#[tokio::test]
async fn a_blob_that_vanishes_half_way_is_not_absent() {
    for (status, absent) in [(404, false), (416, false), (403, false)] {
        let (registry, blob, _) = with_blob();
        registry.lie_times(1, "GET *", Lie::Cut(1000));
        let store = open(&registry, "app");
        let Blob::Stream(mut stream) = bounded(store.blob(&blob.digest, blob.size)).await.unwrap()
        else {
            panic!("no stream")
        };
        registry.lie("GET *", Lie::Status(status));
        let error = bounded(async {
            loop {
                match stream.try_next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("ended as if whole"),
                    Err(error) => return error,
                }
            }
        })
        .await;
        assert_eq!(matches!(error, StoreError::Absent { .. }), absent, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_download_that_never_gets_on_ends() {
    let (registry, blob, _) = with_blob();
    registry.lie("GET *", Lie::Cut(10));
    let error = read(&open(&registry, "app"), &blob).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(registry.requests().len() <= 1 + limits().attempts as usize);
}

#[tokio::test]
async fn a_drip_ends() {
    let (registry, blob, _) = with_blob();
    registry.lie("GET *", Lie::Drip(20, Duration::from_millis(100)));
    let error = read(&open_with(&registry, "app", impatient()), &blob).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_endless_blob_is_read_little_further_than_its_size() {
    let (registry, blob, _) = with_blob();
    registry.lie("GET *", Lie::Endless);
    let got = read(&open(&registry, "app"), &blob).await.unwrap();
    assert!(got.len() as u64 > blob.size, "the reader can tell that it is too long");
    assert!((got.len() as u64) < blob.size + (4 << 20));
}

#[tokio::test]
async fn a_shorter_longer_or_other_blob_comes_through_for_the_reader_to_refuse() {
    for other in [&b"short"[..], &[7; 4 << 20]] {
        let (registry, blob, _) = with_blob();
        registry.lie("GET *", Lie::Body(other.to_vec()));
        let got = read(&open(&registry, "app"), &blob).await.unwrap();
        assert!(got.len() as u64 != blob.size);
    }
    // announced longer than it is: resumed, and then not what was announced
    let (registry, blob, bytes) = with_blob();
    registry.lie("GET *", Lie::Length(blob.size + 10));
    assert!(read(&open(&registry, "app"), &blob).await.map_or(true, |got| got == bytes));
}

#[tokio::test]
async fn a_compressed_blob_is_against_the_rules() {
    let (registry, blob, _) = with_blob();
    registry.lie("GET *", Lie::Header("Content-Encoding", "zstd".into()));
    let error = read(&open(&registry, "app"), &blob).await.unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn whether_a_blob_is_there() {
    let (registry, blob, _) = with_blob();
    let store = open(&registry, "app");
    assert!(bounded(store.has_blob(&blob.digest, blob.size)).await.unwrap());
    assert!(!bounded(store.has_blob(&blob.digest, blob.size + 1)).await.unwrap(), "another size");
    assert!(!bounded(store.has_blob(&Digest::sha256(b"none"), 4)).await.unwrap());
    registry.lie("HEAD *", Lie::Status(403));
    assert!(bounded(store.has_blob(&blob.digest, blob.size)).await.is_err());
}
