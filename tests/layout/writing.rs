//! Writing layouts: nothing is lost, nothing half-written is seen.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ocisign::store::{Blob, StoreError};

use super::*;

#[tokio::test]
async fn attaching_is_one_more_entry_and_twice_adds_nothing() {
    let folder = copy_of("unsigned");
    let before = index_json(folder.path());
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let first = attach(&layout, &image, "one").await;
    let once = index_json(folder.path());
    assert_eq!(attach(&layout, &image, "one").await, first);
    assert_eq!(index_json(folder.path()), once);
    assert_eq!(once["manifests"][0], before["manifests"][0]);
    assert_eq!(
        once["manifests"][1],
        json!({
            "mediaType": media_type::OCI_MANIFEST,
            "digest": first.digest,
            "size": first.size,
            "artifactType": "application/vnd.example.signature",
            "annotations": {"text": "one"},
        })
    );
}

#[tokio::test]
async fn unknown_fields_stay() {
    let folder = copy_of("unsigned");
    let mut index = index_json(folder.path());
    index["x-top"] = json!({"kept": [1, null]});
    index["manifests"][0]["x-entry"] = json!("kept");
    write_index(folder.path(), &index);
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    attach(&layout, &image, "one").await;
    let after = index_json(folder.path());
    assert_eq!(after["x-top"], index["x-top"]);
    assert_eq!(after["manifests"][0], index["manifests"][0]);
}

/// Sixteen threads in each of four processes attach to one image.
#[tokio::test]
async fn attaching_at_once_loses_nothing() {
    let folder = copy_of("unsigned");
    let image = root(&open(folder.path()), &tag("v1")).await;
    let processes: Vec<_> = (0..4)
        .map(|process| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored", "writing::attach_from_sixteen_threads"])
                .env("LAYOUT", folder.path())
                .env("PROCESS", process.to_string())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let list = open(folder.path()).referrers(&image.digest).await.unwrap();
    let texts: BTreeSet<&str> = list.entries.iter().map(|e| &*e.annotations["text"]).collect();
    assert_eq!(texts.len(), 64);
    let names: BTreeSet<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"].map(String::from).into());
}

#[test]
#[ignore = "one of the processes of attaching_at_once_loses_nothing"]
fn attach_from_sixteen_threads() {
    let Some(folder) = std::env::var_os("LAYOUT").map(PathBuf::from) else { return };
    let process = std::env::var("PROCESS").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (folder, process) = (&folder, &process);
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let layout = open(folder);
                    let image = root(&layout, &tag("v1")).await;
                    attach(&layout, &image, &format!("{process}.{thread}")).await;
                });
            });
        }
    });
}

#[tokio::test]
async fn a_tag_moves() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let other = Descriptor::of(media_type::OCI_INDEX, bytes);
    layout.push_manifest(&other, bytes, Some("v1")).await.unwrap();
    assert_eq!(root(&layout, &tag("v1")).await.digest, other.digest);
    assert_eq!(layout.tags().unwrap(), ["v1"]);
}

#[tokio::test]
async fn a_tag_that_others_could_not_read_is_not_written() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let other = Descriptor::of(media_type::OCI_INDEX, bytes);
    for bad in ["", "../x", "a b", "-x"] {
        assert!(layout.push_manifest(&other, bytes, Some(bad)).await.is_err(), "{bad}");
    }
    assert_eq!(layout.tags().unwrap(), ["v1"]);
}

#[tokio::test]
async fn a_blob_of_the_wrong_length_and_a_manifest_of_another_digest_are_not_kept() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let blob = Descriptor::of("text/plain", b"four");
    for bytes in [b"for".as_slice(), b"fours", b""] {
        let stream = futures_util::stream::iter([Ok(bytes.into())]);
        let pushed = layout.push_blob(&blob, Blob::Stream(Box::pin(stream))).await;
        assert!(matches!(pushed, Err(StoreError::Protocol { .. })), "{pushed:?}");
        assert!(!blob_path(folder.path(), &blob.digest).exists());
    }
    assert!(layout.push_manifest(&blob, b"five", None).await.is_err());
    assert!(!blob_path(folder.path(), &blob.digest).exists());
}

#[tokio::test]
async fn pushing_a_blob_again_repairs_it() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let path = blob_path(folder.path(), &image.digest);
    let good = fs::read(&path).unwrap();
    fs::write(&path, vec![b' '; good.len()]).unwrap();
    assert!(!layout.has_blob(&image.digest, image.size).await.unwrap());
    let stream = futures_util::stream::iter([Ok(good.clone().into())]);
    layout.push_blob(&image, Blob::Stream(Box::pin(stream))).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[tokio::test]
async fn an_empty_layout_is_made_once_and_not_over_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("new/layout");
    let made = Layout::create(&inside, Limits::default()).unwrap();
    let error = made.manifest(&Target::Only, 1 << 20).await.unwrap_err();
    assert!(matches!(error, StoreError::Absent { .. }), "{error:?}");
    let mode = fs::metadata(inside.join("index.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o600, 0o600);

    let demo = copy_of("unsigned");
    let before = index_json(demo.path());
    Layout::create(demo.path(), Limits::default()).unwrap();
    assert_eq!(index_json(demo.path()), before);

    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let error = Layout::create(folder.path(), Limits::default()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Root may write anywhere, so this says something for other users only.
#[tokio::test]
async fn a_layout_that_cannot_be_written_says_what_to_do() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let may_write = fs::write(folder.path().join("probe"), "").is_ok();
    let bytes = fs::read(blob_path(folder.path(), &image.digest)).unwrap();
    let pushed = layout.push_manifest(&image, &bytes, Some("v2")).await;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    match pushed {
        Ok(()) => assert!(may_write),
        Err(error) => {
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
            assert!(error.to_string().contains("ocisign copy"), "{error}");
        }
    }
}
