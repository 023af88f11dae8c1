//! `ocisign containerd`: put the image-verifier plugin in place; and the
//! plugin itself, under its own name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::output::Output;
use super::tree::DepthArg;
use super::verify::Form;
use crate::containerd::{
    self, Audit, CacheConfig, Config, Outcome, Placing, PlainHttp, Reply, Severity,
};
use crate::report::visible;

/// The verb that runs the plugin under the ordinary name.
pub(super) const VERIFIER: &str = "containerd-verifier";

/// Have containerd verify every image that it pulls
///
/// containerd 2.x runs every program in its `bin_dir` before it pulls an
/// image. `install` puts ocisign there; `check` says whether that works, and
/// which pulls go around it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign containerd install --policy /etc/ocisign/policy.json\n  \
    ocisign containerd check\n  \
    ocisign containerd uninstall")]
pub(super) struct Containerd {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Install(Install),
    Check(Check),
    Uninstall(Uninstall),
}

/// Put the plugin in place, and look whether it works
///
/// Copies this program to CONFIG_DIR/ocisign-containerd, writes its
/// configuration beside it, and makes BIN_DIR/ocisign-containerd a link to
/// the copy. Nothing else is put into BIN_DIR. Run it again after every
/// update of ocisign, or to change an option.
///
/// Exit codes: 0 in place, 1 in place and pulls are blocked or go unverified,
/// 2 could not be put in place.
#[derive(Debug, Args)]
struct Install {
    /// The policy that decides. It is named in the configuration and read
    /// for every pull; it is not copied.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// Where the copy of the program and its configuration go.
    #[arg(long, value_name = "DIR", default_value = containerd::CONFIG_DIR)]
    config_dir: PathBuf,
    /// Speak plain HTTP to all registries, or to these (loopback addresses
    /// need no flag).
    #[arg(long, value_name = "HOST", num_args = 0..=1, require_equals = true,
          value_delimiter = ',', default_missing_value = "")]
    plain_http: Option<Vec<String>>,
    /// Trust the certificates of this PEM file too, beside the system's roots.
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Credentials: a docker config.json or podman auth.json. Under systemd
    /// there is no HOME in which one would be found.
    #[arg(long, value_name = "FILE")]
    auth_file: Vec<PathBuf>,
    /// containerd's directory of hosts; found in its configuration, else
    /// /etc/containerd/certs.d.
    #[arg(long, value_name = "DIR")]
    hosts_dir: Vec<PathBuf>,
    /// Where to keep manifests and signatures between pulls: /var/cache/ocisign,
    /// or `cache` in the directory of the configuration where that is your own.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Keep nothing between pulls.
    #[arg(long)]
    no_cache: bool,
    /// How deep images are recomputed; the policy may ask for more, and
    /// containerd itself hashes every layer that it pulls.
    #[arg(long, value_enum, default_value_t = DepthArg::Manifests)]
    depth: DepthArg,
}

/// Say whether every pull is verified, and which go around it
///
/// Exit codes: 0 nothing to do, 1 something was found, 2 could not be checked.
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    place: PlaceArgs,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// Take the plugin away: images are pulled unverified from then on
#[derive(Debug, Args)]
struct Uninstall {
    #[command(flatten)]
    place: PlaceArgs,
    /// Where its program and configuration are; where the link leads to
    /// unless told.
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
}

/// Where containerd looks.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// containerd's directory of image verifiers; found in its configuration
    /// unless told.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// containerd's configuration.
    #[arg(long, value_name = "FILE", default_value = containerd::CONTAINERD_CONFIG)]
    config: PathBuf,
}

/// Decide on one image as containerd asks for it
///
/// What containerd runs under the name `ocisign-containerd`: the flags are
/// containerd's, the descriptor of the image comes on standard input, the
/// reason goes to standard output. Unknown flags are passed over.
///
/// Exit codes: 0 allow, 1 deny, 2 could not decide.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ocisign containerd-verifier -name HOST/app:v1 -digest sha256:… -stdin-media-type TYPE < FILE")]
pub(super) struct ContainerdVerifier {
    /// The plugin's configuration, given first; else it lies beside this
    /// program.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// containerd's flags: -name, -digest and -stdin-media-type.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

/// Answers containerd, where this process was started as its plugin.
pub(super) fn as_plugin() -> Option<Exit> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    if containerd::is_plugin(&program) {
        return Some(verify(None, arguments.collect()));
    }
    // clap reads neither flags with one dash nor those that it does not know
    if arguments.next()? != VERIFIER {
        return None;
    }
    let mut rest: Vec<OsString> = arguments.collect();
    if matches!(rest.first().and_then(|first| first.to_str()), None | Some("--help" | "-h")) {
        return None;
    }
    let config = match rest.first().is_some_and(|first| first == "--config") && rest.len() > 1 {
        true => rest.drain(..2).nth(1).map(PathBuf::from),
        false => None,
    };
    Some(verify(config, rest))
}

