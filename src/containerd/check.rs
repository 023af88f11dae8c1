//! Whether every pull is verified, and none blocked by accident.

use std::fs::{self, Metadata};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::config::Config;
use super::settings::Settings;
use super::{CONFIG, PROGRAM, trusted};
use crate::engine::{Engine, Error};
use crate::limits::Limits;

/// How long the plugin may take to say that it was asked nothing.
const TRIAL: Duration = Duration::from_secs(10);

/// Entries of the directory that are looked at.
const ENTRIES: usize = 1000;

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Pulls go unverified.
    Open,
    /// Every pull is blocked.
    Blocks,
    /// A setting lets some pulls go around the verifiers.
    Bypass,
    /// It works, and may not always.
    Risk,
    /// Good to know; nothing to do.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it means.
    pub severity: Severity,
    /// What it is, and what to do.
    pub text: String,
}

/// What is known of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Version of this JSON.
    pub version: &'static str,
    /// The directory that was looked at.
    pub bin_dir: PathBuf,
    /// The files of containerd's configuration that were read.
    pub containerd_config: Vec<PathBuf>,
    /// Where containerd finds hosts.
    pub hosts: Vec<PathBuf>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// The worst that was found, notes aside.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).min().filter(|s| *s != Severity::Note)
    }
}

