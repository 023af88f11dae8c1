//! The servers that a registry's images are read from, opened for one image.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::config::Config;
use super::hosts::{self, Host, Hosts, Scheme};
use super::view::Server;
use crate::engine::{Error, read_file};
use crate::image::Repository;
use crate::limits::Limits;
use crate::store::auth::{AuthFiles, Credential, Credentials, HostCredential};
use crate::store::registry::{ClientIdentity, Notice};
use crate::store::{LookasideOptions, Registry, RegistryOptions, Store, StoreError};

/// Where one image can be read, in the order in which to ask.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) servers: Vec<Arc<Server>>,
    /// Servers that containerd may use and that are not asked, and why.
    pub(super) unused: Vec<String>,
}

impl Sources {
    /// Opens what the configuration says of the repository's registry.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Usage`] where no server is left to ask.
    pub(super) fn open(
        config: &Config,
        repository: &Repository,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let host = repository.host();
        let Hosts { servers: known, mut unused } = hosts::find(&config.hosts, host)
            .map_err(|why| Error::Usage(format!("containerd's hosts: {why}")))?
            .unwrap_or_else(|| Hosts { servers: vec![Host::plain(host)], unused: Vec::new() });
        let mut servers = Vec::new();
        for server in known {
            match open(config, &server, repository, limits) {
                Ok(store) => servers.push(Arc::new(Server::new(store))),
                Err(error) => {
                    unused.push(format!("server `{}` is not asked: {error}", server.host));
                }
            }
        }
        match servers.is_empty() {
            true => Err(Error::Usage(format!(
                "no server of `{host}` can be asked: {}",
                unused.join("; ")
            ))),
            false => Ok(Self { servers, unused }),
        }
    }
}

fn open(
    config: &Config,
    server: &Host,
    repository: &Repository,
    limits: &Limits,
) -> Result<Arc<dyn Store>, Error> {
    let read = |path: &PathBuf| read_file(path, limits.policy_bytes);
    let client_identity = match &server.client {
        None => None,
        Some((certificate, key)) => Some(ClientIdentity {
            certificate: read(certificate)?,
            key: read(key.as_ref().unwrap_or(certificate))?.into(),
        }),
    };
    let options = RegistryOptions {
        plain_http: match server.scheme {
            Some(scheme) => scheme == Scheme::Http,
            None => config.plain_http.covers(&server.host),
        },
        loopback_tls: server.scheme == Some(Scheme::Https),
        ca: config.ca.iter().chain(&server.ca).map(read).collect::<Result<_, _>>()?,
        client_identity,
        credentials: Arc::new(Keys::new(config, server)),
        lookaside: LookasideOptions::default(),
        limits: limits.clone(),
        notice: Some(notice()),
    };
    let there = format!("{}/{}", server.host, repository.path()).parse::<Repository>();
    let there = there.map_err(|error| Error::Usage(error.to_string()))?;
    Ok(Arc::new(Registry::open(&there, options)?))
}

/// Warnings of a registry go where containerd's debug log has them.
fn notice() -> Notice {
    Arc::new(|text: &str| eprintln!("the registry says: {}", crate::report::escaped(text)))
}

/// Credentials of one server: its own of `hosts.toml`, then those of files.
#[derive(Debug)]
struct Keys {
    own: Option<HostCredential>,
    files: Vec<AuthFiles>,
}

impl Keys {
    fn new(config: &Config, server: &Host) -> Self {
        let own = server.credential.clone();
        let own = own.map(|credential| HostCredential { host: server.host.clone(), credential });
        let files = match config.auth_files.is_empty() {
            true => vec![AuthFiles::from_environment()],
            false => config.auth_files.iter().map(AuthFiles::explicit).collect(),
        };
        // a helper that outlives the plugin would keep containerd waiting
        let patience = config.deadline() / 2;
        let files = files.into_iter().map(|file| file.with_helper_timeout(patience)).collect();
        Self { own, files }
    }
}

#[async_trait]
impl Credentials for Keys {
    async fn lookup(&self, repository: &Repository) -> Result<Option<Credential>, StoreError> {
        if let Some(own) = &self.own
            && let Some(found) = own.lookup(repository).await?
        {
            return Ok(Some(found));
        }
        for file in &self.files {
            if let Some(found) = file.lookup(repository).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
