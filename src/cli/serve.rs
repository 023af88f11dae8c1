//! `ocisign serve`: the admission webhook.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::access::AccessArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::pull_secrets::PullSecretsArgs;
use super::tree::DepthArg;
use crate::engine;
use crate::gate::{self, RegistryPlaces};
use crate::limits::Limits;
use crate::webhook::review::Options;
use crate::webhook::{self, Ended, LogLevel, Server, Settings, TlsFiles};

/// Decide on the images of a Kubernetes cluster, as an admission webhook
///
/// Serves /validate (denies what the policy does not allow) and /mutate (puts
/// the digest that was verified into every image) for AdmissionReview v1, and
/// /healthz, /readyz and /metrics. What cannot be decided is denied.
///
/// Policy, keys, certificate and resources are looked at every few seconds,
/// and at once on SIGHUP. What cannot be read is refused, and what was there
/// before goes on deciding. SIGTERM and SIGINT end the server: not ready at
/// once, requests under way are finished; a second one waits no longer.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign serve --policy policy.json --tls-cert tls.crt --tls-key tls.key\n  \
    ocisign serve --policy policy.json --tls-cert tls.crt --tls-key tls.key --audit\n  \
    curl --cacert ca.crt -d @review.json 'https://127.0.0.1:8443/validate?timeout=10s'\n\n\
    Exit codes: 0 ended when told to; 2 could not serve, or ended with requests unanswered.")]
pub(super) struct Serve {
    /// The policy that decides.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The server's certificate with its intermediates (PEM).
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,
    /// The private key of the certificate (PEM, not encrypted).
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,
    /// Answer reviews only to clients with a certificate of these CAs (PEM).
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Where API servers connect.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served without TLS as well.
    #[arg(long, value_name = "ADDRESS")]
    probe_listen: Option<SocketAddr>,
    /// How deep images are recomputed; the policy may ask for more.
    #[arg(long, value_enum, default_value_t = DepthArg::Manifests)]
    depth: DepthArg,
    /// Admit everything and say as a warning what would be denied.
    #[arg(long)]
    audit: bool,
    /// Let /validate deny references without a digest, whatever the policy
    /// says: what /mutate did not pin is not admitted.
    #[arg(long)]
    pinned_only: bool,
    /// Where the images of custom resources are, as JSONPaths.
    #[arg(long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// How long an answer may take where the API server does not say.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// Which decisions are logged, as lines of JSON on stdout.
    #[arg(long, value_enum, default_value_t = LogArg::All)]
    log: LogArg,
    /// How often the files are looked at.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    reload_every: Duration,
    /// How long to go on, not ready, after a signal to end.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    lame_duck: Duration,
    /// How long requests under way then have to finish.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    drain: Duration,
    #[command(flatten)]
    pull_secrets: PullSecretsArgs,
    #[command(flatten)]
    access: AccessArgs,
}

/// Which decisions are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogArg {
    /// Every image of every request.
    All,
    /// What was not allowed, or only let through by audit.
    Denials,
    /// None; only what happens to the server.
    Events,
}

impl From<LogArg> for LogLevel {
    fn from(arg: LogArg) -> Self {
        match arg {
            LogArg::All => Self::All,
            LogArg::Denials => Self::Denials,
            LogArg::Events => Self::Events,
        }
    }
}

impl Serve {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let settings = self.settings();
        let options = self.access.access(out).registries(&settings.limits)?;
        let fallback = Arc::clone(&options.credentials);
        let places = Arc::new(RegistryPlaces::new(options));
        let runtime = runtime().map_err(engine::Error::Runtime)?;
        runtime.block_on(async {
            let keychain = self.pull_secrets.keychain(fallback, &settings.limits).await?;
            let server = Server::bind(settings, places, keychain, Box::new(io::stdout())).await?;
            webhook::obey_signals(server.control())?;
            Ok(match server.run().await {
                Ended::Finished => Exit::Yes,
                Ended::CutShort => Exit::Undecided,
            })
        })
    }

    fn settings(&self) -> Settings {
        Settings {
            listen: self.listen,
            probe_listen: self.probe_listen,
            tls: TlsFiles {
                certificate: self.tls_cert.clone(),
                key: self.tls_key.clone(),
                client_ca: self.tls_client_ca.clone(),
            },
            policy: self.policy.clone(),
            resources: self.resources.clone(),
            depth: self.depth.into(),
            options: Options { audit: self.audit, pinned_only: self.pinned_only },
            timeout: self.timeout,
            reload_every: self.reload_every,
            lame_duck: self.lame_duck,
            drain: self.drain,
            log: self.log.into(),
            gate: gate::Settings::default(),
            limits: Limits::admission(),
        }
    }
}

/// Two workers at least: one that verifies leaves one that answers probes.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .thread_name("serve")
        .enable_all()
        .build()
}

fn duration(text: &str) -> Result<Duration, String> {
    webhook::go_duration(text).ok_or_else(|| "no duration; write it as 10s or 1m30s".to_owned())
}
