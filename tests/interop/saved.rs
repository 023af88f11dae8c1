//! Archives that Docker and podman write themselves: `docker save` of a
//! daemon of this test, `podman save` of a storage of this test, with nothing
//! of this machine's own Docker or podman. Each is told of and left out where
//! it cannot run: a daemon needs rights that not every machine gives.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::run::{Ran, Sandbox};
use super::common::{peer, peers};

/// A daemon that ends with its test. It starts no container, so that it
/// needs neither a network of its own nor a file system to mount.
struct Docker<'s> {
    daemon: Child,
    sandbox: &'s Sandbox,
}

impl<'s> Docker<'s> {
    fn start(sandbox: &'s Sandbox) -> Option<Self> {
        let at = |name: &str| sandbox.path(name).display().to_string();
        let log = std::fs::File::create(sandbox.path("dockerd.log")).unwrap();
        let daemon = Command::new(peer("dockerd").unwrap())
            .args(["--iptables=false", "--bridge=none", "--storage-driver=vfs"])
            .args(["--data-root", &at("docker"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("docker.pid"), "--host", &format!("unix://{}", at("sock"))])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut docker = Self { daemon, sandbox };
        let began = Instant::now();
        while docker.run("version").code != Some(0) {
            let ended = docker.daemon.try_wait().unwrap().is_some();
            if ended || began.elapsed() > Duration::from_secs(60) {
                let log = sandbox.read("dockerd.log");
                eprintln!("left out: dockerd does not start: {}", String::from_utf8_lossy(&log));
                return None;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(docker)
    }

    fn run(&self, line: &str) -> Ran {
        let socket = self.sandbox.path("sock");
        self.sandbox.peer("docker", &format!("-H unix://{} {line}", socket.display()))
    }
}

impl Drop for Docker<'_> {
    /// It ends by itself what it started: its containerd.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}

/// `podman` on a storage in the sandbox.
fn podman(s: &Sandbox, line: &str) -> Ran {
    s.write("podman.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let storage = "--storage-driver vfs --root podman --runroot podman-run";
    s.peer("podman", &format!("{storage} {line}"))
}

#[test]
fn docker_and_podman_save_one_image_under_one_digest() {
    if !peers(&["dockerd", "docker", "podman", "skopeo"]) {
        return;
    }
    let s = super::sandbox();
    s.write("any.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let copy = "--policy any.json copy -q --override-arch amd64 oci:demo:v1";
    s.peer("skopeo", &format!("{copy} docker-archive:skopeo.tar:demo.example/app:v1")).exits(0);

    let mut saved = vec!["skopeo"];
    if let Some(docker) = Docker::start(&s) {
        docker.run("load -i skopeo.tar").exits(0).says("demo.example/app:v1");
        docker.run("save -o docker.tar demo.example/app:v1").exits(0);
        saved.push("docker");
    }
    let info = podman(&s, "info");
    if info.code == Some(0) {
        podman(&s, "load --signature-policy podman.json -i skopeo.tar").exits(0);
        let save = "save --signature-policy podman.json --format docker-archive";
        podman(&s, &format!("{save} -o podman.tar demo.example/app:v1")).exits(0);
        saved.push("podman");
    } else {
        eprintln!("left out: podman does not run: {info}");
    }

    let digests = saved.iter().map(|by| {
        let image = format!("docker-archive:{by}.tar");
        let tree = s.ocisign(&format!("tree --depth contents --output json {image}")).exits(0);
        let digest = tree.json()["tree"]["nodes"][0]["digest"].as_str().unwrap().to_owned();
        s.ocisign(&format!("verify --key me.pub {image}")).exits(1);
        s.ocisign(&format!("sign --key me.key {image}")).exits(0).says(&digest);
        s.ocisign(&format!("verify --key me.pub {image}")).exits(0);
        digest
    });
    let digests: Vec<_> = digests.collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{saved:?}: {digests:?}");
    // what is signed of one is signed of all
    for by in saved {
        s.write(&format!("{by}.tar.sigstore.json"), s.read("skopeo.tar.sigstore.json"));
        s.ocisign(&format!("verify --key me.pub docker-archive:{by}.tar")).exits(0);
    }
}
