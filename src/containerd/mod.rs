//! The image-verifier plugin of containerd 2.x: protocol, configuration,
//! installation.
//!
//! ```text
//! containerd ─► argv, stdin ─► request ─► engine over view ─► one line, exit code
//!                                          kept listing, then each source
//!               ocisign-containerd.json ─► policy, access, cache
//! ```
//!
//! Source of the protocol: containerd, docs/image-verification.md and
//! pkg/imageverifier/bindir. containerd resolves a name to a digest and asks
//! about that digest; the plugin judges it under the name as it was given.

mod check;
mod config;
mod hosts;
mod install;
mod kept;
mod plugin;
mod request;
mod settings;
mod shelf;
mod sources;
mod trusted;
mod view;

use std::ffi::OsStr;
use std::path::Path;

pub use check::{Audit, Finding, Severity, audit};
pub use config::{CacheConfig, Config, PlainHttp};
pub use install::{Installed, Placing, Removed, install, uninstall};
pub use plugin::{Outcome, Reply, run};
pub use request::{PullRequest, RequestError};

/// Name of the program in containerd's `bin_dir`, and of its binary.
pub const PROGRAM: &str = "ocisign-containerd";

/// Name of the configuration, beside the binary that the `bin_dir` entry
/// points to.
pub const CONFIG: &str = "ocisign-containerd.json";

/// Where binary and configuration lie unless told otherwise.
pub const CONFIG_DIR: &str = "/etc/ocisign";

/// containerd's own configuration, where it is not told another.
pub const CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";

/// Whether a program that was started under this name is the plugin.
pub fn is_plugin(argv0: &OsStr) -> bool {
    Path::new(argv0).file_name() == Some(OsStr::new(PROGRAM))
}

/// Reads what containerd says, for fuzz/ alone.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(arguments: &[String], stdin: &[u8]) {
    if let Ok(request) = PullRequest::parse(arguments, stdin) {
        assert_eq!(request.reference().digest().unwrap_or(request.digest()), request.digest());
    }
    let _ = Config::parse(stdin);
    if let Ok(text) = std::str::from_utf8(stdin) {
        let _ = hosts::parse(text, Path::new("/etc/containerd/certs.d/a.example"), "a.example");
        let _ = settings::parse(text);
    }
}
