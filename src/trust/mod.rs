//! Whom we believe: public keys, fed as bytes, immutable once built.

mod sigstore;

use std::collections::BTreeMap;

use crate::crypto::openpgp::Keyring;
use crate::crypto::{KeyId, PublicKey};

pub use sigstore::{PUBLIC_ROOT, RootError, SigstoreRoot};

/// The keys under which a signature is evidence. What it is evidence for is
/// the policy's to say.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: BTreeMap<KeyId, PublicKey>,
    keyring: Keyring,
}

impl Trust {
    /// Trust in `keys`. A key that comes twice, in whatever encoding, is one.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let keys = keys.into_iter().map(|key| (key.id(), key)).collect();
        Self { keys, keyring: Keyring::default() }
    }

    /// The same, and trust in the OpenPGP keys of `keyring`.
    pub fn with_keyring(self, keyring: Keyring) -> Self {
        Self { keyring, ..self }
    }

    /// The OpenPGP keys; none where nothing is signed by any.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The key of this name.
    pub fn by_id(&self, id: &KeyId) -> Option<&PublicKey> {
        self.keys.get(id)
    }

    /// The key that a Sigstore bundle hints at.
    pub fn by_hint(&self, hint: &str) -> Option<&PublicKey> {
        self.by_id(&KeyId::from_hint(hint)?)
    }

    /// All keys, in the order of their ids.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, &PublicKey)> {
        self.keys.iter()
    }

    /// How many public keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.keyring.certificates().next().is_none()
    }
}
