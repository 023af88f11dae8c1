//! Lookaside stores: GPG simple signatures in a folder or on a web server of
//! their own, by the name and digest of the image (containers/image,
//! docker/registries_d.go and docker_image_src.go).

mod config;
mod folder;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use self::config::RegistriesD;
use super::chunks::blocking;
use super::registry::{Elsewhere, RegistryOptions};
use super::{Blob, Loose, LooseKind, RawManifest, Referrers, Store, StoreError, Target, Whole};
use crate::image::aci::AciName;
use crate::image::{Descriptor, Digest, Reference};
use crate::limits::Limits;

/// Where lookaside stores are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookasideOptions {
    /// A folder or an address, in place of what a configuration says.
    pub base: Option<String>,
    /// A folder of configurations: `registries.d`.
    pub registries_d: Option<PathBuf>,
}

impl LookasideOptions {
    /// The folder of configurations that containers/image would read:
    /// the user's, else the system's, where there is one.
    pub fn from_environment() -> Self {
        let own = std::env::var_os("HOME")
            .map(|home| Path::new(&home).join(".config/containers/registries.d"));
        let system = Some(PathBuf::from("/etc/containers/registries.d"));
        let registries_d = [own, system].into_iter().flatten().find(|folder| folder.is_dir());
        Self { base: None, registries_d }
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A store with a lookaside beside it.
#[derive(Debug, Clone)]
pub struct WithLookaside {
    store: Arc<dyn Store>,
    reference: Reference,
    options: RegistryOptions,
}

/// Where the signatures of one repository lie.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Folder(PathBuf),
    Address(String),
}

impl Base {
    /// # Errors
    /// A text for people where it is of another kind.
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None => Ok(Self::Folder(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(("https" | "http", _)) => Ok(Self::Address(text.trim_end_matches('/').to_owned())),
            Some((scheme, _)) => Err(format!(
                "a lookaside at `{}://` is not read; use file:///…, https://… or a folder",
                scheme.chars().take(40).collect::<String>()
            )),
        }
    }
}

impl WithLookaside {
    /// Reads and writes the signatures of `reference` where
    /// `options.lookaside` says, and all else in `store`.
    pub fn new(store: Arc<dyn Store>, reference: Reference, options: RegistryOptions) -> Self {
        Self { store, reference, options }
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The place, read anew each time: it is a few small files.
    fn base(&self, writing: bool) -> Result<Option<Base>, StoreError> {
        let LookasideOptions { base, registries_d } = &self.options.lookaside;
        let text = match (base, registries_d) {
            (Some(base), _) => Some(base.clone()),
            (None, Some(folder)) => {
                let all = RegistriesD::load(folder, self.limits())?;
                let (repository, tag) = (self.reference.repository(), self.reference.tag());
                let found = match writing {
                    true => all.writing(repository, tag),
                    false => all.reading(repository, tag),
                };
                found.map(str::to_owned)
            }
            (None, None) => None,
        };
        let parse = |text: String| {
            Base::parse(&text)
                .map_err(|reason| StoreError::Protocol { place: "lookaside".to_owned(), reason })
        };
        text.map(parse).transpose()
    }

    /// `PATH@sha256=HEX`: the repository without its host. A path has no `..`
    /// and a digest no `/`, so that it may be joined.
    fn folder(&self, subject: &Digest) -> String {
        let path = self.reference.repository().path();
        format!("{path}@{}={}", subject.algorithm(), subject.hex())
    }

    async fn read(&self, base: Base, subject: &Digest) -> Result<Vec<Loose>, StoreError> {
        let folder = self.folder(subject);
        match base {
            Base::Folder(root) => {
                let (limits, folder) = (self.limits().clone(), root.join(folder));
                blocking(move || read_folder(&folder, &limits)).await
            }
            Base::Address(root) => self.read_address(&format!("{root}/{folder}")).await,
        }
    }

    /// Reads until a number is missing.
    async fn read_address(&self, folder: &str) -> Result<Vec<Loose>, StoreError> {
        let server = Elsewhere::new(self.options.clone());
        let mut found = Vec::new();
        for number in 1..=self.limits().lookaside_signatures {
            let item = format!("{folder}/{}", folder::name(number));
            match server.small(&item, self.limits().simple_bytes).await? {
                Some(bytes) => found.push(simple(item, bytes)),
                None => return Ok(found),
            }
        }
        Err(too_many(folder, self.limits()))
    }
}

fn read_folder(folder: &Path, limits: &Limits) -> Result<Vec<Loose>, StoreError> {
    let mut found = Vec::new();
    for number in 1..=limits.lookaside_signatures {
        let path = folder.join(folder::name(number));
        match folder::read(&path, limits.simple_bytes)? {
            Some(bytes) => found.push(simple(path.display().to_string(), bytes)),
            None => return Ok(found),
        }
    }
    let next = folder.join(folder::name(limits.lookaside_signatures + 1));
    match next.exists() {
        false => Ok(found),
        true => Err(too_many(&folder.display().to_string(), limits)),
    }
}

fn too_many(folder: &str, limits: &Limits) -> StoreError {
    let what = format!("the number of signatures in `{folder}`");
    StoreError::TooLarge { what, limit: limits.lookaside_signatures as u64 }
}

fn simple(item: String, bytes: Vec<u8>) -> Loose {
    Loose { item, kind: LooseKind::Simple, bytes }
}

#[async_trait]
impl Store for WithLookaside {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        self.store.manifest(target, max).await
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        self.store.blob(digest, size).await
    }

