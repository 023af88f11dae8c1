//! Copying images with what is attached to them, and the lies of a source.

use std::collections::BTreeSet;
use std::fs;

use ocisign::engine::copy::{Copied, CopyError, copy};
use ocisign::store::{Archive, Memory, write_archive};

use super::*;

async fn run(src: &dyn Store, dst: &dyn Store) -> Result<Copied, CopyError> {
    copy(src, &Target::Only, dst, Some("copied"), true, &Limits::default()).await
}

fn empty() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path(), Limits::default()).unwrap();
    (folder, layout)
}

fn blobs(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    fs::read_dir(folder.join("blobs/sha256"))
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect()
}

#[tokio::test]
async fn every_fixture_arrives_byte_for_byte() {
    for name in ["unsigned", "docker", "artifact", "nested"] {
        let (folder, dst) = empty();
        let src = open(&data(name));
        let copied = run(&src, &dst).await.unwrap();
        assert_eq!(blobs(folder.path()), blobs(&data(name)), "{name}");
        assert_eq!(copied.root.digest, root(&dst, &tag("copied")).await.digest);
        assert_eq!(dst.tags().unwrap(), ["copied"]);
        let again = run(&src, &dst).await.unwrap();
        assert_eq!((again.blobs, again.present), (0, copied.blobs));
    }
}

#[tokio::test]
async fn signatures_of_root_and_children_and_of_signatures_come_along() {
    let folder = copy_of("unsigned");
    let src = open(folder.path());
    let image = root(&src, &tag("v1")).await;
    let on_root = attach(&src, &image, "root").await;
    let on_signature = attach(&src, &on_root, "countersigned").await;
    let index = src.manifest(&tag("v1"), 1 << 20).await.unwrap();
    let index: Value = serde_json::from_slice(&index.bytes).unwrap();
    let child: Descriptor = serde_json::from_value(index["manifests"][0].clone()).unwrap();
    let on_child = attach(&src, &child, "child").await;
    let legacy = blob_path(folder.path(), &on_root.digest);
    let legacy_tag = format!("sha256-{}.sig", image.digest.hex());
    src.push_manifest(&on_root, &fs::read(legacy).unwrap(), Some(&legacy_tag)).await.unwrap();

    let (kept, dst) = empty();
    let copied = run(&src, &dst).await.unwrap();
    assert_eq!(copied.attached, 3);
    assert!(copied.skipped.is_empty() && copied.external.is_empty());
    for (subject, signature) in [(&image, &on_root), (&on_root, &on_signature), (&child, &on_child)]
    {
        let list = dst.referrers(&subject.digest).await.unwrap().entries;
        assert_eq!(list.iter().map(|e| &e.digest).collect::<Vec<_>>(), [&signature.digest]);
    }
    assert_eq!(root(&dst, &tag(&legacy_tag)).await.digest, on_root.digest);
    assert_eq!(blobs(kept.path()), blobs(folder.path()));

    let (_kept_too, without) = empty();
    let copied = copy(&src, &Target::Only, &without, None, false, &Limits::default()).await;
    assert_eq!(copied.unwrap().attached, 0);
    assert!(without.referrers(&image.digest).await.unwrap().entries.is_empty());
    assert_eq!(root(&without, &Target::Only).await.digest, image.digest);
}

#[tokio::test]
async fn layout_archive_and_memory_are_stores_alike() {
    let folder = copy_of("unsigned");
    let src = open(folder.path());
    let image = root(&src, &tag("v1")).await;
    attach(&src, &image, "root").await;
    let file = folder.path().join("a.tar");
    write_archive(&src, &file).unwrap();
    let archive = Archive::open(&file, Limits::default()).unwrap();
    let memory = Memory::new("memory");
    run(&archive, &memory).await.unwrap();
    assert_eq!(memory.referrers(&image.digest).await.unwrap().entries.len(), 1);
    let (kept, dst) = empty();
    run(&memory, &dst).await.unwrap();
    assert_eq!(blobs(kept.path()), blobs(folder.path()));
}

