//! Pull secrets: a pod's credentials, read through the Kubernetes API.
//!
//! ```text
//! pod ─► names of secrets ─► GET, by name ─► entries ─► the one registry
//!        its own, then its   kept for a few             that each is for
//!        service account's   seconds
//! ```
//!
//! Rights that it takes: `get` on `secrets` and on `serviceaccounts`. It
//! lists nothing and watches nothing.

mod api;
mod cluster;
mod name;
mod ring;
mod shelf;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use self::api::{Api, Trouble};
use self::ring::{Notice, PullSecret, Ring};
use self::shelf::Shelf;
use super::{Keychain, PodAccess};
use crate::gate::Keyring;
use crate::limits::Limits;
use crate::store::StoreError;
use crate::store::auth::Credentials;

pub use cluster::{Cluster, ClusterError};

/// Reads the credentials of pods from their cluster.
pub struct PullSecrets {
    api: Api,
    fallback: Arc<dyn Credentials>,
    secrets: Shelf<Found>,
    accounts: Shelf<Vec<String>>,
    most: usize,
}

/// What is behind the name of a secret.
#[derive(Clone)]
enum Found {
    Secret(Arc<PullSecret>),
    Nothing(Notice),
}

impl PullSecrets {
    /// Pull secrets of a cluster. `fallback` has the credentials for
    /// registries that no secret of a pod is for.
    ///
    /// # Errors
    /// [`ClusterError`] where nothing says how to reach the cluster. Whether
    /// it can be reached shows when the first secret is read.
    pub async fn from_cluster(
        cluster: &Cluster,
        fallback: Arc<dyn Credentials>,
        limits: &Limits,
    ) -> Result<Self, ClusterError> {
        Ok(Self::new(cluster.client(limits).await?, fallback, limits))
    }

    /// As [`Self::from_cluster`], with a client that the caller made.
    pub fn new(client: kube::Client, fallback: Arc<dyn Credentials>, limits: &Limits) -> Self {
        let kept_for = limits.secret_kept;
        Self {
            api: Api::new(client, limits),
            fallback,
            secrets: Shelf::new(limits.secrets_bytes, kept_for),
            accounts: Shelf::new(limits.secrets_bytes, kept_for),
            most: limits.pull_secrets,
        }
    }

    /// Names of secrets in their order: the pod's own, then those of its
    /// service account, each once.
    async fn names(&self, namespace: &str, access: &PodAccess) -> Result<Vec<String>, Trouble> {
        let account = match access.service_account.as_str() {
            "" => "default",
            named => named,
        };
        let of_account = self.of_account(namespace, account).await?;
        let mut seen = BTreeSet::new();
        let all = access.pull_secrets.iter().chain(of_account.iter());
        let names: Vec<String> = all
            .filter(|name| !name.is_empty() && seen.insert(name.as_str()))
            .take(self.most + 1)
            .cloned()
            .collect();
        if names.len() > self.most {
            let what = format!("the list of pull secrets of a pod in namespace `{namespace}`");
            return Err(Trouble::TooLarge { what, limit: self.most as u64 });
        }
        Ok(names)
    }

    /// A service account that does not exist names no secrets: no pod runs
    /// under it before it does.
    async fn of_account(&self, namespace: &str, name: &str) -> Result<Vec<String>, Trouble> {
        let read = async {
            let Some(account) = self.api.get::<ServiceAccount>(namespace, name).await? else {
                return Ok((Vec::new(), 0));
            };
            let references = account.image_pull_secrets.unwrap_or_default().into_iter();
            let names: Vec<String> =
                references.map(|reference| reference.name).take(self.most + 1).collect();
            let weight = names.iter().map(String::len).sum();
            Ok((names, weight))
        };
        self.accounts.get(namespace, name, read).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Found, Trouble> {
        let read = async {
            let Some(secret) = self.api.get::<Secret>(namespace, name).await? else {
                return Ok((Found::Nothing(Notice::absent(namespace, name)), 0));
            };
            let secret = PullSecret::read(namespace, name, secret)?;
            Ok(match secret {
                Ok(secret) => {
                    let weight = secret.weight();
                    (Found::Secret(Arc::new(secret)), weight)
                }
                Err(notice) => (Found::Nothing(notice), 0),
            })
        };
        self.secrets.get(namespace, name, read).await
    }

    async fn ring(&self, namespace: &str, access: &PodAccess) -> Result<Ring, Trouble> {
        let names = self.names(namespace, access).await?;
        let found = try_join_all(names.iter().map(|name| self.secret(namespace, name))).await?;
        let mut ring = Ring::new(Arc::clone(&self.fallback));
        for found in found {
            match found {
                Found::Secret(secret) => ring.secrets.push(secret),
                Found::Nothing(notice) => ring.notices.push(notice),
            }
        }
        Ok(ring)
    }
}

#[async_trait]
impl Keychain for PullSecrets {
    async fn keyring(
        &self,
        namespace: &str,
        access: &PodAccess,
    ) -> Result<Option<Keyring>, StoreError> {
        let ring = self.ring(namespace, access).await?;
        Ok((!ring.is_empty()).then(|| Keyring::new(ring.id(), Arc::new(ring))))
    }
}

impl fmt::Debug for PullSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecrets").field("api", &self.api).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
