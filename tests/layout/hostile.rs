//! Layouts that lie. Each has a stated answer, and none leads out of the
//! layout, waits, or takes memory without bound.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use ocisign::store::StoreError;

use super::*;

fn refused(folder: &Path) -> String {
    let error = Layout::open(folder, Limits::default()).unwrap_err();
    assert!(matches!(error, StoreError::Protocol { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_layout_of_another_version_or_of_no_version_is_refused() {
    for marker in [
        r#"{"imageLayoutVersion":"2.0.0"}"#,
        r#"{"imageLayoutVersion":1}"#,
        r#"{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}"#,
        r#"{"imagelayoutversion":"1.0.0"}"#,
        "{}",
        "[]",
        "",
    ] {
        let folder = copy_of("unsigned");
        fs::write(folder.path().join("oci-layout"), marker).unwrap();
        refused(folder.path());
    }
    let folder = copy_of("unsigned");
    fs::write(
        folder.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0","more":["allowed"]}"#,
    )
    .unwrap();
    open(folder.path());
}

#[test]
fn a_layout_without_one_of_its_parts_is_refused() {
    for part in ["oci-layout", "index.json", "blobs"] {
        let folder = copy_of("unsigned");
        let path = folder.path().join(part);
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(refused(folder.path()).contains(part));
        symlink("elsewhere", &path).unwrap();
        assert!(refused(folder.path()).contains("symbolic link"));
    }
    assert!(refused(&data("nowhere")).contains("no `oci-layout`"));
}

#[test]
fn a_huge_index_is_not_read() {
    let folder = copy_of("unsigned");
    let file = fs::File::options().write(true).open(folder.path().join("index.json")).unwrap();
    file.set_len(1 << 40).unwrap(); // sparse: takes no disk, would take memory
    let error = Layout::open(folder.path(), Limits::default()).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit, .. } if limit == 4 << 20), "{error:?}");
}

#[test]
fn an_index_with_two_readings_is_refused() {
    let folder = copy_of("unsigned");
    for text in [
        r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        r#"{"schemaVersion":2,"manifests":[],"MANIFESTS":[]}"#,
        r#"{"schemaVersion":2,"manifests":[],"config":{}}"#,
        &format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}}}"#, "[".repeat(100_000)),
    ] {
        fs::write(folder.path().join("index.json"), text).unwrap();
        refused(folder.path());
    }
}

/// Replaces the demo's root with what `put` makes and reads it.
async fn with_blob(put: impl Fn(&Path)) -> Result<(), StoreError> {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let path = blob_path(folder.path(), &image.digest);
    fs::rename(&path, folder.path().join("kept")).unwrap();
    put(&path);
    let read = async {
        layout.manifest(&tag("v1"), 1 << 20).await?;
        layout.blob(&image.digest, image.size).await
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("it waits").map(drop)
}

fn says(result: Result<(), StoreError>, text: &str) {
    match result {
        Err(error @ StoreError::Protocol { .. }) if error.to_string().contains(text) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_blob_that_is_a_link_is_refused() {
    says(with_blob(|path| symlink("../../kept", path).unwrap()).await, "symbolic link");
    says(with_blob(|path| symlink("/etc/passwd", path).unwrap()).await, "symbolic link");
    says(with_blob(|path| symlink("nowhere", path).unwrap()).await, "symbolic link");
}

#[tokio::test]
async fn a_blob_that_is_a_folder_or_a_pipe_is_refused() {
    says(with_blob(|path| fs::create_dir(path).unwrap()).await, "no regular file");
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    says(with_blob(pipe).await, "no regular file");
}

#[tokio::test]
async fn a_folder_of_blobs_that_is_a_link_is_refused() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let blobs = folder.path().join("blobs/sha256");
    fs::rename(&blobs, folder.path().join("kept")).unwrap();
    symlink("../kept", &blobs).unwrap();
    says(layout.manifest(&tag("v1"), 1 << 20).await.map(drop), "symbolic link");
    let blob = Descriptor::of("text/plain", b"new");
    let stream = futures_util::stream::iter([Ok(b"new".as_slice().into())]);
    let pushed = layout.push_blob(&blob, ocisign::store::Blob::Stream(Box::pin(stream))).await;
    says(pushed, "symbolic link");
    assert!(!folder.path().join("kept").join(blob.digest.hex()).exists());
}

#[tokio::test]
async fn a_digest_cannot_lead_out_of_the_layout() {
    let folder = copy_of("unsigned");
    fs::write(folder.path().join("secret"), "{}").unwrap();
    let mut index = index_json(folder.path());
    for digest in ["sha256:../../secret", "../secret:00", "sha256:", "SHA256:aa", "blake3:00"] {
        index["manifests"][0]["digest"] = json!(digest);
        write_index(folder.path(), &index);
        says(open(folder.path()).manifest(&tag("v1"), 1 << 20).await.map(drop), "cannot be read");
    }
}

#[tokio::test]
async fn one_tag_on_two_images_is_refused_and_one_image_twice_is_not() {
    let folder = copy_of("unsigned");
    let mut index = index_json(folder.path());
    let entry = index["manifests"][0].clone();
    index["manifests"].as_array_mut().unwrap().push(entry);
    write_index(folder.path(), &index);
    let image = root(&open(folder.path()), &tag("v1")).await;
    assert_eq!(root(&open(folder.path()), &Target::Only).await, image);

    for (field, other) in [
        ("digest", json!(Digest::sha256(b"other"))),
        ("size", json!(1)),
        ("mediaType", json!(media_type::OCI_MANIFEST)),
    ] {
        let mut index = index.clone();
        index["manifests"][1][field] = other;
        write_index(folder.path(), &index);
        says(open(folder.path()).manifest(&tag("v1"), 1 << 20).await.map(drop), "stands twice");
    }
}

/// The store gives what there is, and does not hide how long it is.
#[tokio::test]
async fn a_cut_blob_shows_its_own_length() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let path = blob_path(folder.path(), &image.digest);
    fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    match layout.blob(&image.digest, image.size).await.unwrap() {
        ocisign::store::Blob::File { len, .. } => assert_eq!(len, 10),
        other => panic!("{other:?}"),
    }
    assert!(!layout.has_blob(&image.digest, image.size).await.unwrap());
    let raw = layout.manifest(&tag("v1"), 1 << 20).await.unwrap();
    assert_eq!((raw.bytes.len(), raw.claimed.unwrap().size), (10, image.size));
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_too_large() {
    let layout = open(&data("unsigned"));
    let error = layout.manifest(&tag("v1"), 600).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit: 600, .. }), "{error:?}");
}
