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
pub(super) use name::is_name;

/// Reads the credentials of pods from their cluster.
pub struct PullSecrets {
    api: Api,
    fallback: Arc<dyn Credentials>,
    secrets: Shelf<Found>,
    accounts: Shelf<Account>,
    most: usize,
}

/// What is behind the name of a secret.
#[derive(Clone)]
enum Found {
    Secret(Arc<PullSecret>),
    Nothing(Notice),
}

/// What a service account says.
#[derive(Clone, Default)]
struct Account {
    pull_secrets: Vec<String>,
    notice: Option<Notice>,
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
    fn names(
        &self,
        namespace: &str,
        access: &PodAccess,
        account: &Account,
    ) -> Result<Vec<String>, Trouble> {
        let mut seen = BTreeSet::new();
        let all = access.pull_secrets.iter().chain(account.pull_secrets.iter());
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
    async fn account(&self, namespace: &str, name: &str) -> Result<Account, Trouble> {
        let name = if name.is_empty() { "default" } else { name };
        let read = async {
            let found = match self.api.get::<ServiceAccount>(namespace, name).await {
                Ok(found) => found,
                Err(Trouble::Forbidden { place, reason }) => {
                    let notice = Some(Notice { place, reason });
                    return Ok((Account { notice, ..Account::default() }, 0));
                }
                Err(trouble) => return Err(trouble),
            };
            let listed = found.and_then(|account| account.image_pull_secrets).unwrap_or_default();
            let names = listed.into_iter().map(|reference| reference.name);
            let pull_secrets: Vec<String> = names.take(self.most + 1).collect();
            let weight = pull_secrets.iter().map(String::len).sum();
            Ok((Account { pull_secrets, notice: None }, weight))
        };
        self.accounts.get(namespace, name, read).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Found, Trouble> {
        let read = async {
            let found = match self.api.get::<Secret>(namespace, name).await {
                Ok(Some(secret)) => PullSecret::read(namespace, name, secret)?,
                Ok(None) => Err(Notice::absent(namespace, name)),
                Err(Trouble::Forbidden { place, reason }) => Err(Notice { place, reason }),
                Err(trouble) => return Err(trouble),
            };
            let weight = found.as_ref().map_or(0, PullSecret::weight);
            Ok((found.map_or_else(Found::Nothing, |it| Found::Secret(Arc::new(it))), weight))
        };
        self.secrets.get(namespace, name, read).await
    }

    async fn ring(&self, namespace: &str, access: &PodAccess) -> Result<Ring, Trouble> {
        let account = self.account(namespace, &access.service_account).await?;
        let names = self.names(namespace, access, &account)?;
        let found = try_join_all(names.iter().map(|name| self.secret(namespace, name))).await?;
        let mut ring = Ring::new(Arc::clone(&self.fallback));
        ring.notices.extend(account.notice);
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
