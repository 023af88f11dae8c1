//! The library as a caller sees it: gating a pull, with a store and without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(feature = "gate")]
mod example;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ocisign::crypto::PublicKey;
use ocisign::envelope::{Candidate, layers_of_referrer};
use ocisign::evidence::Subject;
use ocisign::image::{Depth, Read, Root, check_reader};
use ocisign::policy::{Policy, Request, Resolved, decide, parse};
use ocisign::trust::Trust;
use ocisign::verify::verify;
use ocisign::{
    Access, Ask, Decision, Digest, Engine, Image, Limits, Source, TreeBuilder, block_on,
};

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn demo(name: &str) -> Image {
    let source = format!("oci:{}:v1", tree("tests/data/layouts/demo").display());
    let source = Source::parse(&source).unwrap();
    let name = Some(name.parse().unwrap());
    Image::open(&source, name, &Access::default(), &Limits::default()).unwrap()
}

fn check(policy: &str, name: &str) -> ocisign::Verdict {
    let engine = Engine::load(&tree(policy), &Limits::default()).unwrap();
    block_on(engine.check(&demo(name), &Ask::default(), Timestamp::now())).unwrap()
}

#[test]
fn an_allow_admits_the_digest_that_was_judged() {
    let admitted = check("policies/demo.json", "demo.example/app:v1").admit().unwrap();
    let reference = admitted.reference();
    assert_eq!(reference.digest(), Some(admitted.digest()));
    assert_eq!(reference.tag(), None, "a tag could be moved between judging and pulling");
    assert_eq!(reference.repository().to_string(), "demo.example/app");
}

#[test]
fn anything_else_admits_nothing() {
    let denied = check("policies/deny-all.json", "demo.example/app:v1");
    assert_eq!(denied.admit().unwrap_err().decision, Decision::Deny);
    // signed for another repository
    let moved = check("policies/demo.json", "demo.example/other:v1");
    assert_eq!(moved.admit().unwrap_err().decision, Decision::Deny);
}

#[test]
fn a_digest_in_the_name_is_one_that_the_image_is_asked_for_by() {
    let open = |source: &str, name: &str| {
        let source = format!("oci:{}{source}", tree("tests/data/layouts/demo").display());
        let (source, name) = (Source::parse(&source).unwrap(), Some(name.parse().unwrap()));
        Image::open(&source, name, &Access::default(), &Limits::default())
    };
    let root = "@sha256:54d6d2f15fcb7c41b6707b7d1da1550211171b196496391d270bde1c5e2a6b3d";
    let other = format!("@sha256:{}", "0".repeat(64));
    let image = open(root, &format!("demo.example/app{root}")).unwrap();
    assert_eq!(image.reference().to_string(), format!("demo.example/app{root}"));
    // an allow would seem to be about the digest in the name
    for (source, name) in [(":v1", root), (":v1", other.as_str()), (root, &other)] {
        let error = open(source, &format!("demo.example/app{name}")).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_engine_is_shared_between_threads() {
    let engine = Engine::load(&tree("policies/demo.json"), &Limits::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let image = demo("demo.example/app:v1");
                let verdict =
                    block_on(engine.check(&image, &Ask::default(), Timestamp::now())).unwrap();
                assert_eq!(verdict.decision, Decision::Allow);
            });
        }
    });
}

/// What a runtime with its own storage does: no store, no event loop, only
/// bytes that it brings itself.
#[test]
fn the_pure_core_decides_over_bytes_that_the_caller_brings() {
    let limits = Limits::default();
    let blob = |digest: &Digest| {
        std::fs::read(tree("tests/data/layouts/demo/blobs/sha256").join(digest.hex())).unwrap()
    };
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(tree("tests/data/layouts/demo/index.json")).unwrap())
            .unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let digest = |entry: &serde_json::Value| entry["digest"].as_str().unwrap().parse().unwrap();
    let tagged = |entry: &&serde_json::Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"] == "v1"
    };
    let root: Digest = digest(entries.iter().find(tagged).unwrap());

    // the tree: it asks, the caller brings
    let bytes = blob(&root);
    let root_given = Root { bytes, media_type: None, digest: Some(root.clone()), size: None };
    let mut builder = TreeBuilder::new(root_given, Depth::Layers, &limits);
    loop {
        let wants = builder.wants();
        if wants.is_empty() {
            break;
        }
        for want in wants {
            match want.read {
                Read::Document => builder.supply(&want, &blob(&want.digest)),
                Read::Blob | Read::Contents(..) => {
                    let bytes = blob(&want.digest);
                    builder.supply_layer(check_reader(&want, &*bytes, &limits).unwrap());
                }
            }
        }
    }
    let tree_read = builder.finish();
    assert!(tree_read.is_verified());

    // the signatures: candidates in, evidence out
    let pem = std::fs::read(tree("keys-test/ecdsa-p256/key.pub")).unwrap();
    let key = PublicKey::from_pem(&pem, &limits).unwrap();
    let id = key.id();
    let trust = Trust::new([key]);
    let subject = Subject { digest: root.clone(), size: None, media_type: None };
    let mut evidence = Vec::new();
    for entry in entries.iter().filter(|entry| !tagged(entry)) {
        let manifest = blob(&digest(entry));
        for layer in layers_of_referrer(&manifest, &root, &limits).unwrap() {
            let bytes = blob(&layer.digest);
            let candidate = Candidate::listed("mine", &layer, bytes).unwrap();
            evidence.push(verify(&candidate, &trust, &subject, &limits).unwrap());
        }
    }

    // the decision: a function of values
    let policy = std::fs::read(tree("policies/demo.json")).unwrap();
    let resolved = Resolved { signers: [("demo".to_owned(), vec![id])].into() };
    let policy = Policy::link(parse(&policy, &limits).unwrap(), resolved).unwrap();
    let request = Request {
        reference: "demo.example/app:v1".parse().unwrap(),
        digest: root,
        depth: Depth::Layers,
        incomplete: Vec::new(),
    };
    let now = Timestamp::now();
    let verdict = decide(&policy, &request, &tree_read, &evidence, &[], now);
    assert_eq!(verdict.decision, Decision::Allow);
    let without = decide(&policy, &request, &tree_read, &[], &[], now);
    assert_eq!(without.decision, Decision::Deny, "the signature was what allowed it");
}

/// The demo layout's index.json calls the image `v1`; whoever wrote it could
/// have called it anything.
#[test]
fn a_layouts_own_annotations_never_name_the_image() {
    let folder = tree("tests/data/layouts/demo");
    let source = Source::parse(&format!("oci:{}", folder.display())).unwrap();
    let image = Image::open(&source, None, &Access::default(), &Limits::default()).unwrap();
    assert_eq!(image.reference().to_string(), "localhost/demo");
    assert_eq!(image.signed_name(), None, "what nobody named is signed without a name");
}

#[test]
fn a_registrys_image_takes_no_other_name() {
    let source = Source::parse("127.0.0.1:1/app:v1").unwrap();
    let name = Some("registry.example/app:v1".parse().unwrap());
    let refused = Image::open(&source, name, &Access::default(), &Limits::default()).unwrap_err();
    assert!(refused.to_string().contains("mirrors"), "{refused}");
}
