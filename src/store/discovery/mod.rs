//! Meta discovery: appc images by their names, over HTTPS (appc spec 0.8.11,
//! discovery.md).
//!
//! Who answers for a name is who has its domain. That says where an image
//! may be and trusts nothing: neither the image nor the keys that are offered.

#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod page;

use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

pub use self::page::Endpoint;
use self::page::Page;
use super::registry::{Elsewhere, RegistryOptions};
use super::{Blob, StoreError, chunks};
use crate::image::aci::AciName;
use crate::limits::Limits;

/// Finds images by their names.
#[derive(Debug, Clone)]
pub struct Discovery {
    server: Elsewhere,
    limits: Limits,
}

impl Discovery {
    /// Of the options certificates and limits count, and no credentials.
    pub fn new(options: RegistryOptions) -> Self {
        let limits = options.limits.clone();
        Self { server: Elsewhere::new(options), limits }
    }

    /// Where an image may be, in the order in which to look.
    ///
    /// # Errors
    /// [`StoreError::Absent`] where no page on the way up to the host says
    /// something of it, [`StoreError::Unreachable`] where one could not be
    /// had.
    pub async fn endpoints(&self, name: &AciName) -> Result<Vec<Endpoint>, StoreError> {
        let (place, page) = self.page(name.name(), |page| !page.templates.is_empty()).await?;
        let mut found = Vec::new();
        for template in page.templates.iter().take(self.limits.discovery_endpoints) {
            let filled = page::endpoint(template, name);
            found.extend(filled.filter(|filled| {
                may_lead(&place, &filled.image) && may_lead(&place, &filled.signature)
            }));
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(StoreError::Protocol {
                place,
                reason: format!(
                    "what it says of `{name}` gives no https address; write the labels that it \
                     asks for, as in `,os=linux,arch=amd64`"
                ),
            }),
        }
    }

    /// Addresses of the keys that are offered for an image.
    ///
    /// # Errors
    /// As [`Discovery::endpoints`].
    pub async fn keys(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let (place, page) = self.page(name, |page| !page.keys.is_empty()).await?;
        let keys = page.keys.into_iter().filter(|key| may_lead(&place, key));
        let keys: Vec<_> = keys.take(self.limits.discovery_endpoints).collect();
        match keys.is_empty() {
            false => Ok(keys),
            true => Err(StoreError::Protocol {
                place,
                reason: format!("the keys that it offers for `{name}` are at no https address"),
            }),
        }
    }

    /// Reads a public key.
    ///
    /// # Errors
    /// [`StoreError`], absence being one.
    pub async fn key(&self, address: &str) -> Result<Vec<u8>, StoreError> {
        let absent =
            || StoreError::Absent { what: "the key".to_owned(), place: address.to_owned() };
        self.server.small(address, self.limits.keyring_bytes).await?.ok_or_else(absent)
    }

    /// Fetches an image into a directory, its signature beside it.
    ///
    /// # Errors
    /// [`StoreError`]: the first one, where no place has the image.
    pub async fn fetch(&self, name: &AciName, into: &Path) -> Result<PathBuf, StoreError> {
        let file = into.join("image.aci");
        let mut failed = None;
        for endpoint in self.endpoints(name).await? {
            match self.download(&endpoint, &file).await {
                Ok(()) => return Ok(file),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| StoreError::Absent {
            what: format!("the image `{name}`"),
            place: "the addresses that were found".to_owned(),
        }))
    }

    async fn download(&self, endpoint: &Endpoint, file: &Path) -> Result<(), StoreError> {
        let most = self.limits.unsized_layer_bytes;
        let urls = [endpoint.image.clone()];
        let blob = self.server.open(&urls, most).await.map_err(|error| match error {
            StoreError::Absent { .. } => StoreError::Absent {
                what: "the image".to_owned(),
                place: endpoint.image.chars().take(200).collect(),
            },
            error => error,
        })?;
        write(blob, file, most).await?;
        let signature = self.server.small(&endpoint.signature, self.limits.envelope_bytes).await?;
        if let Some(bytes) = signature {
            let mut beside = file.as_os_str().to_owned();
            beside.push(".asc");
            tokio::fs::write(&beside, bytes).await.map_err(|source| unwritable(file, source))?;
        }
        Ok(())
    }

    /// The page nearest to the name that has what is wanted.
    async fn page(
        &self,
        name: &str,
        wanted: impl Fn(&Page) -> bool,
    ) -> Result<(String, Page), StoreError> {
        let mut path = name;
        loop {
            let address = format!("https://{path}?ac-discovery=1");
            if let Some(bytes) = self.server.page(&address, self.limits.discovery_bytes).await? {
                let page = page::read(&bytes, name);
                if wanted(&page) {
                    return Ok((address, page));
                }
            }
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => {
                    return Err(StoreError::Absent {
                        what: format!("what meta discovery needs for `{name}`"),
                        place: format!("https://{path}"),
                    });
                }
            }
        }
    }
}

/// Never from outside into this machine.
fn may_lead(from: &str, to: &str) -> bool {
    Elsewhere::may_lead(from, to)
}

async fn write(blob: Blob, file: &Path, most: u64) -> Result<(), StoreError> {
    let failed = |source| unwritable(file, source);
    let mut out = tokio::fs::File::create(file).await.map_err(failed)?;
    let (mut chunks, mut size) = (chunks(blob), 0u64);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        size = size.saturating_add(chunk.len() as u64);
        if size > most {
            return Err(StoreError::TooLarge { what: "the image".to_owned(), limit: most });
        }
        out.write_all(&chunk).await.map_err(failed)?;
    }
    out.flush().await.map_err(failed)
}

fn unwritable(file: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { what: format!("writing {}", file.display()), source }
}
