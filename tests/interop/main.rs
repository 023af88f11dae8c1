//! ocisign and the tools that people have, against real registries, both
//! directions. A tool that is missing skips its tests; `OCISIGN_REQUIRE_PEERS`
//! makes it fail them.
//!
//! Every command stands in the tests as it would be typed. Registries listen
//! on free loopback ports and end with their test; nothing leaves the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod access;
#[path = "../common/mod.rs"]
mod common;
mod convert;
mod copies;
mod cosign;
mod detached;
mod docker_archive;
#[path = "../export/evaluator.rs"]
mod evaluator;
mod export;
mod fixtures;
mod images;
mod openpgp;
mod policy_json;
mod saved;
mod schema1;
mod store;
mod token;

use common::real;
use common::run::Sandbox;

/// A signing configuration without services: cosign signs offline.
const OFFLINE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig":{},"tsaConfig":{}}"#;

/// Copies the demo image, unsigned, to where `image` says.
fn push_demo(sandbox: &Sandbox, image: &str) {
    sandbox.ocisign(&format!("copy --no-referrers oci:demo:v1 {image}")).exits(0);
}

/// The digest of an image, as crane says it.
fn digest(sandbox: &Sandbox, image: &str) -> String {
    sandbox.peer("crane", &format!("digest {image}")).exits(0).stdout.trim().to_owned()
}

/// A policy with one signer `me` (me.pub) and one `signed` check on `**`.
fn write_policy(sandbox: &Sandbox, name: &str, signed: &str) {
    let policy = format!(
        r#"{{
  "ocisign": "policy/1",
  "name": "test",
  "signers": {{ "me": {{ "keys": [{{ "file": "me.pub" }}] }} }},
  "rules": [
    {{ "id": "all", "scope": ["**"],
      "require": [{{ "id": "signed", "signed": {{ "by": ["me"], {signed} }} }}] }}
  ]
}}"#
    );
    sandbox.write(name, policy);
}

/// Layouts `demo`, keys `me` and `other`, both P-256 with no password.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_layouts(&["demo"]);
    for name in ["me", "other"] {
        sandbox.ocisign(&format!("key generate --no-password --output {name}")).exits(0);
    }
    sandbox
}
