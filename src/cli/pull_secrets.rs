//! Options for reading pull secrets from a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::exit::Failure;
use crate::limits::Limits;
use crate::store::auth::Credentials;
use crate::webhook::{Cluster, Keychain, PullSecrets};

/// Whether the credentials of pods are read, and from where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pull secrets")]
pub(super) struct PullSecretsArgs {
    /// Whether to read the pull secrets of pods and of their service accounts
    /// through the Kubernetes API. It takes the right to `get` secrets and
    /// service accounts. Other credentials are the fallback.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pull_secrets: When,
    /// The cluster that they are read from, by its current context; without
    /// it, the one that this runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// When pull secrets are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// In a pod with a service account's token, or with --kubeconfig.
    Auto,
    /// Always; without a cluster nothing is served.
    On,
    /// Never.
    Off,
}

impl PullSecretsArgs {
    /// What finds the credentials of pods; `None` where nothing does.
    pub(super) async fn keychain(
        &self,
        fallback: Arc<dyn Credentials>,
        limits: &Limits,
    ) -> Result<Option<Arc<dyn Keychain>>, Failure> {
        let found = Cluster::find(self.kubeconfig.as_deref());
        let cluster = match (self.pull_secrets, found) {
            (When::Off, _) | (When::Auto, None) => return Ok(None),
            (When::Auto | When::On, Some(cluster)) => cluster,
            (When::On, None) => Cluster::Own, // its error says what is missing
        };
        let secrets = PullSecrets::from_cluster(&cluster, fallback, limits).await;
        let secrets = secrets.map_err(|error| Failure::CouldNot(error.to_string()))?;
        Ok(Some(Arc::new(secrets)))
    }
}
