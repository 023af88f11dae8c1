//! From the name of an image to an open store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, load};
use crate::image::aci::AciName;
use crate::image::{Digest, Reference, Repository, Source};
use crate::limits::Limits;
use crate::store::auth::AuthFiles;
use crate::store::registry::{ClientIdentity, Notice};
use crate::store::{
    Aci, Archive, Discovery, DockerArchive, External, Layout, LookasideOptions, Registry,
    RegistryOptions, Store, Target, WithLookaside,
};

/// How to reach registries. The default speaks HTTPS with the system's
/// roots, and plain HTTP to loopback addresses only.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Speak plain HTTP to registries that are not loopback too.
    pub plain_http: bool,
    /// A PEM file of certificates to trust beside the system's roots.
    pub ca: Option<PathBuf>,
    /// A client certificate and its private key, two PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
    /// A docker config.json or podman auth.json to use before all others.
    pub auth_file: Option<PathBuf>,
    /// Directories in which images are looked for that an ACI depends on.
    pub dependencies: Vec<PathBuf>,
    /// Fetch layers that an image's store does not have from where their
    /// descriptors say (`urls`), without credentials.
    pub fetch_external: bool,
    /// Where GPG simple signatures lie.
    pub lookaside: LookasideOptions,
    /// Takes what a registry wants people to read (`Warning` headers).
    pub notice: Option<fn(&str)>,
}

impl Access {
    /// The same for the client of registries, with its files read.
    ///
    /// # Errors
    /// [`Error::File`] where a file cannot be read, [`Error::Usage`] where
    /// one is too large.
    pub fn registries(&self, limits: &Limits) -> Result<RegistryOptions, Error> {
        let read = |path: &PathBuf| load::read_file(path, limits.policy_bytes);
        let credentials = match &self.auth_file {
            Some(path) => AuthFiles::explicit(path),
            None => AuthFiles::from_environment(),
        };
        Ok(RegistryOptions {
            plain_http: self.plain_http,
            loopback_tls: false,
            ca: self.ca.iter().map(read).collect::<Result<_, _>>()?,
            client_identity: match &self.client {
                Some((certificate, key)) => {
                    Some(ClientIdentity { certificate: read(certificate)?, key: read(key)?.into() })
                }
                None => None,
            },
            credentials: Arc::new(credentials),
            lookaside: self.lookaside.clone(),
            limits: limits.clone(),
            notice: self.notice.map(|notice| Arc::new(notice) as Notice),
        })
    }
}

/// An image that was named: where it is, and the name that policies match.
#[derive(Debug, Clone)]
pub struct Image {
    store: Arc<dyn Store>,
    target: Target,
    reference: Reference,
    named: bool,
}

impl Image {
    /// Opens the store that `source` names.
    ///
    /// `name` is what policies match for a local source; without one it goes
    /// by `localhost/` and the name of its directory or file. A digest in it
    /// must be the one that `source` asks for.
    ///
    /// # Errors
    /// [`Error::Usage`] for an appc image by name, which [`Image::find`]
    /// fetches, [`Error::Store`] where a layout or archive cannot be read,
    /// [`Error::File`] where a file of `access` cannot, [`Error::Usage`]
    /// where a registry's image is given another name, and those of
    /// [`Image::from_store`].
    pub fn open(
        source: &Source,
        name: Option<Reference>,
        access: &Access,
        limits: &Limits,
    ) -> Result<Self, Error> {
        if let (Some(name), Source::Registry(reference)) = (&name, source) {
            return Err(Error::Usage(format!(
                "{reference} cannot go by the name `{name}`: a registry's image has its own; \
                 for a mirror, write `mirrors` in the policy"
            )));
        }
        let store = open_store(source, access, limits)?;
        let image = Self::from_store(store, source, name)?;
        if access.lookaside.is_empty() {
            return Ok(image);
        }
        let (store, reference) = (Arc::clone(&image.store), image.reference.clone());
        let store = WithLookaside::new(store, reference, access.registries(limits)?);
        Ok(Self { store: Arc::new(store), ..image })
    }

    /// Finds an appc image by its name and fetches it, with its signature, to
    /// a place that is gone once nobody reads it any more (discovery.md).
    ///
    /// Policies match it by `name`, else by its own where that begins with a
    /// host. Nothing is trusted for where it was found.
    ///
    /// # Errors
    /// [`Error::Store`] where it is not found or cannot be fetched, and those
    /// of [`Image::from_store`].
    pub async fn find(
        aci: &AciName,
        name: Option<Reference>,
        access: &Access,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let failed =
            |source| Error::File { what: "write a temporary directory".to_owned(), source };
        let place = Arc::new(tempfile::tempdir().map_err(failed)?);
        let discovery = Discovery::new(access.registries(limits)?);
        let file = discovery.fetch(aci, place.path()).await?;
        let store = Aci::open(&file, access.dependencies.clone(), limits.clone())?;
        let store = store.asked(aci.clone(), Some(place));
        Self::from_store(Arc::new(store), &Source::AciName(aci.clone()), name)
    }

