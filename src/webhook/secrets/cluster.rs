//! How to reach the API server, and as whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::limits::Limits;

/// What the kubelet tells every pod, and what it gives to those that may ask
/// the API server ("Accessing the Kubernetes API from a Pod").
const ADDRESS: &str = "KUBERNETES_SERVICE_HOST";
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// The one that this process runs in, as the service account of its pod.
    Own,
    /// The current context of a kubeconfig file.
    Kubeconfig(PathBuf),
}

/// Why a cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// This process runs in no pod, or in one without a token.
    #[error("this is no pod with a service account's token ({0}); mount it, or give --kubeconfig")]
    NoPod(String),
    /// The file cannot be used.
    #[error("kubeconfig `{path}` cannot be used ({reason}); check its current context")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Secrets would be readable on their way.
    #[error("the API server at `{0}` speaks no TLS; secrets go over https, or over loopback")]
    Plain(String),
}

impl Cluster {
    /// The cluster of a kubeconfig file where one is named, else the own one
    /// where this is a pod with a token.
    pub fn find(kubeconfig: Option<&Path>) -> Option<Self> {
        match kubeconfig {
            Some(path) => Some(Self::Kubeconfig(path.to_owned())),
            None if std::env::var_os(ADDRESS).is_some() && Path::new(TOKEN).exists() => {
                Some(Self::Own)
            }
            None => None,
        }
    }

    /// A client that sends its token to this cluster's API server alone. It
    /// needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`ClusterError`] where nothing says how to reach the cluster.
    pub async fn client(&self, limits: &Limits) -> Result<Client, ClusterError> {
        self.client_in(None, limits).await
    }

    /// The same for another context of the kubeconfig than its current one.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn client_in(
        &self,
        context: Option<&str>,
        limits: &Limits,
    ) -> Result<Client, ClusterError> {
        let mut config = match self {
            Self::Own => Config::incluster().map_err(|e| ClusterError::NoPod(e.to_string()))?,
            Self::Kubeconfig(path) => from_file(path, context).await.map_err(|e| self.broken(e))?,
        };
        let url = &config.cluster_url;
        if url.scheme_str() != Some("https") && !url.host().is_some_and(is_loopback) {
            return Err(ClusterError::Plain(url.to_string()));
        }
        config.connect_timeout = Some(limits.cluster_timeout);
        config.write_timeout = Some(limits.cluster_timeout);
        provider();
        Client::try_from(config).map_err(|error| self.broken(error.to_string()))
    }

    fn broken(&self, reason: String) -> ClusterError {
        match self {
            Self::Own => ClusterError::NoPod(reason),
            Self::Kubeconfig(path) => ClusterError::Kubeconfig { path: path.clone(), reason },
        }
    }
}

async fn from_file(path: &Path, context: Option<&str>) -> Result<Config, String> {
    let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
    let proxied = file.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let proxied = proxied.filter_map(|cluster| cluster.proxy_url.as_deref());
    let proxied = proxied.filter(|url| !url.is_empty()).count() > 0;
    let context = context.map(str::to_owned);
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.map_err(|error| error.to_string())?;
    if !proxied {
        // the environment's proxy is for registries
        config.proxy_url = None;
    }
    Ok(config)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The kube crate takes its cryptography from the process. Where the process
/// has chosen none, this is the one of all the other connections.
fn provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // another thread may have been quicker, which is as good
        let _: Result<(), Arc<_>> = rustls::crypto::ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn client(server: &str, more: &str) -> Result<Client, ClusterError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: k, cluster: {{server: '{server}'{more}}}}}]\n\
             users: [{{name: u, user: {{token: hunter2}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        Cluster::Kubeconfig(path).client(&Limits::default()).await
    }

    #[tokio::test]
    async fn a_token_goes_over_tls_or_loopback() {
        for good in ["https://127.0.0.1:6443", "http://127.0.0.1:8001", "http://[::1]:8001"] {
            assert!(client(good, "").await.is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1:8001", "http://localhost.example:8001"] {
            let error = client(bad, "").await.err().unwrap().to_string();
            assert!(error.contains("no TLS") && !error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_says_why() {
        let none = Cluster::Kubeconfig("/none/config".into());
        let error = none.client(&Limits::default()).await.err().unwrap().to_string();
        assert!(error.contains("`/none/config`"), "{error}");
        let proxied = client("https://127.0.0.1:6443", ", proxy-url: 'http://127.0.0.1:1'").await;
        assert!(proxied.err().unwrap().to_string().contains("proxy"));
    }

    #[test]
    fn a_file_that_is_named_comes_before_the_own_cluster() {
        let named = Cluster::find(Some("/etc/kubeconfig".as_ref()));
        assert_eq!(named, Some(Cluster::Kubeconfig("/etc/kubeconfig".into())));
    }
}
