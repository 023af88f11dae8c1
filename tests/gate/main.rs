//! The gate: one resolution and one verification for many questions, verdicts
//! remembered for as long as they hold, and an answer in time whatever the
//! registry does. Against the in-process registry, which counts.
#![cfg(feature = "gate")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

#[path = "../common/mod.rs"]
mod common;

mod bytes;
mod clocks;
mod keyrings;
mod names;
mod once;
mod remember;
mod replace;
mod scene;
mod trouble;
