//! Copying an image and its signatures from one store to another, byte for
//! byte: the road into a place without a network.
//!
//! Every digest and size is recomputed on the way. Blobs go first, then the
//! manifests that point to them, the image's root and its tag last, so that
//! nobody can see the image before all of it, signatures included, is there.

mod transfer;
mod walk;

use std::collections::HashSet;

use crate::image::{Descriptor, Digest, DocumentError};
use crate::limits::Limits;
use crate::store::{Store, StoreError, Target};

use self::transfer::Part;
use self::walk::{Fetched, Walk};

/// What was copied.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    /// The image's root.
    pub root: Descriptor,
    /// Manifests and indexes written, referrers' included.
    pub manifests: usize,
    /// Of these, the ones that refer to a part of the image, or that a cosign
    /// tag attaches to it.
    pub attached: usize,
    /// Blobs written.
    pub blobs: usize,
    /// Bytes of the blobs written.
    pub bytes: u64,
    /// Blobs that the destination had already.
    pub present: usize,
    /// Blobs that the source does not have and whose descriptors name other
    /// places (`urls`): not copied.
    pub external: Vec<Descriptor>,
    /// Entries of referrers lists that turned out to be none: not copied.
    pub skipped: Vec<Skipped>,
}

/// An entry of a referrers list that was not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its digest, as the list states it.
    pub digest: Digest,
    /// Why.
    pub reason: String,
}

/// Why nothing, or not all, was copied. The destination may have some of the
/// blobs then, and never the root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Bytes of the source do not have the digest or size under which they
    /// are stored.
    #[error("integrity: {what} in {place} has {found}, not {expected}; do not use this image")]
    Mismatch {
        /// Which part.
        what: String,
        /// The source.
        place: String,
        /// What its parent or the request says.
        expected: String,
        /// What was recomputed.
        found: String,
    },
    /// A manifest cannot be read, or not in one way only.
    #[error("manifest {digest} cannot be copied: {source}")]
    Manifest {
        /// Which one.
        digest: Digest,
        /// Which rule it breaks.
        source: DocumentError,
    },
    /// A digest is of an algorithm that ocisign does not recompute.
    #[error("`{0}` cannot be recomputed; build the image with sha256 digests")]
    Unverifiable(String),
    /// A part of the image is not in the source.
    #[error("{what} is missing in {place}; copy from a store that has all of the image")]
    Missing {
        /// Which part.
        what: String,
        /// The source.
        place: String,
    },
    /// The image is larger or deeper than the limits.
    #[error("limit exceeded: {0}; copy its parts one by one")]
    Limit(String),
    /// The list of referrers could not be had to its end.
    #[error("the signatures of {subject} cannot all be copied: {reason}; copy without them")]
    Referrers {
        /// Whose referrers.
        subject: Digest,
        /// Why the list is cut short.
        reason: String,
    },
    /// The source or the destination failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CopyError {
    /// Whether the image itself is wrong (exit 1), and not the attempt to
    /// copy it (exit 2).
    pub fn is_denial(&self) -> bool {
        match self {
            Self::Mismatch { .. } | Self::Unverifiable(_) => true,
            Self::Manifest { source, .. } => !matches!(source, DocumentError::Limit(_)),
            Self::Missing { .. } | Self::Limit(_) | Self::Referrers { .. } | Self::Store(_) => {
                false
            }
        }
    }
}

/// Copies the image `target` of `src` to `dst`, there under `tag`.
///
/// With `with_referrers` also what is attached to the root and to every
/// manifest below it, and to that in turn; and cosign's tags
/// (`sha256-HEX.sig`, `.att`, `.sbom`). Bytes do not change, so digests and
/// signatures hold. `subject` alone is not followed.
///
/// # Errors
/// [`CopyError`]. Running it again continues: blobs that are there are kept.
pub async fn copy(
    src: &dyn Store,
    target: &Target,
    dst: &dyn Store,
    tag: Option<&str>,
    with_referrers: bool,
    limits: &Limits,
) -> Result<Copied, CopyError> {
    let mut walk = Walk::new(src, limits);
    let root = walk.image(target).await?;
    if with_referrers {
        walk.attached().await?;
    }
    let tally = transfer::blobs(src, dst, walk.blobs, limits).await?;
    for manifest in &walk.manifests {
        push(dst, manifest, manifest.tag.as_deref()).await?;
    }
    push(dst, &root, tag).await?;
    if tag.is_none() {
        dst.list_untagged(&root.descriptor).await?;
    }
    Ok(Copied {
        root: root.descriptor,
        manifests: walk.manifests.len() + 1,
        attached: walk.manifests.iter().filter(|m| m.attached).count(),
        blobs: tally.written,
        bytes: tally.bytes,
        present: tally.present,
        external: tally.external,
        skipped: walk.skipped,
    })
}

/// Copies blobs, each once, and holds each to its digest and size.
pub(super) async fn blobs(
    src: &dyn Store,
    dst: &dyn Store,
    blobs: &[Descriptor],
    limits: &Limits,
) -> Result<(), CopyError> {
    let mut seen = HashSet::new();
    let once = blobs.iter().filter(|blob| seen.insert(&blob.digest));
    let parts = once
        .map(|descriptor| Part { descriptor: descriptor.clone(), data: None, sized: true })
        .collect();
    transfer::blobs(src, dst, parts, limits).await.map(drop)
}

/// One after the other: two referrers of one image may share a list that the
/// destination rewrites for each.
async fn push(dst: &dyn Store, manifest: &Fetched, tag: Option<&str>) -> Result<(), CopyError> {
    Ok(dst.push_manifest(&manifest.descriptor, &manifest.bytes, tag).await?)
}
