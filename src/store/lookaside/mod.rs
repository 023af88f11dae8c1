//! Lookaside stores: GPG simple signatures in a folder or on a web server of
//! their own, by the name and digest of the image (containers/image,
//! docker/registries_d.go and docker_image_src.go).

mod config;
mod folder;
#[cfg(fuzzing)]
pub(super) mod fuzzing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use self::config::RegistriesD;
use super::beside::Numbered;
use super::chunks::blocking;
use super::registry::{Elsewhere, RegistryOptions};
use super::{
    Beside, Blob, Loose, LooseKind, RawManifest, Referrers, Store, StoreError, Target, Whole,
};
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

    async fn read(&self, base: Base, subject: &Digest) -> Result<Beside, StoreError> {
        let folder = self.folder(subject);
        match base {
            Base::Folder(root) => {
                let (limits, folder) = (self.limits().clone(), root.join(folder));
                blocking(move || Ok(read_folder(&folder, &limits))).await
            }
            Base::Address(root) => Ok(self.read_address(&format!("{root}/{folder}")).await),
        }
    }

    /// Reads until a number is missing, or the server does not answer.
    async fn read_address(&self, folder: &str) -> Beside {
        let (server, limits) = (Elsewhere::new(self.options.clone()), self.limits());
        let mut all = numbered(limits);
        for number in 1..=all.most + 1 {
            let item = format!("{folder}/{}", folder::name(number));
            let read = server.small(&item, limits.simple_bytes).await;
            // it would be waited for as long with each number
            let silent = matches!(read, Err(StoreError::Unreachable { .. }));
            if !all.take(number, &item, read) || silent {
                break;
            }
        }
        all.beside
    }
}

fn numbered(limits: &Limits) -> Numbered {
    let beside = Beside::default();
    Numbered { kind: LooseKind::Simple, most: limits.lookaside_signatures, beside }
}

fn read_folder(folder: &Path, limits: &Limits) -> Beside {
    let mut all = numbered(limits);
    for number in 1..=all.most + 1 {
        let path = folder.join(folder::name(number));
        let read = folder::read(&path, limits.simple_bytes);
        if !all.take(number, &path.display().to_string(), read) {
            break;
        }
    }
    all.beside
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

    async fn detached(&self) -> Result<Beside, StoreError> {
        self.store.detached().await
    }

    fn whole(&self) -> Option<Whole> {
        self.store.whole()
    }

    async fn beside(&self, subject: &Digest, openpgp: bool) -> Result<Beside, StoreError> {
        // what fails in one place hides nothing in the other
        let or_failed = |place: String, found: Result<Beside, StoreError>| {
            found.unwrap_or_else(|error| Beside {
                failed: vec![(place, error)],
                ..Beside::default()
            })
        };
        let mut all = or_failed(self.place(), self.store.beside(subject, openpgp).await);
        if openpgp {
            let own = match self.base(false) {
                Ok(Some(base)) => self.read(base, subject).await,
                Ok(None) => Ok(Beside::default()),
                Err(error) => Err(error),
            };
            all.extend(or_failed("the lookaside".to_owned(), own));
        }
        Ok(all)
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