    /// An image in a store that the caller opened or wrote.
    ///
    /// # Errors
    /// [`Error::Name`] where a tag of `source` cannot stand in a reference,
    /// [`Error::Usage`] where `name` has a digest that `source` does not have:
    /// nothing would hold it against the image.
    pub fn from_store(
        store: Arc<dyn Store>,
        source: &Source,
        name: Option<Reference>,
    ) -> Result<Self, Error> {
        let (tag, digest) = (source.tag(), source.digest());
        same_digest(name.as_ref(), digest)?;
        let named = name.is_some() || matches!(source, Source::Registry(_) | Source::AciName(_));
        Ok(Self {
            target: target(tag, digest),
            reference: reference(source, name, tag, digest)?,
            store,
            named,
        })
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// What to read in the store.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The name that policies match.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The name to sign with the image: repository and tag. `None` for a
    /// local source that nobody named.
    pub fn signed_name(&self) -> Option<Reference> {
        let tag = self.reference.tag().map(str::to_owned);
        let name = || Reference::new(self.reference.repository().clone(), tag, None).ok();
        if self.named { name() } else { None }
    }

    /// The digest that the name stands for now, its bytes hashed.
    ///
    /// # Errors
    /// [`Error::Store`] where it cannot be read, [`Error::Broken`] where the
    /// store gives other bytes than the name asks for.
    pub async fn resolve(&self, limits: &Limits) -> Result<Digest, Error> {
        super::fetch::resolve(self, limits).await
    }

    /// The same image under the name as it was asked for, read by the digest
    /// that the name was resolved to.
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self { target: Target::Digest(digest), ..self.clone() }
    }

    /// The same image, another node of it.
    pub(super) fn at(&self, digest: Digest) -> Self {
        Self {
            reference: self.reference.pinned(digest.clone()),
            target: Target::Digest(digest),
            ..self.clone()
        }
    }
}

/// Opens the store of a source without naming an image in it.
pub(super) fn open_store(
    source: &Source,
    access: &Access,
    limits: &Limits,
) -> Result<Arc<dyn Store>, Error> {
    let store: Arc<dyn Store> = match source {
        Source::Registry(reference) => {
            Arc::new(Registry::open(reference.repository(), access.registries(limits)?)?)
        }
        Source::Layout { dir, .. } => Arc::new(Layout::open(Path::new(dir), limits.clone())?),
        Source::Archive { file, .. } => Arc::new(Archive::open(Path::new(file), limits.clone())?),
        Source::Aci { file } => {
            Arc::new(Aci::open(Path::new(file), access.dependencies.clone(), limits.clone())?)
        }
        Source::AciName(name) => {
            return Err(Error::Usage(format!(
                "`aci:{name}` is found by its name only to be read; save the image and name its file"
            )));
        }
        Source::DockerArchive { file, .. } => {
            Arc::new(DockerArchive::open(Path::new(file), limits.clone())?)
        }
    };
    Ok(match access.fetch_external {
        true => Arc::new(External::new(store, access.registries(limits)?)),
        false => store,
    })
}

/// A digest outranks a tag, as it does for a runtime.
pub(super) fn target(tag: Option<&str>, digest: Option<&Digest>) -> Target {
    match (digest, tag) {
        (Some(digest), _) => Target::Digest(digest.clone()),
        (None, Some(tag)) => Target::Tag(tag.to_owned()),
        (None, None) => Target::Only,
    }
}

/// The name of an appc image as policies match it. Only one that begins with
/// a host means the same in both grammars.
fn aci_repository(name: &AciName) -> Result<Repository, Error> {
    let parsed = Reference::parse_as_written(name.name());
    let same = parsed.ok().map(|r| r.repository().clone()).filter(|r| r.to_string() == name.name());
    same.ok_or_else(|| {
        Error::Usage(format!(
            "`{}` is no name that policies can match; give it one with `--as`",
            name.name()
        ))
    })
}

fn same_digest(name: Option<&Reference>, asked: Option<&Digest>) -> Result<(), Error> {
    match name.and_then(Reference::digest) {
        Some(digest) if Some(digest) != asked => Err(Error::Usage(format!(
            "the name has a digest that the image is not asked for by; \
             write `@{digest}` behind the image too, or leave it out of the name"
        ))),
        _ => Ok(()),
    }
}

fn reference(
    source: &Source,
    name: Option<Reference>,
    tag: Option<&str>,
    digest: Option<&Digest>,
) -> Result<Reference, Error> {
    let (repository, named_tag) = match (name, source) {
        (Some(name), _) => (name.repository().clone(), name.tag().map(str::to_owned)),
        (None, Source::Registry(reference)) => return Ok(reference.clone()),
        (None, Source::AciName(name)) => (aci_repository(name)?, None),
        (
            None,
            Source::Layout { dir: path, .. }
            | Source::Archive { file: path, .. }
            | Source::DockerArchive { file: path, .. }
            | Source::Aci { file: path },
        ) => (local_name(Path::new(path)), None),
    };
    // a layout's ref.name may be more than a tag; then it is no part of the name
    let own =
        tag.filter(|tag| Reference::new(repository.clone(), Some((*tag).to_owned()), None).is_ok());
    let tag = named_tag.or_else(|| own.map(str::to_owned));
    Ok(Reference::new(repository, tag, digest.cloned())?)
}

/// The name that an image of a local source goes by where nobody named it.
pub fn local_name(path: &Path) -> Repository {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Repository::local(&full.file_name().unwrap_or_default().to_string_lossy())
}