/// Whatever byte of the image is flipped, cut or added: exit 1, and the
/// destination shows no image.
#[tokio::test]
async fn a_changed_byte_anywhere_stops_the_copy() {
    for (name, good) in blobs(&data("unsigned")) {
        let digest: Digest = format!("sha256:{name}").parse().unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let cut = good[..good.len() - 1].to_vec();
        let grown = [good.as_slice(), b"\n"].concat();
        for bad in [flipped, cut, grown] {
            let folder = copy_of("unsigned");
            fs::write(blob_path(folder.path(), &digest), bad).unwrap();
            let (kept, dst) = empty();
            let error = run(&open(folder.path()), &dst).await.unwrap_err();
            assert!(matches!(error, CopyError::Mismatch { .. }), "{error:?}");
            assert!(error.is_denial());
            assert!(dst.tags().unwrap().is_empty());
            for (name, bytes) in blobs(kept.path()) {
                assert_eq!(Digest::sha256(&bytes).hex(), name, "only sound blobs are kept");
            }
        }
    }
}

#[tokio::test]
async fn a_changed_signature_stops_the_copy_too() {
    let folder = copy_of("unsigned");
    let src = open(folder.path());
    let image = root(&src, &tag("v1")).await;
    let signature = attach(&src, &image, "root").await;
    fs::write(blob_path(folder.path(), &signature.digest), "{}").unwrap();
    let (_kept, dst) = empty();
    let error = run(&src, &dst).await.unwrap_err();
    assert!(matches!(error, CopyError::Mismatch { .. }), "{error:?}");
    assert!(dst.tags().unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_part_is_missing_and_no_mismatch() {
    for (name, _) in blobs(&data("unsigned")) {
        let digest: Digest = format!("sha256:{name}").parse().unwrap();
        let folder = copy_of("unsigned");
        fs::remove_file(blob_path(folder.path(), &digest)).unwrap();
        let (_kept, dst) = empty();
        let error = run(&open(folder.path()), &dst).await.unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
        assert!(!error.is_denial(), "{error}");
        assert!(dst.tags().unwrap().is_empty());
    }
}

/// One image of one manifest whose only layer is `layer`.
fn image_with(memory: &Memory, layer: &Value) -> Descriptor {
    let config = memory.put_blob(media_type::OCI_CONFIG, "{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": config, "layers": [layer],
    });
    memory.put_manifest(media_type::OCI_MANIFEST, manifest.to_string(), Some("v1"))
}

#[tokio::test]
async fn a_foreign_layer_is_reported_and_not_fetched() {
    let src = Memory::new("memory");
    let mut layer = Descriptor::of(media_type::DOCKER_FOREIGN_GZIP, b"elsewhere");
    layer.urls = vec!["https://example.com/layer".to_owned()];
    image_with(&src, &json!(layer));
    let (_kept, dst) = empty();
    let copied = run(&src, &dst).await.unwrap();
    assert_eq!(copied.external, [layer]);
    assert_eq!(copied.blobs, 1);
}

#[tokio::test]
async fn embedded_data_stands_in_for_a_blob_only_when_it_is_right() {
    for (text, good) in [("ZW1iZWRkZWQ=", true), ("ZW1iZWRkZWR=", false), ("b3RoZXJ3aXNl", false)] {
        let src = Memory::new("memory");
        let mut layer = json!(Descriptor::of("text/plain", b"embedded"));
        layer["data"] = json!(text);
        image_with(&src, &layer);
        let (_kept, dst) = empty();
        let copied = run(&src, &dst).await;
        assert_eq!(copied.is_ok(), good, "{copied:?}");
        assert_eq!(dst.tags().unwrap().is_empty(), !good);
    }
}

/// A referrers list is a hint that anybody may write.
#[tokio::test]
async fn junk_among_the_referrers_is_skipped_and_named() {
    let src = Memory::new("memory");
    let layer = src.put_blob("text/plain", "layer");
    let image = image_with(&src, &json!(layer));
    let good = attach(&src, &image, "good").await;
    let gone = Descriptor::of(media_type::OCI_MANIFEST, b"gone");
    let stranger =
        src.put_manifest(media_type::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#, None);
    let text = src.put_manifest(media_type::OCI_MANIFEST, "no manifest", None);
    for junk in [&gone, &stranger, &text, &image] {
        src.put_referrer(&image.digest, junk.clone());
    }
    let (_kept, dst) = empty();
    let copied = run(&src, &dst).await.unwrap();
    assert_eq!(copied.attached, 1);
    let skipped: BTreeSet<_> = copied.skipped.iter().map(|s| s.digest.clone()).collect();
    assert_eq!(skipped, [gone.digest, stranger.digest, text.digest].into());
    let list = dst.referrers(&image.digest).await.unwrap().entries;
    assert_eq!(list.iter().map(|e| &e.digest).collect::<Vec<_>>(), [&good.digest]);
}

#[tokio::test]
async fn one_digest_with_two_sizes_is_a_mismatch() {
    let src = Memory::new("memory");
    let layer = src.put_blob("text/plain", "layer");
    let mut lie = layer.clone();
    lie.size += 1;
    let config = src.put_blob(media_type::OCI_CONFIG, "{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": config, "layers": [layer, lie],
    });
    src.put_manifest(media_type::OCI_MANIFEST, manifest.to_string(), Some("v1"));
    let (_kept, dst) = empty();
    let error = run(&src, &dst).await.unwrap_err();
    assert!(matches!(error, CopyError::Mismatch { .. }), "{error:?}");
}

#[tokio::test]
async fn indexes_nest_as_deep_as_the_limit() {
    let src = Memory::new("memory");
    let mut inner = json!([]);
    let mut depth = 0;
    let limits = Limits::default();
    while depth <= limits.index_depth {
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": inner,
        });
        let name = format!("d{depth}");
        let index = src.put_manifest(media_type::OCI_INDEX, index.to_string(), Some(&name));
        inner = json!([index]);
        depth += 1;
    }
    let (_kept, dst) = empty();
    let deepest = tag(&format!("d{}", limits.index_depth - 1));
    copy(&src, &deepest, &dst, None, false, &limits).await.unwrap();
    let deeper = tag(&format!("d{}", limits.index_depth));
    let error = copy(&src, &deeper, &dst, None, false, &limits).await.unwrap_err();
    assert!(matches!(error, CopyError::Limit(_)), "{error:?}");
    assert!(!error.is_denial());
}

#[tokio::test]
async fn an_image_of_too_many_parts_is_over_the_limit() {
    let limits = Limits { tree_nodes: 5, ..Limits::default() };
    let (_kept, dst) = empty();
    let error = copy(&open(&data("unsigned")), &Target::Only, &dst, None, true, &limits).await;
    assert!(matches!(error, Err(CopyError::Limit(_))), "{error:?}");
    let limits = Limits { tree_json_bytes: 1000, ..Limits::default() };
    let error = copy(&open(&data("unsigned")), &Target::Only, &dst, None, true, &limits).await;
    assert!(matches!(error, Err(CopyError::Limit(_))), "{error:?}");
}

#[tokio::test]
async fn a_manifest_that_is_also_an_index_is_denied() {
    let src = Memory::new("memory");
    let both = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [],
        "config": src.put_blob(media_type::OCI_CONFIG, "{}"), "layers": [],
    });
    src.put_manifest(media_type::OCI_INDEX, both.to_string(), Some("v1"));
    let (_kept, dst) = empty();
    let error = run(&src, &dst).await.unwrap_err();
    assert!(matches!(error, CopyError::Manifest { .. }), "{error:?}");
    assert!(error.is_denial());
}
