//! Options of commands that look at a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::audit::{self, Input, Plan, Unlisted};
use crate::engine;
use crate::limits::Limits;
use crate::store::RegistryOptions;
use crate::webhook::review::Table;
use crate::webhook::{Cluster, Keychain, PullSecrets};

/// Which cluster, and what of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Only the workloads of this namespace; may be given several times.
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    namespace: Vec<String>,
    /// The kubeconfig to use; without it the one that KUBECONFIG names, in a
    /// pod its service account, else ~/.kube/config.
    #[arg(long, value_name = "FILE", requires = "from_cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, where it is not the current one.
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    context: Option<String>,
    /// Custom resources whose images are audited too: the file that `ocisign
    /// serve --resources` takes.
    #[arg(long, value_name = "FILE", requires = "from_cluster")]
    resources: Option<PathBuf>,
    /// Read images with the pull secrets that the workloads name, too. Needs
    /// the right to `get` secrets and service accounts.
    #[arg(long, requires = "from_cluster")]
    pull_secrets: bool,
}

impl ClusterArgs {
    /// Adds the images of the cluster to a plan.
    pub(super) async fn images(
        &self,
        plan: &mut Plan,
        limits: &Limits,
    ) -> Result<(Input, Vec<Unlisted>), Failure> {
        let table = match &self.resources {
            None => Table::built_in(limits),
            Some(path) => {
                let bytes = engine::read_file(path, limits.policy_bytes)?;
                Table::parse(&bytes, limits)
                    .map_err(|error| Failure::No(format!("`{}`: {error}", path.display())))?
            }
        };
        let client = self.client(limits).await?;
        let namespaces = &self.namespace;
        let unlisted = audit::from_cluster(client, namespaces, &table, plan, limits)
            .await
            .map_err(|error| Failure::CouldNot(format!("the cluster: {error}")))?;
        Ok((Input::Cluster { namespaces: namespaces.clone() }, unlisted))
    }

    /// What finds the credentials of the workloads, where that is asked for.
    pub(super) async fn keychain(
        &self,
        registries: &RegistryOptions,
        limits: &Limits,
    ) -> Result<Option<Box<dyn Keychain>>, Failure> {
        if !self.pull_secrets {
            return Ok(None);
        }
        let fallback = Arc::clone(&registries.credentials);
        let secrets = PullSecrets::new(self.client(limits).await?, fallback, limits);
        Ok(Some(Box::new(secrets)))
    }

    async fn client(&self, limits: &Limits) -> Result<kube::Client, Failure> {
        let cluster = self.cluster()?;
        let client = cluster.client_in(self.context.as_deref(), limits).await;
        client.map_err(|error| Failure::CouldNot(error.to_string()))
    }

    fn cluster(&self) -> Result<Cluster, Failure> {
        let named = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
        if self.kubeconfig.is_none()
            && let Some(paths) = named
        {
            let mut paths = std::env::split_paths(&paths);
            return match (paths.next(), paths.next()) {
                (Some(path), None) => Ok(Cluster::Kubeconfig(path)),
                _ => Err(Failure::CouldNot(
                    "KUBECONFIG names several files; give one of them with `--kubeconfig`"
                        .to_owned(),
                )),
            };
        }
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"));
        Ok(Cluster::find(self.kubeconfig.as_deref())
            .or_else(|| home().filter(|path| path.is_file()).map(Cluster::Kubeconfig))
            .unwrap_or(Cluster::Own))
    }
}
