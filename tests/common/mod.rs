//! What several test binaries need.

use std::path::{Path, PathBuf};

/// The real tool `name`, where it is installed: in `OCISIGN_PEERS`, in the
/// user's cache, or on PATH.
///
/// Without it the caller's test says so and passes, except where
/// `OCISIGN_REQUIRE_PEERS` is set, as in CI: there it fails.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("OCISIGN_PEERS").map(PathBuf::from);
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/ocisign-peers"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = own
        .into_iter()
        .chain(cache)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("OCISIGN_REQUIRE_PEERS").is_some();
        assert!(!required, "{name} is not installed, and OCISIGN_REQUIRE_PEERS is set");
        eprintln!("skipped: {name} is not installed");
    }
    found
}