    async fn elsewhere(&self, urls: &[String], size: u64) -> Result<Blob, StoreError> {
        self.store.elsewhere(urls, size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        self.store.referrers(subject).await
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.store.has_blob(digest, size).await
    }

    async fn push_blob(&self, descriptor: &Descriptor, blob: Blob) -> Result<(), StoreError> {
        self.store.push_blob(descriptor, blob).await
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        self.store.push_manifest(descriptor, bytes, tag).await
    }

    fn dependencies(&self) -> &[PathBuf] {
        self.store.dependencies()
    }

    fn asked(&self) -> Option<&AciName> {
        self.store.asked()
    }

    async fn detached(&self) -> Result<Vec<Loose>, StoreError> {
        self.store.detached().await
    }

    fn whole(&self) -> Option<Whole> {
        self.store.whole()
    }

    async fn beside(&self, subject: &Digest, openpgp: bool) -> Result<Vec<Loose>, StoreError> {
        let mut found = self.store.beside(subject, openpgp).await?;
        let base = if openpgp { self.base(false)? } else { None };
        if let Some(base) = base {
            found.extend(self.read(base, subject).await?);
        }
        Ok(found)
    }

    async fn push_beside(&self, subject: &Digest, loose: &Loose) -> Result<String, StoreError> {
        match loose.kind {
            LooseKind::Simple => {}
            LooseKind::Bundle | LooseKind::Detached => {
                return self.store.push_beside(subject, loose).await;
            }
        }
        let read_only = |reason: &str| StoreError::ReadOnly {
            place: "the lookaside".to_owned(),
            reason: reason.to_owned(),
        };
        match self.base(true)? {
            Some(Base::Folder(root)) => {
                let (folder, limits) = (root.join(self.folder(subject)), self.limits().clone());
                let bytes = loose.bytes.clone();
                let path = blocking(move || folder::write(&folder, &bytes, &limits)).await?;
                Ok(path.display().to_string())
            }
            Some(Base::Address(_)) => Err(read_only(
                "it is a web server; write to a folder with --lookaside DIR, or name one as \
                 `lookaside-staging`",
            )),
            None => Err(read_only("none is configured; name a folder with --lookaside DIR")),
        }
    }

    async fn list_untagged(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        self.store.list_untagged(descriptor).await
    }
}
