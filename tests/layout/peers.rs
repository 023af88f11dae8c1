//! Layouts and archives between ocisign and the tools that people have.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use ocisign::engine::copy::copy;
use ocisign::store::{Archive, write_archive};

use super::common::peer;
use super::*;

/// Runs a tool in `folder`. Returns what it printed.
fn run(tool: &Path, folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new(tool)
        .args(arguments.iter().map(OsStr::new))
        .current_dir(folder)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{} {arguments:?}: {error}", tool.display());
    String::from_utf8(done.stdout).unwrap()
}

fn parent_of_demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&data("unsigned"), &folder.path().join("demo"));
    folder
}

/// `oras attach --oci-layout demo:v1 --artifact-type … note.txt`
#[tokio::test]
async fn we_list_what_oras_attaches() {
    let Some(oras) = peer("oras") else { return };
    let folder = parent_of_demo();
    fs::write(folder.path().join("note.txt"), "note").unwrap();
    let kind = "application/vnd.example.note";
    let attach = ["attach", "--oci-layout", "demo:v1", "--artifact-type", kind, "-a", "by=oras"];
    run(&oras, folder.path(), &[&attach[..], &["note.txt:text/plain"]].concat());

    let layout = open(&folder.path().join("demo"));
    let image = root(&layout, &Target::Only).await;
    assert_eq!(image, root(&layout, &tag("v1")).await);
    let list = layout.referrers(&image.digest).await.unwrap();
    assert_eq!((list.entries.len(), list.truncated), (1, None));
    assert_eq!(list.entries[0].artifact_type.as_deref(), Some(kind));
    assert_eq!(list.entries[0].annotations["by"], "oras");
}

/// `oras discover --oci-layout demo:v1 --format json`, then
/// `oras cp -r --from-oci-layout --to-oci-layout`, and we read the copy.
#[tokio::test]
async fn oras_discovers_and_copies_what_we_attach() {
    let Some(oras) = peer("oras") else { return };
    let folder = parent_of_demo();
    let layout = open(&folder.path().join("demo"));
    let image = root(&layout, &tag("v1")).await;
    let ours = attach(&layout, &image, "ours").await;

    let found =
        run(&oras, folder.path(), &["discover", "--oci-layout", "demo:v1", "--format", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let list = found["referrers"].as_array().or(found["manifests"].as_array()).unwrap();
    assert_eq!(list.len(), 1, "{found}");
    assert_eq!(list[0]["digest"], json!(ours.digest));
    assert_eq!(list[0]["artifactType"], "application/vnd.example.signature");
    assert_eq!(list[0]["annotations"]["text"], "ours");

    let cp = ["cp", "-r", "--from-oci-layout", "--to-oci-layout", "demo:v1", "other:v1"];
    run(&oras, folder.path(), &cp);
    let other = open(&folder.path().join("other"));
    assert_eq!(root(&other, &Target::Only).await.digest, image.digest);
    let list = other.referrers(&image.digest).await.unwrap().entries;
    assert_eq!(list.iter().map(|e| &e.digest).collect::<Vec<_>>(), [&ours.digest]);

    // And both keep each other's entries.
    fs::write(folder.path().join("note.txt"), "note").unwrap();
    let theirs = ["attach", "--oci-layout", "demo:v1", "--artifact-type", "text/x", "note.txt"];
    run(&oras, folder.path(), &theirs);
    attach(&layout, &image, "ours again").await;
    assert_eq!(layout.referrers(&image.digest).await.unwrap().entries.len(), 3);
}

/// `skopeo copy --all oci:demo:v1 oci-archive:demo.tar:v2`
#[tokio::test]
async fn we_read_the_archives_of_skopeo() {
    let Some(skopeo) = peer("skopeo") else { return };
    let folder = parent_of_demo();
    let to = "oci-archive:demo.tar:v2";
    // skopeo rewrites the index; from a single image it would do so as well.
    run(&skopeo, folder.path(), &["copy", "-q", "--all", "oci:demo:v1", to]);
    let archive = Archive::open(&folder.path().join("demo.tar"), Limits::default()).unwrap();
    assert_eq!(archive.tags().unwrap(), ["v2"]);
    let image = root(&archive, &tag("v2")).await;
    assert_eq!(root(&archive, &Target::Only).await, image);
    let kept = tempfile::tempdir().unwrap();
    let layout = Layout::create(kept.path(), Limits::default()).unwrap();
    let copied = copy(&archive, &Target::Only, &layout, None, true, &Limits::default()).await;
    assert_eq!(copied.unwrap().manifests, 3);
}

/// `skopeo inspect --raw oci:copy:v1` and `oci-archive:copy.tar:v1`, and
/// `skopeo copy oci:copy:v1 dir:out`, which checks every digest.
#[tokio::test]
async fn skopeo_reads_what_we_write() {
    let Some(skopeo) = peer("skopeo") else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("copy"), Limits::default()).unwrap();
    let src = open(&data("unsigned"));
    let copied = copy(&src, &Target::Only, &layout, Some("v1"), true, &Limits::default()).await;
    let image = copied.unwrap().root;
    attach(&layout, &image, "ours").await;
    write_archive(&layout, &folder.path().join("copy.tar")).unwrap();
    for from in ["oci:copy:v1", "oci-archive:copy.tar:v1"] {
        let raw = run(&skopeo, folder.path(), &["inspect", "--raw", from]);
        assert_eq!(Digest::sha256(raw.as_bytes()), image.digest);
        run(&skopeo, folder.path(), &["copy", "-q", "--all", from, "dir:out"]);
    }
}

/// `umoci list`, `umoci stat`, and `umoci unpack`, which checks every digest
/// and every `diff_id`.
#[tokio::test]
async fn umoci_reads_what_we_write() {
    let Some(umoci) = peer("umoci") else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("copy"), Limits::default()).unwrap();
    let src = open(&data("unsigned"));
    let index = src.manifest(&tag("v1"), 1 << 20).await.unwrap();
    let index: Value = serde_json::from_slice(&index.bytes).unwrap();
    // umoci takes single images.
    let amd64 = index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap();
    let target = Target::Digest(amd64);
    copy(&src, &target, &layout, Some("amd64"), false, &Limits::default()).await.unwrap();
    assert!(run(&umoci, folder.path(), &["list", "--layout", "copy"]).contains("amd64"));
    run(&umoci, folder.path(), &["stat", "--image", "copy:amd64"]);
    let rootless = ["unpack", "--rootless", "--image", "copy:amd64", "out"];
    run(&umoci, folder.path(), &rootless);
    let hello = fs::read_to_string(folder.path().join("out/rootfs/app/hello")).unwrap();
    assert_eq!(hello, "hello from linux/amd64\n");
}