/// Looks at a directory of verifiers, at what it runs, and at containerd's
/// configuration. Without `bin_dir` the directory is the configured one.
///
/// # Errors
/// [`Error::File`] or [`Error::Usage`] where something cannot be read.
pub fn audit(bin_dir: Option<&Path>, containerd: &Path) -> Result<Audit, Error> {
    let settings = Settings::load(containerd)?;
    let bin_dir = bin_dir.unwrap_or(&settings.bin_dir);
    let unknown = |source| Error::File { what: format!("find `{}`", bin_dir.display()), source };
    let bin_dir = std::path::absolute(bin_dir).map_err(unknown)?;
    let mut findings = Findings::default();
    findings.settings(&settings, &bin_dir, containerd);
    findings.directory(&bin_dir, &settings)?;
    findings.always();
    let mut findings = findings.0;
    findings.sort_by_key(|finding| finding.severity);
    Ok(Audit {
        version: "containerd-check/1",
        bin_dir,
        containerd_config: settings.files,
        hosts: settings.hosts,
        findings,
    })
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, text: impl Into<String>) {
        self.0.push(Finding { severity, text: text.into() });
    }

    fn settings(&mut self, settings: &Settings, bin_dir: &Path, containerd: &Path) {
        let (shown, file) = (bin_dir.display(), containerd.display());
        let known = !settings.files.is_empty();
        if !same(&settings.bin_dir, bin_dir) {
            let other = settings.bin_dir.display();
            match known {
                true => self.add(
                    Severity::Open,
                    format!(
                        "containerd runs the verifiers in `{other}`, not those in `{shown}`; \
                         set `bin_dir` in `{file}`"
                    ),
                ),
                false => self.add(
                    Severity::Note,
                    format!(
                        "there is no `{file}`, and by default containerd runs the verifiers in \
                         `{other}`; name its configuration with --config"
                    ),
                ),
            }
        }
        for plugin in &settings.disabled {
            self.add(
                Severity::Open,
                format!("`{plugin}` stands in `disabled_plugins`; without it nothing is verified"),
            );
        }
        for bypass in &settings.bypasses {
            let (setting, instead) = (crate::report::escaped(&bypass.setting), bypass.instead);
            let file = bypass.file.display();
            self.add(
                Severity::Bypass,
                format!(
                    "`{setting}` in `{file}` makes CRI pull images without any verifier; {instead}"
                ),
            );
        }
    }

    fn directory(&mut self, bin_dir: &Path, settings: &Settings) -> Result<(), Error> {
        let shown = bin_dir.display();
        let entries = match fs::read_dir(bin_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.add(
                    Severity::Open,
                    format!("`{shown}` does not exist, so containerd allows every image"),
                );
                return Ok(());
            }
            Err(source) => {
                return Err(Error::File { what: format!("read `{shown}`"), source });
            }
        };
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name()).take(ENTRIES).collect();
        names.sort();
        if names.is_empty() {
            self.add(Severity::Open, format!("`{shown}` is empty: containerd allows every image"));
        }
        if let Err(why) = trusted::check(&bin_dir.join(".")) {
            self.add(Severity::Open, format!("others can change what containerd runs: {why}"));
        }
        let most = usize::try_from(settings.max_verifiers).unwrap_or(usize::MAX);
        for (at, name) in names.iter().enumerate() {
            self.entry(&bin_dir.join(name), at < most);
        }
        self.own(bin_dir, &names, most, settings);
        Ok(())
    }

    fn entry(&mut self, path: &Path, runs: bool) {
        let shown = crate::report::escaped(&path.display().to_string());
        if !runs {
            let text = format!("`{shown}` is not run: it comes after `max_verifiers` others");
            return self.add(Severity::Note, text);
        }
        let why = match path.metadata() {
            Err(_) => "leads nowhere",
            Ok(found) => match why_not_run(path, &found) {
                Some(why) => why,
                None if path.file_name() == Some(PROGRAM.as_ref()) => return,
                None => {
                    let text = format!("`{shown}` is another verifier, which must allow as well");
                    return self.add(Severity::Note, text);
                }
            },
        };
        self.add(
            Severity::Blocks,
            format!("`{shown}` {why}: containerd runs every entry and blocks each pull; remove it"),
        );
    }

    fn own(
        &mut self,
        bin_dir: &Path,
        names: &[std::ffi::OsString],
        most: usize,
        settings: &Settings,
    ) {
        let shown = bin_dir.display();
        let Some(at) = names.iter().position(|name| name == PROGRAM) else {
            self.add(
                Severity::Open,
                format!("`{PROGRAM}` is not in `{shown}`; run `ocisign containerd install`"),
            );
            return;
        };
        if at >= most {
            let limit = settings.max_verifiers;
            self.add(
                Severity::Open,
                format!(
                    "`max_verifiers = {limit}` leaves `{PROGRAM}` out: it is entry {} by name; \
                     raise it, or remove others",
                    at + 1
                ),
            );
        }
        // one that leads nowhere was told of already
        if let Ok(program) = bin_dir.join(PROGRAM).canonicalize() {
            self.program(&bin_dir.join(PROGRAM), &program, settings);
        }
    }

    fn program(&mut self, entry: &Path, program: &Path, settings: &Settings) {
        if let Err(why) = trusted::check(program) {
            return self.add(Severity::Open, format!("the plugin is not safe: {why}"));
        }
        let beside = program.parent().unwrap_or(Path::new("/")).join(CONFIG);
        let config = match Config::load(&beside) {
            Ok(config) => config,
            Err(error) => {
                let text = format!("every pull is undecided: {error}");
                return self.add(Severity::Blocks, text);
            }
        };
        self.policy(&config);
        if config.deadline() + Duration::from_millis(500) > settings.timeout {
            let (own, theirs) = (config.deadline_ms, settings.timeout.as_millis());
            self.add(
                Severity::Risk,
                format!(
                    "the plugin takes up to {own} ms and containerd kills it after {theirs} ms, \
                     so a late pull shows no reason; lower `deadlineMs` or raise \
                     `per_verifier_timeout`"
                ),
            );
        }
        if let Err(why) = trial(entry) {
            let entry = entry.display();
            self.add(Severity::Blocks, format!("`{entry}` cannot be run: {why}"));
        }
    }

    fn policy(&mut self, config: &Config) {
        let engine = match Engine::load(&config.policy, &Limits::default()) {
            Ok(engine) => engine,
            Err(error) => {
                let source = std::error::Error::source(&error);
                let source = source.map(|source| format!(": {source}")).unwrap_or_default();
                let text = format!("every pull is undecided: {error}{source}");
                return self.add(Severity::Blocks, text);
            }
        };
        let directory = config.policy.parent().unwrap_or(&config.policy);
        let safe = trusted::check(&config.policy)
            .and_then(|()| trusted::check_keys(engine.policy().document(), directory));
        if let Err(why) = safe {
            let text = format!("every pull is undecided, the policy is not safe: {why}");
            self.add(Severity::Blocks, text);
        }
    }

    /// What no setting of containerd brings under its verifiers.
    fn always(&mut self) {
        for text in [
            "`ctr images pull --local`, `ctr content fetch` and clients that pull by themselves \
             do not ask verifiers: keep others from containerd's socket",
            "imported images (`ctr images import`) are not verified",
            "images that are on disk already are not verified again",
            "before containerd 2.1 CRI does not ask verifiers, before 2.0 nobody does: look at \
             `containerd --version`",
        ] {
            self.add(Severity::Note, text);
        }
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// Why the system would not run a file.
fn why_not_run(path: &Path, found: &Metadata) -> Option<&'static str> {
    if found.is_dir() {
        return Some("is a directory");
    }
    if !found.is_file() {
        return Some("is no file");
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Some("is not executable");
    }
    let mut head = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match (read, &head) {
        (Ok(()), b"\x7fELF" | [b'#', b'!', _, _]) => None,
        // whether another system's programs run here is not known
        (Ok(()), [b'M', b'Z', _, _]) => None,
        _ => Some("is no program that the system can run"),
    }
}

/// Runs the entry as containerd would, with nothing to verify.
fn trial(entry: &Path) -> Result<(), String> {
    let mut child = Command::new(entry)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < TRIAL => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("it does not end".to_owned());
            }
        }
    };
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = stdout.take(4096).read_to_string(&mut said);
    }
    match status.code() == Some(2) && said.starts_with("undecided:") {
        true => Ok(()),
        false => Err(format!("it is not the plugin of this version ({status})")),
    }
}
