//! Real registries, each on a free loopback port until its test ends.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::peer;
use super::common::registry::Certificates;

/// The three of them, by the name of their program: distribution 3 and
/// Debian's docker-registry 2.8 keep no referrers, go-containerregistry's
/// does.
pub(crate) const ALL: [&str; 3] = ["distribution", "docker-registry", "referrers-registry"];

/// `me:secret`, as htpasswd writes it.
const HTPASSWD: &str = "me:$2b$05$csyU389/TPr8RdShbWI9MuwMWlNOiqtd8io4YZeFSv7kOtNDWBwAS\n";

/// A registry; it ends with its test.
pub(crate) struct Real {
    child: Child,
    /// Address and port, as images are named by it.
    pub(crate) host: String,
    folder: tempfile::TempDir,
}

/// How a registry is set up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup<'a> {
    /// Lets in `me` with the password `secret`, and nobody else.
    pub(crate) password: bool,
    /// Speaks TLS.
    pub(crate) tls: Option<&'a Certificates>,
}

impl Real {
    /// Starts one as anybody would; `None` where it is not installed.
    pub(crate) fn start(name: &str) -> Option<Self> {
        Self::start_with(name, Setup::default())
    }

    /// Starts one. `referrers-registry` takes no setup.
    pub(crate) fn start_with(name: &str, setup: Setup<'_>) -> Option<Self> {
        let program = peer(name)?;
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        if name == "referrers-registry" {
            command.arg(address.port().to_string());
        } else {
            command.arg("serve").arg(configuration(folder.path(), &address.to_string(), setup));
            command.env("OTEL_TRACES_EXPORTER", "none");
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let real = Self { child, host: address.to_string(), folder };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{name} does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(real)
    }

    /// Where distribution and docker-registry keep the bytes of a blob.
    pub(crate) fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, address: &str, setup: Setup<'_>) -> PathBuf {
    let (path, folder_name) = (folder.join("config.yml"), folder.display());
    let mut tls = String::new();
    if let Some(certificates) = setup.tls {
        std::fs::write(folder.join("tls.crt"), &certificates.server_pem[0]).unwrap();
        std::fs::write(folder.join("tls.key"), &certificates.server_pem[1]).unwrap();
        tls = format!(", tls: {{certificate: {folder_name}/tls.crt, key: {folder_name}/tls.key}}");
    }
    let mut auth = String::new();
    if setup.password {
        std::fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
        auth = format!("auth: {{htpasswd: {{realm: test, path: {folder_name}/htpasswd}}}}\n");
    }
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\n\
         storage: {{filesystem: {{rootdirectory: {folder_name}/data}}}}\n\
         http: {{addr: '{address}'{tls}}}\n{auth}"
    );
    std::fs::write(&path, text).unwrap();
    path
}
