//! containerd itself, with a socket, a store and a directory of verifiers of
//! its own. It needs root.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::run::Ran;
use super::common::{peer, peers};
use super::node::Node;

/// Whether this is root; where not, the test is skipped as for a missing
/// peer.
pub(super) fn root() -> bool {
    if Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0) {
        return true;
    }
    let required = std::env::var_os("OCISIGN_REQUIRE_PEERS").is_some();
    assert!(!required, "containerd has to be run as root");
    eprintln!("skipped: containerd has to be run as root");
    false
}

/// containerd, until its test ends.
pub(super) struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with the verifiers of a node; `None` where it cannot be.
    pub(super) fn start(node: &Node) -> Option<Self> {
        if !peers(&["containerd", "ctr"]) || !root() {
            return None;
        }
        // a socket's path has 108 bytes at most
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        let bin = node.sandbox.path("bin");
        fs::write(&config, configuration(folder.path(), &bin)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(peer("containerd").unwrap())
            .arg("-c")
            .arg(&config)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self { child, folder };
        daemon.wait(node);
        Some(daemon)
    }

    fn wait(&self, node: &Node) {
        let began = Instant::now();
        while self.ctr(node, "version").code != Some(0) {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The configuration that it was started with.
    pub(super) fn config(&self) -> String {
        self.folder.path().join("config.toml").display().to_string()
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs `ctr` with the words of a line.
    pub(super) fn ctr(&self, node: &Node, line: &str) -> Ran {
        let socket = self.folder.path().join("sock");
        node.sandbox.peer("ctr", &format!("-a {} -n test {line}", socket.display()))
    }

    /// `ctr images pull`, over plain HTTP as the registry speaks it.
    pub(super) fn pull(&self, node: &Node, image: &str) -> Ran {
        self.ctr(node, &format!("images pull --plain-http --snapshotter native {image}"))
    }

    /// The names of its images.
    pub(super) fn images(&self, node: &Node) -> String {
        self.ctr(node, "images ls -q").exits(0).stdout
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without CRI, which needs more of a system than a test has.
fn configuration(dir: &Path, bin: &Path) -> String {
    let (dir, bin) = (dir.display(), bin.display());
    format!(
        r#"version = 3
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{dir}/sock"
[ttrpc]
  address = "{dir}/ttrpc"
[debug]
  level = "debug"
[plugins.'io.containerd.image-verifier.v1.bindir']
  bin_dir = "{bin}"
  per_verifier_timeout = "10s"
[plugins.'io.containerd.transfer.v1.local']
  [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
    platform = "linux/amd64"
    snapshotter = "native"
"#
    )
}
