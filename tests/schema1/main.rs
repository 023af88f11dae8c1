//! Docker's schema 1, signed and unsigned, and layers that lie elsewhere.
//!
//! Each file of `tests/data/schema1` is one manifest, and its name says what
//! must become of it; `tests/data/make-schema1-vectors.py` made them.

#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod build;
mod external;
mod flips;
mod policies;
mod pulls;
mod tree;
mod vectors;

use std::path::Path;

use build::{key, layer, sign, unsigned};
use ocisign::Limits;
use ocisign::engine::{self, Image};
use ocisign::image::{Depth, ImageTree, Source};
use ocisign::store::Store;

/// A vector by name.
fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/schema1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(Path::new(&path)).unwrap()
}

fn image(store: impl Store + 'static, target: &str) -> Image {
    let source = Source::parse(target).unwrap();
    let name = "registry.example/app".parse().unwrap();
    let name = if target.starts_with("oci:") { Some(name) } else { None };
    Image::from_store(std::sync::Arc::new(store), &source, name).unwrap()
}

fn tree(image: &Image, depth: Depth) -> ImageTree {
    let limits = Limits::default();
    engine::block_on(engine::read_tree(image, depth, &limits, &engine::Silent)).unwrap()
}
