//! Where images live: registries, layouts, archives. Thin IO: raw bytes out,
//! promises nothing; whoever asked hashes what came.

mod aci;
mod archive;
pub mod auth;
mod beside;
pub mod cached;
mod chunks;
mod discovery;
mod docker_archive;
mod external;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod layout;
mod lookaside;
mod memory;
pub mod registry;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::image::aci::AciName;
use crate::image::{Descriptor, Digest};

pub use aci::Aci;
pub use archive::{Archive, write_archive};
pub use cached::{Cached, Shelf};
pub use chunks::chunks;
pub use discovery::{Discovery, Endpoint};
pub use docker_archive::DockerArchive;
pub use external::External;
pub use layout::Layout;
pub use lookaside::{LookasideOptions, WithLookaside};
pub use memory::Memory;
pub use registry::{Registry, RegistryOptions};

/// Why a store that does not implement writing is not written.
const ONLY_READS: &str = "this store only reads; write to a registry or a layout";

/// Bytes of a chunk of a stream.
pub type Chunk = bytes::Bytes;

/// What a store could not do. [`StoreError::Absent`] stands apart: only it
/// may ever mean "no signature here".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store answered, and it does not have it.
    #[error("{what} does not exist in {place}")]
    Absent {
        /// What was asked for.
        what: String,
        /// The store.
        place: String,
    },
    /// No answer, or none that says anything.
    #[error("{place} cannot be reached: {reason}")]
    Unreachable {
        /// The store.
        place: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The store wants other credentials.
    #[error("{place} refuses access: {reason}")]
    Unauthorized {
        /// The store.
        place: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// More bytes, pages or entries than the limits allow.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// What was read.
        what: String,
        /// The bound, in bytes or entries.
        limit: u64,
    },
    /// The answer breaks the protocol or the format of the place.
    #[error("{place} does not follow the rules: {reason}")]
    Protocol {
        /// The store.
        place: String,
        /// Which rule.
        reason: String,
    },
    /// The store cannot be written.
    #[error("{place} cannot be written: {reason}")]
    ReadOnly {
        /// The store.
        place: String,
        /// Why.
        reason: String,
    },
    /// The file system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What a request names within a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tag (in a layout: `org.opencontainers.image.ref.name`).
    Tag(String),
    /// A digest.
    Digest(Digest),
    /// The only image of a layout or archive.
    Only,
}

/// A manifest or index as the store gave it; nothing of it is checked.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// The bytes, within the limit that was asked.
    pub bytes: Vec<u8>,
    /// The media type under which the store gave it: Content-Type without
    /// parameters, or the descriptor's in an index.
    pub media_type: Option<String>,
    /// Digest under which the store lists it, where it says so. A claim.
    pub claimed: Option<Descriptor>,
}

/// A blob as a file or as a stream; nothing of it is checked.
pub enum Blob {
    /// A run of bytes in a file, read with pread.
    File {
        /// The file.
        file: Arc<std::fs::File>,
        /// Where the blob begins.
        offset: u64,
        /// How long it is in fact.
        len: u64,
    },
    /// Bytes as they come. A stream may give more bytes than were announced;
    /// who reads it stops at the size it expects.
    Stream(BoxStream<'static, Result<Chunk, StoreError>>),
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { offset, len, .. } => write!(f, "Blob::File({offset}+{len})"),
            Self::Stream(_) => f.write_str("Blob::Stream"),
        }
    }
}

/// A file that is an image as a whole; nothing of it is checked.
#[derive(Debug, Clone)]
pub struct Whole {
    /// What it is said to be.
    pub format: WholeFormat,
    /// The file, open.
    pub file: Arc<std::fs::File>,
    /// Its length in bytes when it was opened.
    pub len: u64,
}

/// What a whole file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeFormat {
    /// An archive of Docker v1, as `docker save` wrote it before 1.10.
    DockerV1,
    /// An appc image.
    Aci,
}

/// Bytes beside an image that may be a signature of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// Where they lie, for people: a path or an address.
    pub item: String,
    /// What they are by the place in which they lie.
    pub kind: LooseKind,
    /// The bytes, bounded by the limits.
    pub bytes: Vec<u8>,
}

/// What lies beside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooseKind {
    /// A Sigstore bundle: `FILE.sigstore.json`.
    Bundle,
    /// A detached OpenPGP signature over the file: `FILE.asc`.
    Detached,
    /// GPG simple signing, from a lookaside or a registry's extension.
    Simple,
}

