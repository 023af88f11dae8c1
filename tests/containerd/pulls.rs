//! The real containerd: what `ctr images pull` brings and what it refuses.
//!
//! Every command stands here as it would be typed:
//! `ctr -a SOCK -n test images pull --plain-http --snapshotter native IMAGE`.

use std::time::{Duration, Instant};

use ocisign::image::media_type;

use super::common::real::Real;
use super::common::registry::{Lie, Options};
use super::daemon::Daemon;
use super::node::Node;

#[test]
fn a_signed_image_pulls_and_others_do_not_with_the_reason() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let signed = node.image("app:v1");
    daemon.pull(&node, &signed).exits(0);
    let unsigned = node.image("unsigned:v1");
    let refused = daemon.pull(&node, &unsigned).fails();
    let refused = refused.says("image verifier bindir blocked pull").says("exit code 1");
    refused.says("deny: these checks do not hold: all/signed").says("signature of me");
    let images = daemon.images(&node);
    assert!(images.contains(&signed) && !images.contains(&unsigned), "{images}");
    // all of the verdict is in its log
    assert!(daemon.log().contains("candidates") || daemon.log().contains("rule all"));
    // and the installation stands its own check
    let config = daemon.config();
    node.sandbox.ocisign(&format!("containerd check --config {config}")).exits(0);
}

#[test]
fn from_a_registry_that_others_wrote_too() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    for name in ["referrers-registry", "distribution"] {
        let Some(registry) = Real::start(name) else { continue };
        let (signed, unsigned) =
            (format!("{}/team/app:v1", registry.host), format!("{}/team/no:v1", registry.host));
        for image in [&signed, &unsigned] {
            node.sandbox.ocisign(&format!("copy --no-referrers oci:demo:v1 {image}")).exits(0);
        }
        node.sandbox.ocisign(&format!("sign --key me.key {signed}")).exits(0);
        daemon.pull(&node, &signed).exits(0);
        daemon.pull(&node, &unsigned).fails().says("deny: ");
    }
}

#[test]
fn by_digest_by_tag_and_digest_index_and_manifest() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let (index, stdin) = node.descriptor("app:v1");
    assert!(stdin.contains(media_type::OCI_INDEX));
    for name in [format!("app@{index}"), format!("app:v1@{index}")] {
        daemon.pull(&node, &node.image(&name)).exits(0);
    }
    // one platform's manifest, which has to be signed by itself
    let index = node.registry.manifest("unsigned", "v1").unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let linux = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = format!("unsigned@{linux}");
    daemon.pull(&node, &node.image(&manifest)).fails().says("deny: ");
    node.sign(&manifest);
    daemon.pull(&node, &node.image(&manifest)).exits(0);
    daemon.pull(&node, &node.image("unsigned:v1")).fails().says("deny: ");
}

#[test]
fn a_tampered_image_does_not_pull() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    // other content under the tag: its digest is signed by nobody
    let mut tampered = node.registry.manifest("app", "v1").unwrap();
    let end = tampered.iter().rposition(|byte| *byte == b'}').unwrap();
    tampered.splice(end..end, *b" ");
    node.registry.put_manifest("app", Some("v1"), media_type::OCI_INDEX, &tampered);
    daemon.pull(&node, &node.image("app:v1")).fails().says("deny: these checks do not hold");
    // other content under the digest
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let (digest, _) = node.descriptor("app:v1");
    let place = format!("GET /v2/app/manifests/{digest}");
    node.registry.lie(&place, Lie::Body(tampered));
    daemon.pull(&node, &node.image("app:v1")).fails().says("deny: the image is not what");
}

#[test]
fn a_registry_that_is_down_or_stalls_blocks_within_the_deadline() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let (digest, _) = node.descriptor("app:v1");
    // what containerd asks first is answered, the signatures are not
    node.registry.lie("GET /v2/app/referrers/*", Lie::Status(503));
    daemon.pull(&node, &node.image(&format!("app@{digest}"))).fails().says("undecided: ");
    node.registry.lie("GET /v2/app/*", Lie::Silent(Duration::from_secs(60)));
    let began = Instant::now();
    let refused = daemon.pull(&node, &node.image(&format!("app@{digest}"))).fails();
    refused.says("exit code 2").says("undecided: not decided within 8000 ms");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_policy_that_changes_counts_at_the_next_pull() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let image = node.image("app:v1");
    daemon.pull(&node, &image).exits(0);
    let (digest, _) = node.descriptor("app:v1");
    node.policy(&format!(r#" "revoked": [{{ "digest": "{digest}", "reason": "test" }}],"#));
    daemon.pull(&node, &image).fails().says("revokes");
    node.policy("");
    daemon.pull(&node, &image).exits(0);
    // gone: what was kept stands in for nothing
    std::fs::remove_file(node.sandbox.path("policy.json")).unwrap();
    daemon.pull(&node, &image).fails().says("undecided: ");
}

#[test]
fn many_pulls_at_once_have_each_its_own_answer() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    for at in 0..4 {
        node.push("demo", &format!("many{at}:v1"));
        if at % 2 == 0 {
            node.sign(&format!("many{at}:v1"));
        }
    }
    std::thread::scope(|scope| {
        for at in 0..12 {
            let (node, daemon) = (&node, &daemon);
            scope.spawn(move || {
                let ran = daemon.pull(node, &node.image(&format!("many{}:v1", at % 4)));
                if at % 2 == 0 {
                    ran.exits(0)
                } else {
                    ran.fails().says("deny: ")
                };
            });
        }
    });
}

#[test]
fn what_is_documented_to_block_or_bypass_does() {
    let node = Node::new();
    let Some(daemon) = Daemon::start(&node) else { return };
    let (signed, unsigned) = (node.image("app:v1"), node.image("unsigned:v1"));
    // a file that is no program blocks every pull, as `check` says
    node.sandbox.write("bin/README", "verifiers of this node");
    daemon.pull(&node, &signed).fails().says("README");
    let config = daemon.config();
    let check = format!("containerd check --config {config}");
    node.sandbox.ocisign(&check).exits(1).says("every pull is blocked");
    std::fs::remove_file(node.sandbox.path("bin/README")).unwrap();
    daemon.pull(&node, &signed).exits(0);
    // pulls by the client itself do not ask, as `check` says
    daemon
        .ctr(&node, &format!("images pull --local --plain-http --snapshotter native {unsigned}"))
        .exits(0);
    node.sandbox.ocisign(&check).exits(0).says("--local");
    // taken away, everything pulls
    node.sandbox.ocisign(&format!("containerd uninstall --config {config}")).exits(0);
    node.sandbox.ocisign(&check).exits(1).says("images are pulled unverified");
    daemon.pull(&node, &unsigned).exits(0);
}

#[test]
fn installing_again_under_pulls_neither_blocks_nor_opens() {
    let node = Node::with(Options::default(), "");
    let Some(daemon) = Daemon::start(&node) else { return };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..6 {
                let line = "--bin-dir bin --config config.toml --policy policy.json";
                let line = format!("containerd install {line} --config-dir etc{}", at % 2);
                node.sandbox.ocisign(&line).exits(0);
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            daemon.pull(&node, &node.image("app:v1")).exits(0);
            daemon.pull(&node, &node.image("unsigned:v1")).fails().says("deny: ");
        }
    });
}
