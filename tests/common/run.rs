//! Running programs in a folder of their own, and looking at what they did.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::peer;

/// A program that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// What leads out of this machine: nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A folder in which programs run: their working directory and their HOME, so
/// that neither credentials nor keys of the one who tests matter.
pub struct Sandbox {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// An empty folder. The password of every key is the empty one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, variables: vec![("COSIGN_PASSWORD".into(), String::new())] }
    }

    /// One with copies of layouts of `tests/data/layouts`.
    pub fn with_layouts(names: &[&str]) -> Self {
        let sandbox = Self::new();
        for name in names {
            copy_folder(&source(&format!("tests/data/layouts/{name}")), &sandbox.path(name));
        }
        sandbox
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The content of a file in the folder.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Copies `keys-test/FROM` here as TO, for its owner's eyes only.
    pub fn key(&self, from: &str, to: &str) {
        self.write(to, fs::read(source(&format!("keys-test/{from}"))).unwrap());
        self.chmod(to, 0o600);
    }

    /// Sets the mode of a file.
    pub fn chmod(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets a variable for everything that runs from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.variables.push((name.into(), value.into()));
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(other, _)| other != name);
    }

    /// Runs `ocisign` with the words of a line.
    pub fn ocisign(&self, line: &str) -> Ran {
        self.run(Path::new(env!("CARGO_BIN_EXE_ocisign")), line)
    }

    /// Runs a program of another project with the words of a line; the test
    /// asked [`super::peers`] for it.
    pub fn peer(&self, name: &str, line: &str) -> Ran {
        self.run(&peer(name).unwrap(), line)
    }

    fn run(&self, program: &Path, line: &str) -> Ran {
        let name = program.file_name().unwrap().to_string_lossy();
        let line = format!("{name} {line}");
        let (out, err) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let mut child = self
            .command(program)
            .args(line.split_whitespace().skip(1))
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("`{line}` does not end");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { line, code: status.code(), stdout: text(out.path()), stderr: text(err.path()) }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null()).current_dir(self.folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, NOWHERE);
        }
        for name in ["no_proxy", "NO_PROXY"] {
            command.env(name, "127.0.0.1,localhost");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Ran {
    /// Fails the test unless it ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails the test if it succeeded.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert_ne!(self.code, Some(0), "{self}");
        self
    }

    /// Fails the test unless it printed `text` somewhere.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no `{text}` in\n{self}");
        self
    }

    /// Fails the test if it printed `text` somewhere.
    #[track_caller]
    pub fn lacks(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "`{text}` in\n{self}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "$ {}\n{}{}exit {:?}", self.line, self.stdout, self.stderr, self.code)
    }
}

/// A file of this repository.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Copies a folder. Files can be written to even where the originals cannot.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::write(&to, fs::read(&from).unwrap()).unwrap();
        }
    }
}
