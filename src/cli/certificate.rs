//! `ocisign certificate`: the certificate that the admission webhook shows.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine::block_on;
use crate::limits::Limits;
use crate::webhook::Cluster;
use crate::webhook::certificate::{
    self, CertificateError, Configuration, Done, Objects, Outcome, Renewal, Target, Terms,
};

/// Make and rotate the certificate of the admission webhook
#[derive(Debug, Args)]
pub(super) struct Certificate {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Rotate(Rotate),
    Files(Files),
}

/// Keep the certificate in a Secret, and the API server's trust in it, up to date
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("trusting").required(true).multiple(true))]
#[command(after_help = "\
Runs as a Job of Kubernetes, again and again: it does nothing where nothing is due.\n\n\
A new certificate comes with an authority of its own, whose key is thrown away. Every\n\
configuration is made to trust old and new authority before the Secret gets the new\n\
certificate, and the old authority is forgotten by a later run, so no request fails.\n\n\
Rights needed: get and patch on the Secret, and on the configurations named. create on\n\
secrets only where the Secret does not exist yet.")]
struct Rotate {
    /// Namespace of the Service and the Secret.
    #[arg(long)]
    namespace: String,
    /// Service that the API server calls: the certificate is for SERVICE.NAMESPACE.svc.
    #[arg(long)]
    service: String,
    /// Secret that holds tls.crt, tls.key and ca.crt.
    #[arg(long)]
    secret: String,
    /// ValidatingWebhookConfiguration whose caBundle follows.
    #[arg(long, value_name = "NAME", group = "trusting")]
    validating: Vec<String>,
    /// MutatingWebhookConfiguration whose caBundle follows.
    #[arg(long, value_name = "NAME", group = "trusting")]
    mutating: Vec<String>,
    /// Another name or address of the server, for configurations that call a URL.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    #[command(flatten)]
    terms: TermArgs,
    /// How long the authority before stays trusted: until every replica has
    /// loaded the new certificate.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    overlap: Duration,
    /// How long API servers get to see the new authority before its
    /// certificate is used.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    settle: Duration,
    /// Wait this long for configurations that are not there yet.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    wait: Duration,
    /// The cluster, by the current context of this file; without it, the one
    /// that this runs in.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", hide_env_values = true)]
    kubeconfig: Option<PathBuf>,
}

/// Keep a certificate in files: tls.crt, tls.key and ca.crt, for `ocisign serve` without Kubernetes
#[derive(Debug, Args)]
struct Files {
    /// Directory of the three files.
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Name or address that the server is called by.
    #[arg(long, value_name = "NAME", required = true)]
    host: Vec<String>,
    #[command(flatten)]
    terms: TermArgs,
}

#[derive(Debug, Args)]
struct TermArgs {
    /// How long a new certificate is valid: `90d`, `12h`.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = time)]
    valid: Duration,
    /// Replace the certificate when it holds for less than this.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time)]
    renew_before: Duration,
    /// Replace it now, as after somebody else has seen its key.
    #[arg(long)]
    now: bool,
}

impl Certificate {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Rotate(verb) => verb.run(out),
            Verb::Files(verb) => verb.run(out),
        }
    }
}

impl Rotate {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let terms = self.terms.terms(self.overlap, self.settle)?;
        let outcome = block_on(async { Ok(self.rotate(&terms).await) })??;
        self.report(&outcome, out)
    }

    async fn rotate(&self, terms: &Terms) -> Result<Outcome, Failure> {
        let limits = Limits::default();
        // where there is none the error of the own one says what is missing
        let cluster = Cluster::find(self.kubeconfig.as_deref()).unwrap_or(Cluster::Own);
        let client = cluster.client(&limits).await;
        let client = client.map_err(|error| Failure::CouldNot(error.to_string()))?;
        let objects = Objects::new(client, self.target(), &limits)?;
        Ok(certificate::rotate(&objects, terms, self.terms.renewal(), self.wait).await?)
    }

    fn target(&self) -> Target {
        let validating = self.validating.iter().cloned().map(Configuration::Validating);
        let mutating = self.mutating.iter().cloned().map(Configuration::Mutating);
        Target {
            namespace: self.namespace.clone(),
            service: self.service.clone(),
            hosts: self.host.clone(),
            secret: self.secret.clone(),
            configurations: validating.chain(mutating).collect(),
        }
    }

    fn report(&self, outcome: &Outcome, out: &Output) -> Result<Exit, Failure> {
        let secret = format!("secret `{}/{}`", self.namespace, self.secret);
        out.result(&said(&secret, outcome.done, &outcome.why));
        for configuration in &outcome.changed {
            out.result(&format!("{configuration} trusts its authority"));
        }
        let missing: Vec<_> = outcome.missing.iter().map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(Exit::Yes);
        }
        let missing = missing.join(" and ");
        if self.wait.is_zero() {
            out.warning(&format!("{missing} does not exist; run this again when it does"));
            return Ok(Exit::Yes);
        }
        Err(CertificateError::Absent(missing).into())
    }
}

impl Files {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let terms = self.terms.terms(Duration::ZERO, Duration::ZERO)?;
        let renewal = self.terms.renewal();
        let now = Timestamp::now();
        let directory = &self.output_dir;
        let (done, why) = certificate::refresh_files(directory, &self.host, &terms, renewal, now)?;
        out.result(&said(&format!("directory `{}`", directory.display()), done, &why));
        Ok(Exit::Yes)
    }
}

impl TermArgs {
    fn terms(&self, overlap: Duration, settle: Duration) -> Result<Terms, Failure> {
        let (valid_for, renew_before) = (self.valid, self.renew_before);
        if valid_for <= renew_before + overlap {
            return Err(Failure::CouldNot(
                "--valid must be longer than --renew-before and --overlap together, or every \
                 run makes a new certificate; give a longer --valid"
                    .to_owned(),
            ));
        }
        Ok(Terms { valid_for, renew_before, overlap, settle })
    }

    fn renewal(&self) -> Renewal {
        if self.now { Renewal::Now } else { Renewal::WhenDue }
    }
}

fn said(place: &str, done: Done, why: &str) -> String {
    match done {
        Done::Kept => format!("nothing is due: the certificate in {place} holds"),
        Done::Retired => format!("the authority before is no longer trusted in {place}"),
        Done::Issued => format!("a certificate was made in {place} ({why})"),
        Done::Rotated => format!("the certificate in {place} was replaced ({why})"),
    }
}

/// A time as people write it: `90d`, `12h`, `10m 30s`. Ten years at most.
fn time(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(3650 * 86_400);
    let wrong = || format!("`{text}` is no time up to ten years; write `90d`, `12h` or `30s`");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let time = Duration::try_from(time).map_err(|_| wrong())?;
    if time <= LONGEST { Ok(time) } else { Err(wrong()) }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        Self::CouldNot(error.to_string())
    }
}
