//! The same through the command: what a script sees is the exit code.
#![cfg(feature = "cli")]

use std::process::Command;

use super::tree::{Kind, a, nodes};
use super::*;
use crate::common::registry::Lie;

/// Exit code and all that was printed.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ocisign")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&said).into_owned())
}

fn verify_by_key(scene: &Scene) -> (i32, String) {
    let image = format!("{}/{REPOSITORY}@{}", scene.registry.host(), scene.root.digest);
    let key = path("keys-test/ecdsa-p256/key.pub");
    run(&["verify", "--key", key.to_str().unwrap(), &image])
}

#[test]
fn exit_codes_tell_allow_from_deny_from_undecided() {
    let scene = Scene::demo();
    assert_eq!(verify_by_key(&scene).0, 0, "the truth");
    for node in nodes() {
        let mut bytes = node.bytes.clone();
        bytes[node.bytes.len() / 2] ^= 1;
        let scene = Scene::demo();
        scene.registry.lie(&node.request(), Lie::Body(bytes));
        let (code, said) = verify_by_key(&scene);
        assert_eq!(code, 1, "{:?}: {said}", node.kind);
        assert!(said.contains("integrity"), "{said}");
    }
    for lie in [Lie::Endless, Lie::Status(403), Lie::Header("Content-Encoding", "br".into())] {
        let scene = Scene::demo();
        scene.registry.lie(&a(Kind::Root).request(), lie);
        let (code, said) = verify_by_key(&scene);
        assert_eq!(code, 2, "{said}");
    }
    let scene = Scene::demo();
    scene.registry.lie("GET /v2/app/referrers/*", Lie::Status(404));
    assert_eq!(verify_by_key(&scene).0, 1, "unsigned");
    let scene = Scene::demo();
    scene.registry.lie("GET /v2/app/referrers/*", Lie::Status(403));
    assert_eq!(verify_by_key(&scene).0, 2, "who knows whether it is signed");
}

#[test]
fn a_layout_with_a_changed_blob_exits_with_1() {
    for node in nodes() {
        for change in ["flip", "cut", "grow"] {
            let folder = tempfile::tempdir().unwrap();
            copy_folder(&path("tests/data/layouts/demo"), folder.path());
            let blob = folder.path().join("blobs/sha256").join(node.digest().hex());
            let mut bytes = node.bytes.clone();
            match change {
                "flip" => bytes[node.bytes.len() / 2] ^= 1,
                "cut" => drop(bytes.pop()),
                _ => bytes.extend(vec![b' '; 5 << 20]),
            }
            std::fs::write(&blob, bytes).unwrap();
            let image = format!("oci:{}:v1", folder.path().display());
            let policy = path("policies/demo.json");
            let arguments =
                ["verify", "--policy", policy.to_str().unwrap(), "--as", "demo.example/app:v1"];
            let (code, said) = run(&[&arguments[..], &[&image]].concat());
            assert_eq!(code, 1, "{:?} {change}: {said}", node.kind);
            assert!(said.contains("integrity"), "{said}");
        }
    }
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

/// 2 GiB of zeros in 200 KiB: looked into in less memory than the zeros take.
#[test]
#[cfg(target_os = "linux")]
fn a_bomb_takes_little_memory() {
    let mut packed = Vec::new();
    for _ in 0..4 {
        let mut frame = zstd::Encoder::new(&mut packed, 1).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 512 << 20), &mut frame).unwrap();
        frame.finish().unwrap();
    }
    assert!(packed.len() < 200 << 10, "{} bytes are no bomb", packed.len());
    let config = config(&[Digest::sha256(b"nobody gets that far")]);
    let layer = Descriptor::of(media_type::OCI_LAYER_ZSTD, &packed);
    let root = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[layer]).to_string();
    let others: [(&str, &[u8]); 2] = [("", &config), ("", &packed)];
    let scene = Scene::signed(media_type::OCI_MANIFEST, root.as_bytes(), &others);
    let image = format!("{}/{REPOSITORY}:v1", scene.registry.host());
    let key = path("keys-test/ecdsa-p256/key.pub");
    // an address space of 400 MiB: a decoder's window and the threads' stacks
    // are in it, the zeros are not
    let limited = "ulimit -v 409600; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_ocisign"), "verify", "--depth", "contents"])
        .args(["--key", key.to_str().unwrap(), &image])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("limit"), "{said}");
}
