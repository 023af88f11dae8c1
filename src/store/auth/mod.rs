//! Credentials for registries: docker's config.json, podman's auth.json and
//! credential helpers. Read only once a registry has asked for them.

mod config;
mod entry;
mod files;
mod helper;

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

pub use config::{ConfigError, DockerConfig};
pub use files::AuthFiles;

use super::StoreError;
use crate::image::Repository;

/// A text that no log, error or `Debug` shows and that leaves memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the header or form that it goes into.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What to show a registry (distribution, spec/auth).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and password, or an access token in its place.
    Password {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An identity token: exchanged for access tokens (OAuth2 refresh).
    IdentityToken(Secret),
    /// A bearer token to be sent as it is.
    RegistryToken(Secret),
}

/// Reads a credentials file, for fuzz/ alone: no helper is run.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], repository: &Repository) {
    for read in [DockerConfig::parse, DockerConfig::parse_legacy] {
        let _ = read(bytes).and_then(|config| config.credential(repository));
    }
    let Ok(file) = serde_json::from_slice::<entry::AuthFile>(bytes) else { return };
    let _ = file.helper(repository);
    if let Err(said) = file.credential(repository) {
        assert!(said.len() < 200, "an error shows nothing of the entry");
    }
}

/// Where credentials come from.
#[async_trait]
pub trait Credentials: Send + Sync + fmt::Debug {
    /// The credential for `repository`, `None` where there is none.
    ///
    /// Asked only after the registry answered 401, so that an anonymous pull
    /// reads no file and runs no program.
    ///
    /// # Errors
    /// [`StoreError::Unauthorized`] where a file or helper is there and
    /// cannot be used: going on without it would only hide the cause.
    async fn lookup(&self, repository: &Repository) -> Result<Option<Credential>, StoreError>;
}

/// No credentials at all: every pull is anonymous.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl Credentials for Anonymous {
    async fn lookup(&self, _repository: &Repository) -> Result<Option<Credential>, StoreError> {
        Ok(None)
    }
}

/// One credential for one registry, for callers that have their own source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCredential {
    /// The registry, as in [`Repository::host`]. No other gets the credential.
    pub host: String,
    /// What it gets.
    pub credential: Credential,
}

#[async_trait]
impl Credentials for HostCredential {
    async fn lookup(&self, repository: &Repository) -> Result<Option<Credential>, StoreError> {
        Ok((repository.host() == self.host).then(|| self.credential.clone()))
    }
}

fn unusable(place: impl Into<String>, reason: impl Into<String>) -> StoreError {
    StoreError::Unauthorized { place: place.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_shows_a_secret() {
        let secret =
            Credential::Password { username: "me".to_owned(), password: Secret::new("hunter2") };
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(
            !format!("{:?}", Credential::IdentityToken(Secret::new("hunter2"))).contains("hunter2")
        );
    }
}
