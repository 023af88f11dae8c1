//! A disk without room under the cache: a file system of a few KiB, which
//! only root can make.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::daemon::root;
use super::node::Node;

/// A mounted file system; it goes with the test.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=8k,nr_inodes=64", "none"];
        let done = Command::new("mount").args(mount).arg(at).status();
        if done.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        let required = std::env::var_os("OCISIGN_REQUIRE_PEERS").is_some();
        assert!(!required, "a file system is required and cannot be mounted");
        eprintln!("skipped: a file system cannot be mounted");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_changes_no_answer() {
    if !root() {
        return;
    }
    let node = Node::new();
    let dir = node.sandbox.path("small");
    let Some(small) = Small::mount(&dir) else { return };
    node.configure(|config| config["cache"]["dir"] = json!(dir));
    for _ in 0..3 {
        node.pull("app:v1").allows();
        node.pull("unsigned:v1").denies();
    }
    let kept = std::fs::read_dir(small.0.join("v1")).unwrap().count();
    assert!(kept < 5, "{kept} files fit, so this shows nothing");
    // not one byte of it is left
    std::fs::write(small.0.join("filler"), vec![0; 8 << 10]).unwrap_err();
    node.pull("app:v1").allows();
    node.pull("unsigned:v1").denies();
}
