//! The description of the image: what it copies is enough to build, and what
//! it makes is static and runs as nobody. `.ci/image` builds and runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::run::{copy_folder, source};

fn containerfile() -> String {
    fs::read_to_string(source("deploy/Containerfile")).unwrap().replace("\\\n", " ")
}

/// The words after an instruction, line by line.
fn instructions<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn the_image_is_empty_but_for_the_program_and_runs_as_nobody() {
    let text = containerfile();
    let from = instructions(&text, "FROM");
    assert_eq!(from.len(), 2);
    assert!(from[0][0].contains(':') && !from[0][0].ends_with(":latest"), "{from:?}");
    assert_eq!(from[1], ["scratch"]);
    let (_, image) = text.split_once("FROM scratch").unwrap();
    assert_eq!(instructions(image, "USER"), [["65532:65532"]]);
    assert_eq!(instructions(image, "ENTRYPOINT"), [["[\"/ocisign\"]"]]);
    assert_eq!(instructions(image, "COPY"), [["--from=build", "/image/", "/"]]);
    assert!(instructions(image, "RUN").is_empty());
    for manifest in ["kustomize/base/deployment.yaml", "kustomize/overlays/self-managed/job.yaml"] {
        let text = fs::read_to_string(source("deploy").join(manifest)).unwrap();
        assert!(text.contains("runAsUser: 65532"), "{manifest}");
    }
}

#[test]
fn what_is_copied_is_enough_for_cargo() {
    let folder = tempfile::tempdir().unwrap();
    let text = containerfile();
    let (build, _) = text.split_once("FROM scratch").unwrap();
    for words in instructions(build, "COPY") {
        let (to, from) = words.split_last().unwrap();
        for name in from {
            let (path, to) = (source(name), folder.path().join(to));
            if path.is_dir() {
                copy_folder(&path, &to);
            } else {
                fs::copy(&path, to.join(Path::new(name).file_name().unwrap())).unwrap();
            }
        }
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_program_that_is_not_static_makes_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(source("deploy/assemble-image"))
        .args([env!("CARGO_BIN_EXE_ocisign").as_ref(), folder.path(), "test".as_ref()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not static"));
}
