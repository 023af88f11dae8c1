//! What several test binaries share. Each uses a part of it, and what is
//! public here is public to them.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod registry;
pub mod run;

use std::path::PathBuf;

/// A program of another project to run against: `OCISIGN_PEERS`, else
/// `~/.cache/ocisign-peers`, else the search path. Where it is missing the
/// test is skipped with a message; with `OCISIGN_REQUIRE_PEERS` it fails.
pub fn peer(name: &str) -> Option<PathBuf> {
    let home =
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ocisign-peers"));
    let peers = std::env::var_os("OCISIGN_PEERS").map(PathBuf::from).or(home);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = peers
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        let required = std::env::var_os("OCISIGN_REQUIRE_PEERS").is_some();
        assert!(!required, "`{name}` is required and not installed");
        eprintln!("skipped: `{name}` is not installed");
    }
    found
}

/// Whether all of these programs are there; where not, as [`peer`].
pub fn peers(names: &[&str]) -> bool {
    names.iter().all(|name| peer(name).is_some())
}
