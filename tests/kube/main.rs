//! The webhook in front of a real kube-apiserver: every call goes through the
//! API as `kubectl` would make it, the webhook is the real binary, and images
//! lie in a real registry.
//!
//! The API server and etcd run on free loopback ports for as long as the
//! tests do. Where they are not installed the tests are skipped with a
//! message; with `OCISIGN_REQUIRE_PEERS` they fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod cluster;
#[path = "../common/mod.rs"]
mod common;

#[test]
fn starts() {
    let Some(c) = cluster::cluster() else { return };
    println!("{:#?}", c.read("/version").succeeds());
    for k in ["/openapi/v3"] {
        let paths = c.read(k).succeeds().json["paths"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        println!("{paths:?}");
    }
    println!("{:?}", c.audited("default").len());
}
