//! Where a gate finds images, and with which credentials.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

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
    /// Credentials under an id, a digest over them: two keyrings with one id
    /// hold the same credentials, and what one of them opened serves the
    /// other. Where that is not known use [`Keyring::unshared`].
    pub fn new(id: Digest, credentials: Arc<dyn Credentials>) -> Self {
        Self { id, credentials }
    }

    /// Credentials that nothing is shared of with any other keyring.
    pub fn unshared(credentials: Arc<dyn Credentials>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::new(Digest::sha256(format!("unshared keyring {number}").as_bytes()), credentials)
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

/// How long the tokens of a keyring are kept that nobody uses.
const UNUSED: Duration = Duration::from_secs(600);

/// Registries, over connections that all questions share. Credentials and
/// tokens are each keyring's own.
#[derive(Debug)]
pub struct RegistryPlaces {
    client: RegistryClient,
    /// By the keyring's id: its tokens.
    clients: Cache<Digest, RegistryClient>,
}

impl RegistryPlaces {
    /// Registries reached with these options.
    pub fn new(options: RegistryOptions) -> Self {
        let clients =
            Cache::builder().max_capacity(options.limits.keyrings).time_to_idle(UNUSED).build();
        Self { client: RegistryClient::new(options), clients }
    }
}

impl Places for RegistryPlaces {
    fn open(
        &self,
        repository: &Repository,
        keyring: Option<&Keyring>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let client = match keyring {
            None => self.client.clone(),
            Some(keyring) => self.clients.get_with_by_ref(keyring.id(), || {
                self.client.with_credentials(Arc::clone(keyring.credentials()))
            }),
        };
        Ok(Arc::new(client.open(repository)?))
    }
}
