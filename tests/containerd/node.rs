//! A node: a registry, a signer, a policy, and the plugin installed.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ocisign::image::{Digest, media_type};

use super::common::registry::{Options, Registry};
use super::common::run::{Ran, Sandbox};

/// The plugin must never take longer than containerd lets it.
const BOUND: Duration = Duration::from_secs(10);

/// A sandbox with `me` and `other`, a registry of its own, and containerd's
/// directory of verifiers.
pub(super) struct Node {
    pub(super) sandbox: Sandbox,
    pub(super) registry: Registry,
}

/// What the plugin answered.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Node {
    /// One with the policy `policy.json` (signed by me, for this repository).
    /// Nothing is installed and no image pushed.
    pub(super) fn bare(options: Options) -> Self {
        let sandbox = Sandbox::with_layouts(&["demo", "unsigned"]);
        for name in ["me", "other"] {
            sandbox.ocisign(&format!("key generate --no-password --output {name}")).exits(0);
        }
        let node = Self { sandbox, registry: Registry::start(options) };
        node.policy("");
        node
    }

    /// One with the plugin installed and two images: `app:v1`, signed by me,
    /// and `unsigned:v1`, which is another and signed by nobody.
    pub(super) fn new() -> Self {
        Self::with(Options::default(), "")
    }

    /// The same with a registry and options of `install`.
    pub(super) fn with(options: Options, install: &str) -> Self {
        let node = Self::bare(options);
        node.push("demo", "app:v1");
        node.sign("app:v1");
        node.push("unsigned", "unsigned:v1");
        node.install(install).exits(0);
        node
    }

    /// Writes `policy.json`; `more` are members beside its rules.
    pub(super) fn policy(&self, more: &str) {
        let policy = format!(
            r#"{{
  "ocisign": "policy/1",
  "name": "node",
  "signers": {{ "me": {{ "keys": [{{ "file": "me.pub" }}] }} }},{more}
  "rules": [
    {{ "id": "all", "scope": ["**"],
      "require": [{{ "id": "signed", "signed": {{ "by": ["me"], "reference": "repository" }} }}] }}
  ]
}}"#
        );
        self.sandbox.write("policy.json", policy);
    }

    /// Copies a layout's image, unsigned.
    pub(super) fn push(&self, layout: &str, name: &str) {
        let image = self.image(name);
        self.sandbox.ocisign(&format!("copy --no-referrers oci:{layout}:v1 {image}")).exits(0);
    }

    pub(super) fn sign(&self, name: &str) {
        self.sandbox.ocisign(&format!("sign --key me.key {}", self.image(name))).exits(0);
    }

    /// The whole name of an image.
    pub(super) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// Runs `ocisign containerd install` with the usual options and `more`.
    pub(super) fn install(&self, more: &str) -> Ran {
        let line = "--bin-dir bin --config-dir etc --config config.toml --policy policy.json";
        self.sandbox.ocisign(&format!("containerd install {line} {more}"))
    }

    /// Changes the plugin's configuration.
    pub(super) fn configure(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let path = "etc/ocisign-containerd.json";
        let mut config = serde_json::from_slice(&self.sandbox.read(path)).unwrap();
        change(&mut config);
        self.sandbox.write(path, config.to_string());
    }

    /// The entry that containerd runs.
    pub(super) fn entry(&self) -> PathBuf {
        self.sandbox.path("bin/ocisign-containerd")
    }

    /// Digest, size and media type of an image's manifest or index.
    pub(super) fn descriptor(&self, name: &str) -> (Digest, String) {
        let (repository, tag) = name.split_once(':').unwrap();
        let bytes = self.registry.manifest(repository, tag).unwrap();
        let digest = Digest::sha256(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let index = text.contains(media_type::OCI_INDEX);
        let kind = if index { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
        let size = bytes.len();
        let stdin =
            format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}}}\n");
        (digest, stdin)
    }

    /// Asks the plugin as containerd does for a pull of `name`.
    pub(super) fn pull(&self, name: &str) -> Said {
        let (digest, stdin) = self.descriptor(name);
        self.ask(&arguments(&self.image(name), &digest.to_string()), &stdin)
    }

    /// Runs the entry with these words and this input, in containerd's
    /// environment under systemd: no HOME.
    pub(super) fn ask(&self, arguments: &[String], stdin: &str) -> Said {
        let mut command = Command::new(self.entry());
        command.args(arguments);
        self.run(command, stdin)
    }

    pub(super) fn run(&self, mut command: Command, stdin: &str) -> Said {
        let open = |name: &str| File::create(self.sandbox.path(name)).unwrap();
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(open("stdout")).stderr(open("stderr"));
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        // it may answer before it has read everything
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > BOUND {
                let _ = child.kill();
                panic!("the plugin takes longer than containerd lets it");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let took = began.elapsed();
        let text = |name| String::from_utf8(self.sandbox.read(name)).unwrap();
        Said { code: status.code(), stdout: text("stdout"), stderr: text("stderr"), took }
    }

    /// Requests since the registry started.
    pub(super) fn requests(&self) -> usize {
        self.registry.requests().len()
    }
}

/// The words that containerd puts behind the program.
pub(super) fn arguments(name: &str, digest: &str) -> Vec<String> {
    let kind = "application/vnd.oci.descriptor.v1+json";
    ["-name", name, "-digest", digest, "-stdin-media-type", kind].map(str::to_owned).to_vec()
}

impl Said {
    #[track_caller]
    fn is(self, code: i32, word: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stdout.starts_with(word), "{self:#?}");
        let lines = self.stdout.lines().count();
        assert!(lines == 1 && self.stdout.chars().count() < 2200, "one line: {self:#?}");
        self
    }

    #[track_caller]
    pub(super) fn allows(self) -> Self {
        self.is(0, "allow: ")
    }

    #[track_caller]
    pub(super) fn denies(self) -> Self {
        self.is(1, "deny: ")
    }

    #[track_caller]
    pub(super) fn ends_undecided(self) -> Self {
        self.is(2, "undecided: ")
    }

    #[track_caller]
    pub(super) fn because(self, why: &str) -> Self {
        assert!(self.stdout.contains(why), "no `{why}` in {self:#?}");
        self
    }
}
