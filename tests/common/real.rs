//! Real registries, each on a free loopback port until its test ends.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::registry::Certificates;
use super::{free_port, peer};

/// The three of them, by the name of their program: distribution 3 and
/// Debian's docker-registry 2.8 keep no referrers, go-containerregistry's
/// does.
pub const ALL: [&str; 3] = ["distribution", "docker-registry", "referrers-registry"];

/// `me:secret`, as htpasswd writes it.
const HTPASSWD: &str = "me:$2b$05$csyU389/TPr8RdShbWI9MuwMWlNOiqtd8io4YZeFSv7kOtNDWBwAS\n";

/// A registry; it ends with its test.
pub struct Real {
    child: Child,
    /// Address and port, as images are named by it.
    pub host: String,
    folder: tempfile::TempDir,
}

/// How a registry is set up.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Lets in `me` with the password `secret`, and nobody else.
    pub password: bool,
    /// Speaks TLS.
    pub tls: Option<&'a Certificates>,
    /// Takes Docker's schema 1, as only docker-registry 2.8 still can.
    pub schema1: bool,
}

impl Real {
    /// Starts one as anybody would; `None` where it is not installed.
    pub fn start(name: &str) -> Option<Self> {
        Self::start_with(name, Setup::default())
    }

    /// Starts one. `referrers-registry` takes no setup.
    pub fn start_with(name: &str, setup: Setup<'_>) -> Option<Self> {
        let program = peer(name)?;
        // the port may be taken by another process before the server has it
        (0..5).find_map(|_| Self::try_start(name, &program, setup)).or_else(|| {
            panic!("{name} does not start");
        })
    }

    /// `None` where the server ended at once.
    fn try_start(name: &str, program: &Path, setup: Setup<'_>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(program);
        if name == "referrers-registry" {
            command.arg(address.port().to_string());
        } else {
            command.arg("serve").arg(configuration(folder.path(), &address.to_string(), setup));
            command.env("OTEL_TRACES_EXPORTER", "none");
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut real = Self { child, host: address.to_string(), folder };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if real.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{name} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        // who answered may be another
        real.child.try_wait().unwrap().is_none().then_some(real)
    }

    /// Where distribution and docker-registry keep the bytes of a blob.
    pub fn blob_file(&self, digest: &str) -> PathBuf {
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
    let schema1 = match setup.schema1 {
        true => "compatibility: {schema1: {enabled: true}}\n",
        false => "",
    };
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\n\
         storage: {{filesystem: {{rootdirectory: {folder_name}/data}}}}\n\
         http: {{addr: '{address}'{tls}}}\n{auth}{schema1}"
    );
    std::fs::write(&path, text).unwrap();
    path
}
