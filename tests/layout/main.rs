//! OCI layouts and archives as stores: what they read, what they refuse, how
//! they are written, and what other tools make of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod copying;
mod hostile;
mod peers;
mod reading;
mod registries;
mod writing;

use std::path::{Path, PathBuf};

use ocisign::image::{Descriptor, Digest, media_type};
use ocisign::limits::Limits;
use ocisign::store::{Layout, Store, Target};
use serde_json::{Value, json};

/// A layout of `tests/data/layouts`.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layouts").join(name)
}

/// A copy of one, to be changed.
fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&data(name), folder.path());
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy_folder(&file.path(), &to),
            false => drop(std::fs::copy(file.path(), to).unwrap()),
        }
    }
}

fn open(folder: &Path) -> Layout {
    Layout::open(folder, Limits::default()).unwrap()
}

fn tag(tag: &str) -> Target {
    Target::Tag(tag.to_owned())
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

fn index_json(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap()
}

fn write_index(folder: &Path, index: &Value) {
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

/// The root of an image, as its store lists it.
async fn root(store: &dyn Store, target: &Target) -> Descriptor {
    store.manifest(target, 1 << 20).await.unwrap().claimed.unwrap()
}

/// Attaches a small artifact to `subject`, as a signature is attached.
async fn attach(store: &dyn Store, subject: &Descriptor, text: &str) -> Descriptor {
    use ocisign::store::Blob;
    let push = async |kind: &str, bytes: &'static [u8]| {
        let descriptor = Descriptor::of(kind, bytes);
        let stream = futures_util::stream::iter([Ok(bytes.into())]);
        store.push_blob(&descriptor, Blob::Stream(Box::pin(stream))).await.unwrap();
        descriptor
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": push(media_type::OCI_EMPTY, b"{}").await,
        "layers": [push("text/plain", b"signature").await],
        "subject": subject,
        "annotations": {"text": text},
    });
    let bytes = manifest.to_string().into_bytes();
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
    store.push_manifest(&descriptor, &bytes, None).await.unwrap();
    descriptor
}
