//! Credentials that belong to a pod.

use async_trait::async_trait;

use crate::gate::Keyring;
use crate::store::StoreError;

/// What a pod's spec says of its credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodAccess {
    /// Names of the secrets in `imagePullSecrets`.
    pub pull_secrets: Vec<String>,
    /// `serviceAccountName`; the empty name means `default`.
    pub service_account: String,
}

/// Finds the credentials of a pod.
#[async_trait]
pub trait Keychain: Send + Sync {
    /// The credentials of a pod in `namespace`; `None` where it has none.
    ///
    /// # Errors
    /// [`StoreError`] where a secret that the pod names cannot be read.
    async fn keyring(
        &self,
        namespace: &str,
        access: &PodAccess,
    ) -> Result<Option<Keyring>, StoreError>;
}
