//! What a layout's tags and referrers are.

use ocisign::image::{Descriptor, media_type};
use ocisign::store::{Blob, Memory, Store, StoreError, Target};
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_demo_image_is_found_by_tag_by_digest_and_as_the_only_one() {
    let layout = open(&data("unsigned"));
    let by_tag = root(&layout, &tag("v1")).await;
    assert_eq!(by_tag.media_type, media_type::OCI_INDEX);
    assert_eq!(root(&layout, &Target::Only).await, by_tag);
    assert_eq!(root(&layout, &Target::Digest(by_tag.digest.clone())).await, by_tag);
    assert_eq!(layout.tags().unwrap(), ["v1"]);
}

#[tokio::test]
async fn one_entry_without_a_tag_is_the_image() {
    let docker = root(&open(&data("docker")), &Target::Only).await;
    assert_eq!(docker.media_type, media_type::DOCKER_LIST);
}

/// oras lists the children of an index in index.json too.
#[tokio::test]
async fn listed_children_are_no_images_of_their_own() {
    let layout = open(&data("nested"));
    assert_eq!(root(&layout, &Target::Only).await, root(&layout, &tag("nested")).await);
}

#[tokio::test]
async fn referrers_and_derived_tags_are_no_images() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let signature = attach(&layout, &image, "one").await;
    let bytes = layout.manifest(&Target::Digest(signature.digest.clone()), 1 << 20).await.unwrap();
    for end in ["", ".sig", ".att", ".sbom"] {
        let derived = format!("sha256-{}{end}", image.digest.hex());
        layout.push_manifest(&signature, &bytes.bytes, Some(&derived)).await.unwrap();
    }
    assert_eq!(root(&layout, &Target::Only).await.digest, image.digest);
}

#[tokio::test]
async fn several_images_are_named_in_the_error() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let other = Memory::new("m").put_manifest(media_type::OCI_INDEX, INDEX, None);
    layout.push_manifest(&other, INDEX.as_bytes(), Some("v2")).await.unwrap();
    let error = layout.manifest(&Target::Only, 1 << 20).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Protocol { .. }), "{text}");
    assert!(text.contains("`v1`, `v2`"), "{text}");
}

const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[tokio::test]
async fn an_absent_tag_and_blob_are_absent_and_nothing_else() {
    let layout = open(&data("unsigned"));
    let error = layout.manifest(&tag("v9"), 1 << 20).await.unwrap_err();
    assert!(matches!(error, StoreError::Absent { .. }), "{error}");
    assert!(error.to_string().contains("`v1`"), "it says which tags there are: {error}");
    let missing = Descriptor::of("text/plain", b"not there");
    let error = layout.blob(&missing.digest, missing.size).await.unwrap_err();
    assert!(matches!(error, StoreError::Absent { .. }), "{error}");
}

#[tokio::test]
async fn referrers_are_what_the_manifests_say() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let signature = attach(&layout, &image, "one").await;
    // What index.json says about it may be anything.
    let mut index = index_json(folder.path());
    index["manifests"][1]["artifactType"] = json!("application/vnd.example.lie");
    index["manifests"][1]["annotations"] = json!({"text": "lie"});
    write_index(folder.path(), &index);

    let list = layout.referrers(&image.digest).await.unwrap();
    assert_eq!(list.truncated, None);
    let [entry] = list.entries.as_slice() else { panic!("{list:?}") };
    assert_eq!(entry.digest, signature.digest);
    assert_eq!(entry.artifact_type.as_deref(), Some("application/vnd.example.signature"));
    assert_eq!(entry.annotations["text"], "one");
    let none = layout.referrers(&signature.digest).await.unwrap();
    assert!(none.entries.is_empty() && none.truncated.is_none(), "{none:?}");
}

/// Whoever checks it can then say what is wrong with it.
#[tokio::test]
async fn a_referrer_whose_bytes_changed_is_still_listed() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let signature = attach(&layout, &image, "one").await;
    for changed in ["{}", "", "\u{0}"] {
        std::fs::write(blob_path(folder.path(), &signature.digest), changed).unwrap();
        let list = layout.referrers(&image.digest).await.unwrap();
        assert_eq!(list.entries.len(), 1, "{changed:?}");
        assert_eq!(list.entries[0].digest, signature.digest);
    }
}

#[tokio::test]
async fn a_referrer_that_is_gone_cuts_the_list_short() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let gone = attach(&layout, &image, "one").await;
    let there = attach(&layout, &image, "two").await;
    std::fs::remove_file(blob_path(folder.path(), &gone.digest)).unwrap();
    let list = layout.referrers(&image.digest).await.unwrap();
    assert_eq!(list.entries.len(), 1);
    assert_eq!(list.entries[0].digest, there.digest);
    assert!(list.truncated.unwrap().contains(gone.digest.hex()));
}

/// The tag schema of the distribution-spec, as in a registry without the API.
#[tokio::test]
async fn an_index_under_the_fallback_tag_is_read() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let entry = Descriptor::of(media_type::OCI_MANIFEST, b"somewhere");
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry],
    });
    let bytes = index.to_string().into_bytes();
    let fallback = format!("sha256-{}", image.digest.hex());
    let descriptor = Descriptor::of(media_type::OCI_INDEX, &bytes);
    layout.push_manifest(&descriptor, &bytes, Some(&fallback)).await.unwrap();
    assert_eq!(layout.referrers(&image.digest).await.unwrap().entries, [entry]);
}

#[tokio::test]
async fn a_blob_is_a_run_of_the_file() {
    let layout = open(&data("unsigned"));
    let image = root(&layout, &tag("v1")).await;
    match layout.blob(&image.digest, image.size).await.unwrap() {
        Blob::File { offset: 0, len, .. } => assert_eq!(len, image.size),
        other => panic!("{other:?}"),
    }
    assert!(layout.has_blob(&image.digest, image.size).await.unwrap());
    assert!(!layout.has_blob(&image.digest, image.size + 1).await.unwrap());
}