fn verify(config: Option<PathBuf>, arguments: Vec<OsString>) -> Exit {
    let config = config.map_or_else(beside, Ok);
    let reply = match config {
        Ok(config) => containerd::run(config, arguments, std::io::stdin()),
        Err(error) => Reply::undecided(&format!("where this program lies is not known: {error}")),
    };
    let out = Output::new(false, false);
    out.result(&reply.line);
    if !reply.details.is_empty() {
        out.note(reply.details.trim_end());
    }
    match (out.lost(), reply.outcome) {
        (true, _) | (_, Outcome::Undecided) => Exit::Undecided,
        (false, Outcome::Allow) => Exit::Yes,
        (false, Outcome::Deny) => Exit::No,
    }
}

/// Links are followed: the system names the file that runs.
fn beside() -> std::io::Result<PathBuf> {
    std::env::current_exe().map(|program| Config::beside(&program))
}

impl ContainerdVerifier {
    /// Runs the verb: only where no flag of containerd is given.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        Ok(verify(self.config.clone(), self.flags.clone()))
    }
}

impl Containerd {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Install(verb) => verb.run(out),
            Verb::Check(verb) => verb.run(out),
            Verb::Uninstall(verb) => verb.run(out),
        }
    }
}

impl PlaceArgs {
    fn audit(&self) -> Result<Audit, Failure> {
        Ok(containerd::audit(self.bin_dir.as_deref(), &self.config)?)
    }
}

impl Install {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let before = self.place.audit()?;
        let program = std::env::current_exe().map_err(|error| {
            Failure::CouldNot(format!("where this program lies is not known: {error}"))
        })?;
        let installed = containerd::install(&Placing {
            program,
            bin_dir: before.bin_dir.clone(),
            config_dir: self.config_dir.clone(),
            config: self.configuration(&before),
        })?;
        let (entry, program) = (installed.entry.display(), installed.program.display());
        out.result(&format!(
            "{entry} -> {program}\nconfiguration: {}\n",
            installed.config.display()
        ));
        let audit = self.place.audit()?;
        out.result(&shown(&audit));
        Ok(match audit.worst() {
            Some(Severity::Open | Severity::Blocks) => Exit::No,
            Some(Severity::Bypass | Severity::Risk | Severity::Note) | None => Exit::Yes,
        })
    }

    fn configuration(&self, audit: &Audit) -> Config {
        let mut config = Config::new(self.policy.clone());
        config.plain_http = match self.plain_http.as_deref() {
            None => PlainHttp::default(),
            Some([all]) if all.is_empty() => PlainHttp::All(true),
            Some(hosts) => PlainHttp::Hosts(hosts.to_vec()),
        };
        config.ca.clone_from(&self.ca);
        config.auth_files.clone_from(&self.auth_file);
        config.hosts = match (self.hosts_dir.is_empty(), audit.hosts.is_empty()) {
            (false, _) => self.hosts_dir.clone(),
            (true, false) => audit.hosts.clone(),
            (true, true) => vec!["/etc/containerd/certs.d".into()],
        };
        config.depth = self.depth.into();
        config.cache = (!self.no_cache).then(|| CacheConfig::new(self.cache()));
        config
    }

    fn cache(&self) -> PathBuf {
        match &self.cache_dir {
            Some(dir) => dir.clone(),
            None if self.config_dir == Path::new(containerd::CONFIG_DIR) => {
                "/var/cache/ocisign".into()
            }
            None => self.config_dir.join("cache"),
        }
    }
}

impl Check {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let audit = self.place.audit()?;
        match self.output {
            Form::Text => out.result(&shown(&audit)),
            Form::Json => out.result(&serde_json::to_string_pretty(&audit).unwrap_or_default()),
        }
        Ok(if audit.worst().is_some() { Exit::No } else { Exit::Yes })
    }
}

impl Uninstall {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let bin_dir = self.place.audit()?.bin_dir;
        let removed = containerd::uninstall(&bin_dir, self.config_dir.as_deref())?;
        if removed.0.is_empty() {
            out.note("the plugin is not installed there; nothing was removed");
        }
        for path in &removed.0 {
            out.result(&format!("removed {}", path.display()));
        }
        Ok(Exit::Yes)
    }
}

/// The findings for people, one a line.
fn shown(audit: &Audit) -> String {
    let word = |severity| match severity {
        Severity::Open => "open",
        Severity::Blocks => "blocks",
        Severity::Bypass => "bypass",
        Severity::Risk => "risk",
        Severity::Note => "note",
    };
    let mut lines = vec![match audit.worst() {
        None => "every pull through containerd's transfer service is verified".to_owned(),
        Some(Severity::Open) => "images are pulled unverified".to_owned(),
        Some(Severity::Blocks) => "every pull is blocked".to_owned(),
        Some(Severity::Bypass) => "some pulls go unverified".to_owned(),
        Some(Severity::Risk | Severity::Note) => "look at the risks".to_owned(),
    }];
    let findings = audit.findings.iter();
    lines.extend(findings.map(|f| format!("{:<7} {}", word(f.severity), visible(&f.text))));
    lines.join("\n")
}
