//! Options of commands that look at a cluster.

use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::output::Output;
use crate::audit::{Input, Plan, Unlisted};
use crate::limits::Limits;

/// Which cluster, and what of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Only the workloads of this namespace; may be given several times.
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    namespace: Vec<String>,
    /// The kubeconfig to use; otherwise KUBECONFIG, ~/.kube/config or, in a
    /// pod, its service account.
    #[arg(long, value_name = "FILE", requires = "from_cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME", requires = "from_cluster")]
    context: Option<String>,
}

impl ClusterArgs {
    /// Adds the images of the cluster to a plan.
    pub(super) async fn images(
        &self,
        _plan: Plan,
        _limits: &Limits,
        _out: &Output,
    ) -> Result<(Plan, Input, Vec<Unlisted>), Failure> {
        Err(Failure::CouldNot("this build reads no cluster; give `--images`".to_owned()))
    }
}
