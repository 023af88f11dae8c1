//! Where a gate finds images, and with which credentials.

use std::fmt;
use std::sync::Arc;

use crate::image::{Digest, Repository};
use crate::store::auth::Credentials;
use crate::store::registry::RegistryClient;
use crate::store::{RegistryOptions, Store, StoreError};

/// Opens the place of a repository. A runtime brings its own over its own
/// client.
pub trait Places: Send + Sync {
    /// Opens a repository. Nothing need be sent yet.
    ///
    /// # Errors
    /// [`StoreError`] where there is no such place.
    fn open(
        &self,
        repository: &Repository,
        keyring: Option<&Keyring>,
    ) -> Result<Arc<dyn Store>, StoreError>;
}

/// Credentials that belong to one asker.
#[derive(Clone)]
pub struct Keyring {
    id: Digest,
    credentials: Arc<dyn Credentials>,
}

impl Keyring {
    /// Credentials under an id. Two keyrings with one id hold the same
    /// credentials: what one of them opened may serve the other.
    pub fn new(id: Digest, credentials: Arc<dyn Credentials>) -> Self {
        Self { id, credentials }
    }

    /// Which credentials these are: a digest over them.
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// The credentials.
    pub fn credentials(&self) -> &Arc<dyn Credentials> {
        &self.credentials
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.id)
    }
}

/// Registries, over connections that all questions share.
#[derive(Debug)]
pub struct RegistryPlaces {
    options: RegistryOptions,
    client: RegistryClient,
}

impl RegistryPlaces {
    /// Registries reached with these options.
    pub fn new(options: RegistryOptions) -> Self {
        Self { client: RegistryClient::new(options.clone()), options }
    }
}

impl Places for RegistryPlaces {
    fn open(
        &self,
        repository: &Repository,
        keyring: Option<&Keyring>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let Some(keyring) = keyring else { return Ok(Arc::new(self.client.open(repository)?)) };
        let credentials = Arc::clone(keyring.credentials());
        let client = RegistryClient::new(RegistryOptions { credentials, ..self.options.clone() });
        Ok(Arc::new(client.open(repository)?))
    }
}
