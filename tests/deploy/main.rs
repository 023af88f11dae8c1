//! What lies in deploy/: accepted by a real API server to the last field, the
//! same by kustomize and by Helm, with no right too many and no way around
//! the gate, and a certificate that is rotated under load.

#![cfg(all(feature = "cli", feature = "webhook"))]
#![allow(unreachable_pub, reason = "what is public here is public to its tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod agreement;
mod bypass;
mod chart;
mod cluster;
mod coverage;
mod image;
mod rendered;
mod rights;
mod rotation;
mod traffic;
