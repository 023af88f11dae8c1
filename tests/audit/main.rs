//! `ocisign audit` as people, pipelines and Jobs meet it: lists, shards,
//! killed runs and reports, against a registry in the process, real ones and
//! a real kube-apiserver.
#![cfg(all(feature = "cli", feature = "webhook"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code)]
#[path = "../kube/cluster.rs"]
mod apiserver;

mod answers;
mod cluster;
mod lists;
mod many;
mod real;
mod reports;
mod resume;
mod shards;

use std::collections::BTreeMap;

use common::registry::{Options, Registry};
use common::run::{Ran, Sandbox};
use ocisign::image::{Descriptor, media_type};
use serde_json::{Value, json};

/// The layer of every image here.
const LAYER: &[u8] = b"an uncompressed tar, for all that a digest knows";

/// A registry with images, a policy over them, and a folder to run in.
struct Scene {
    registry: Registry,
    sandbox: Sandbox,
}

impl Scene {
    /// An empty registry, and a policy with a rule of each kind:
    ///
    /// | repositories | rule |
    /// |---|---|
    /// | `signed/…` | a signature of `me` |
    /// | `audited/…` | the same, under audit |
    /// | `open/…` | accepted |
    /// | `closed/…` | rejected |
    /// | others | none |
    fn new() -> Self {
        Self::in_registry(Registry::start(Options::default()))
    }

    fn in_registry(registry: Registry) -> Self {
        let sandbox = sandbox(&registry.host());
        Self { registry, sandbox }
    }

    /// Puts an image there that nobody signed, another one for each name.
    fn unsigned(&self, repository: &str, tag: &str) -> Descriptor {
        let layer = self.registry.put_blob(repository, LAYER);
        let config = json!({"architecture": "amd64", "os": "linux", "author": repository,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "config": {"Labels": {"tag": tag}}});
        let mut config = self.registry.put_blob(repository, config.to_string().as_bytes());
        config.media_type = media_type::OCI_CONFIG.to_owned();
        let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer.digest, "size": layer.size});
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": config, "layers": [layer]});
        let bytes = manifest.to_string();
        self.registry.put_manifest(
            repository,
            Some(tag),
            media_type::OCI_MANIFEST,
            bytes.as_bytes(),
        )
    }

    /// The same, signed by `me`.
    fn signed(&self, repository: &str, tag: &str) -> Descriptor {
        let image = self.unsigned(repository, tag);
        self.sign("me", repository, tag);
        image
    }

    fn sign(&self, key: &str, repository: &str, tag: &str) {
        let image = self.name(&format!("{repository}:{tag}"));
        self.sandbox.ocisign(&format!("sign --key {key}.key {image}")).exits(0);
    }

    /// An image of each answer, and the names of all.
    fn of_each_answer(&self) -> Vec<String> {
        self.signed("signed/good", "v1");
        self.unsigned("signed/naked", "v1");
        self.unsigned("signed/other", "v1");
        self.sign("other", "signed/other", "v1");
        self.unsigned("audited/naked", "v1");
        self.unsigned("open/app", "v1");
        self.unsigned("closed/app", "v1");
        self.unsigned("stray/app", "v1");
        let missing = "signed/missing:v1";
        let there = [
            "signed/good",
            "signed/naked",
            "signed/other",
            "audited/naked",
            "open/app",
            "closed/app",
            "stray/app",
        ];
        let names = there.iter().map(|name| self.name(&format!("{name}:v1")));
        names.chain([self.name(missing)]).collect()
    }

    /// The name of an image in this registry.
    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.host())
    }

    /// Audits a list of images.
    fn audit(&self, list: &[String], options: &str) -> Ran {
        self.sandbox.write("images.txt", list.join("\n"));
        self.sandbox.ocisign(&format!("audit --policy policy.json --images images.txt {options}"))
    }
}

/// A folder with the keys `me` and `other` and the policy of [`Scene::new`]
/// for a registry.
fn sandbox(host: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for (folder, name) in [("ecdsa-p256", "me"), ("ed25519", "other")] {
        sandbox.key(&format!("{folder}/key.pem"), &format!("{name}.key"));
        sandbox.key(&format!("{folder}/key.pub"), &format!("{name}.pub"));
    }
    sandbox.write("policy.json", policy(host).to_string());
    sandbox
}

fn policy(host: &str) -> Value {
    let signed = json!([{"id": "by-me", "signed": {"by": ["me"], "reference": "repository"}}]);
    json!({
        "ocisign": "policy/1",
        "name": "shop",
        "serial": 3,
        "signers": {"me": {"keys": [{"file": "me.pub"}]}},
        "rules": [
            {"id": "ours", "scope": [format!("{host}/signed/**")], "require": signed},
            {"id": "soon", "scope": [format!("{host}/audited/**")], "require": signed,
             "mode": {"auditUntil": "2199-01-01T00:00:00Z"}},
            {"id": "base", "scope": [format!("{host}/open/**")], "accept": {"reason": "trusted base"}},
            {"id": "old", "scope": [format!("{host}/closed/**")], "reject": {"reason": "end of life"}},
        ],
    })
}

/// The lines of a log.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last answer on each image of a log, without what differs from run to
/// run.
fn answers(text: &str) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for mut line in lines(text) {
        let image = line["image"].as_str().unwrap_or_default().to_owned();
        match line["type"].as_str() {
            Some("image") => {
                let line = line.as_object_mut().unwrap();
                line.remove("at");
                line.remove("milliseconds");
                answers.insert(image, Value::Object(line.clone()));
            }
            Some("gone") => drop(answers.remove(&image)),
            _ => {}
        }
    }
    answers
}