/// What lies beside an image, as far as it could be read: what cannot be read
/// hides nothing else.
#[derive(Debug, Default)]
pub struct Beside {
    /// What was read.
    pub found: Vec<Loose>,
    /// What is there and could not be read, with its place.
    pub failed: Vec<(String, StoreError)>,
    /// Why there may be more.
    pub cut: Option<String>,
}

impl Beside {
    /// Takes what was found in another place too.
    pub fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.failed.extend(other.failed);
        self.cut = self.cut.take().or(other.cut);
    }
}

/// What a store lists as referring to a subject. Hints, each of them: the
/// list is unauthenticated, unordered and writable by others.
#[derive(Debug, Clone, Default)]
pub struct Referrers {
    /// The descriptors, without exact duplicates, sorted by digest.
    pub entries: Vec<Descriptor>,
    /// Why the list is cut short; `None` when it is whole.
    pub truncated: Option<String>,
}

/// A place of images, opened for one repository, layout or archive.
///
/// Reading promises nothing about what is read. Implementations bound what
/// they read and never turn an error into [`StoreError::Absent`].
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The place, for messages: `localhost:5000/app`, `oci:dir`.
    fn place(&self) -> String;

    /// Fetches a manifest or index of at most `max` bytes.
    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError>;

    /// Opens a blob. `size` is what the descriptor says; a store may refuse
    /// early what announces more.
    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError>;

    /// Lists what refers to `subject`: the referrers API with all its pages,
    /// or the tag schema, or the entries of a layout's index.json.
    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError>;

    /// Whether a blob is there already. Who gives no quicker answer opens it.
    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        match self.blob(digest, size).await {
            Ok(_) => Ok(true),
            Err(StoreError::Absent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a blob. The store checks nothing; the caller vouches that the
    /// stream has this digest, or a registry refuses it. A store that only
    /// reads need not have this.
    async fn push_blob(&self, _descriptor: &Descriptor, _blob: Blob) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { place: self.place(), reason: ONLY_READS.to_owned() })
    }

    /// Writes a manifest or index under its digest and, where given, a tag. A
    /// store that only reads need not have this.
    ///
    /// A manifest with a `subject` is made to appear in that subject's
    /// referrers, whatever the store needs for it.
    async fn push_manifest(
        &self,
        _descriptor: &Descriptor,
        _bytes: &[u8],
        _tag: Option<&str>,
    ) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { place: self.place(), reason: ONLY_READS.to_owned() })
    }

    /// Opens a blob in one of the places that its descriptor names (`urls`),
    /// where this store was opened to ask them: [`External`]. Any other has
    /// nothing elsewhere.
    async fn elsewhere(&self, urls: &[String], _size: u64) -> Result<Blob, StoreError> {
        Err(StoreError::Absent { what: urls.join(" "), place: self.place() })
    }

    /// The file that is the image as a whole, where it has no manifest. A
    /// store that gives one answers no manifest and no blob.
    fn whole(&self) -> Option<Whole> {
        None
    }

    /// Directories in which images are looked for that this one depends on.
    fn dependencies(&self) -> &[PathBuf] {
        &[]
    }

    /// The name and labels that the image must have by its own account,
    /// where it was asked for by them (discovery.md, "Validation").
    fn asked(&self) -> Option<&AciName> {
        None
    }

    /// What lies beside the image without being listed by it, and may be a
    /// signature of `subject`: a file next to an archive, an entry of a
    /// lookaside. Hints, as [`Store::referrers`] gives. Places that hold
    /// nothing but OpenPGP signatures are asked only where `openpgp`.
    async fn beside(&self, _subject: &Digest, _openpgp: bool) -> Result<Beside, StoreError> {
        Ok(Beside::default())
    }

    /// Detached signatures over the whole file. They are read before it, for
    /// they say how it is to be hashed.
    async fn detached(&self) -> Result<Beside, StoreError> {
        Ok(Beside::default())
    }

    /// Whether bundles lie beside the image and not in it.
    fn keeps_beside(&self) -> bool {
        self.whole().is_some()
    }

    /// Puts a signature of `subject` beside the image; gives where it is.
    async fn push_beside(&self, _subject: &Digest, _loose: &Loose) -> Result<String, StoreError> {
        Err(StoreError::ReadOnly { place: self.place(), reason: ONLY_READS.to_owned() })
    }

    /// Makes a manifest that was pushed without a tag the place's image, so
    /// that [`Target::Only`] finds it. Registries need nothing for it.
    async fn list_untagged(&self, _descriptor: &Descriptor) -> Result<(), StoreError> {
        Ok(())
    }
}
