//! Test data of other projects: `OCISIGN_VECTORS`, else beside the project.
//!
//! It is no part of the repository. Where it is missing the tests say so and
//! pass, except under `OCISIGN_REQUIRE_VECTORS`, as in CI: there they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod checks;
mod conformance;
mod containers_image;
mod sigstore;
mod simple;

use std::path::{Path, PathBuf};

/// A folder of the vectors.
fn vectors(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("OCISIGN_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let found = root.join(folder);
    if found.is_dir() {
        return Some(found);
    }
    let required = std::env::var_os("OCISIGN_REQUIRE_VECTORS").is_some();
    assert!(!required, "there is no {}", found.display());
    eprintln!("skipped: there is no {}", found.display());
    None
}
