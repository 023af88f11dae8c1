//! What a tree asks for: content, by digest, and how it is to be read.

use super::{Algorithm, Digest, NodeKind, media_type};

/// Content that a tree needs before it can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Digest that the content must have.
    pub digest: Digest,
    /// Size in bytes that it must have; the most that is read of it where no
    /// parent states one.
    pub size: u64,
    /// Whether a parent states the size. Layers of Docker's schema 1 have
    /// none: their digest says all, and a limit stands for the size.
    pub exact: bool,
    /// What it is to the first node that asks for it.
    pub kind: NodeKind,
    /// Media type that this node's parent states.
    pub media_type: String,
    /// Where else it may be had, as this node's parent states.
    pub urls: Vec<String>,
    /// How it is to be read.
    pub read: Read,
}

/// How content is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    /// Hash it; it need not be kept.
    Blob,
    /// Hash it, and hash what decompressing it gives with this algorithm.
    Contents(Compression, Algorithm),
    /// Bring it whole: `TreeBuilder::supply`.
    Document,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A tar as it is.
    Tar,
    /// RFC 1952, all members.
    Gzip,
    /// RFC 8878, all frames.
    Zstd,
}

impl Compression {
    /// How a layer of this media type is packed (image-spec, media-types.md
    /// and layer.md; Docker's image spec); `None` for types that are no
    /// layers of a file system.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            media_type::OCI_LAYER
            | media_type::DOCKER_LAYER
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Some(Self::Tar),
            media_type::OCI_LAYER_GZIP
            | media_type::DOCKER_LAYER_GZIP
            | media_type::DOCKER_FOREIGN_GZIP
            | media_type::DOCKER_SCHEMA_1_LAYER
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => Some(Self::Gzip),
            media_type::OCI_LAYER_ZSTD
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}
