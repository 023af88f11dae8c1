//! The admission webhook: what it answers to reviews, and how the server
//! holds up.

#![cfg(feature = "webhook")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod binary;
mod faults;
mod floods;
mod reload;
mod review;
mod served;
mod server;
mod tls;
