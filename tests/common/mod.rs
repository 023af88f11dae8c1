//! What several test binaries share. Each uses a part of it, and what is
//! public here is public to them.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod real;
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

/// A loopback port that nobody listens on, for a server that wants to be told
/// one. Below the ports that the system gives to connections, so that none
/// takes it meanwhile (or connects to itself), and another for each caller.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = std::process::id() % 200 * 100;
    for _ in 0..2000 {
        let offset = (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 10_000 + u16::try_from(offset).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no loopback port from 10000 to 29999 is free");
}
