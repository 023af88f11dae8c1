//! ocisign as containerd's image verifier.
//!
//! `pulls` runs the real containerd and `ctr`; everything else asks the
//! installed plugin what containerd would, with the registry in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod cache;
#[path = "../common/mod.rs"]
mod common;
mod daemon;
mod full;
mod hosts;
mod node;
mod place;
mod protocol;
mod pulls;
