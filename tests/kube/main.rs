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

mod audit;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod custom;
mod failures;
mod kinds;
mod openapi;
mod schema;
mod secrets;
mod updates;
mod workloads;
mod world;
