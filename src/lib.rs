//! Sign container images, and decide by policy whether an image may run.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod crypto;
#[cfg(feature = "registry")]
pub mod engine;
pub mod envelope;
pub mod evidence;
pub mod image;
pub mod limits;
pub mod policy;
pub mod report;
#[cfg(feature = "registry")]
pub mod store;
pub mod trust;
pub mod verify;
