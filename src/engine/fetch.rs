//! Feeding the tree: the loop that fetches what a [`TreeBuilder`] wants.

use futures_util::{StreamExt as _, stream};

use super::layers;
use super::whole::{self, Grown};
use super::{Ask, Error, Image, Progress};
use crate::envelope::{Candidate, libtrust};
use crate::image::{
    self, Algorithm, Depth, Descriptor, Digest, ImageTree, NodeKind, Read, Root, TreeBuilder, Want,
    media_type, schema1,
};
use crate::limits::Limits;
use crate::store::{self, Store, StoreError, Target};

/// Rebuilds the tree of an image down to `depth`, recomputing every digest.
///
/// What is wrong with a node stands in the tree; it is no error.
///
/// # Errors
/// [`Error::Store`] where the store fails in another way than not having
/// something.
pub async fn read_tree(
    image: &Image,
    depth: Depth,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<ImageTree, Error> {
    let ask = Ask { progress, ..Ask::default() };
    Ok(grow(image, depth, false, limits, &ask).await?.tree)
}

/// As [`read_tree`], with what was hashed before, and with `signatures` the
/// detached ones of a whole file.
pub(super) async fn grow(
    image: &Image,
    depth: Depth,
    signatures: bool,
    limits: &Limits,
    ask: &Ask<'_>,
) -> Result<Grown, Error> {
    let store = image.store();
    if let Some(whole) = store.whole() {
        return whole::grow(image, &whole, depth, signatures, limits, ask).await;
    }
    let mut builder = TreeBuilder::new(root(image, limits).await?, depth, limits);
    loop {
        let (documents, blobs): (Vec<_>, Vec<_>) =
            builder.wants().into_iter().partition(|want| want.read == Read::Document);
        if !documents.is_empty() {
            supply(&mut builder, store, documents, limits).await?;
        } else if !blobs.is_empty() {
            layers::supply(&mut builder, store, blobs, limits, ask).await?;
        } else {
            ask.progress.finish();
            let tree = framed(builder.finish(), limits);
            return Ok(Grown { tree, signed: Vec::new() });
        }
    }
}

/// The digest that an image's name stands for now, with its bytes hashed.
///
/// # Errors
/// [`Error::Store`] where it cannot be read, [`Error::Broken`] where the
/// store gives other bytes than the digest names.
pub(super) async fn resolve(image: &Image, limits: &Limits) -> Result<Digest, Error> {
    if let Some(whole) = image.store().whole() {
        return whole::digest(&whole.file).await;
    }
    let root = root(image, limits).await?;
    named(&root, limits)
}

fn named(root: &Root, limits: &Limits) -> Result<Digest, Error> {
    let kind = root.media_type.as_deref();
    let algorithm = root.digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
    let found = image::manifest_digest(algorithm, kind, &root.bytes, limits);
    match &root.digest {
        Some(digest) if *digest != found => {
            Err(Error::Broken(format!("the manifest given for {digest} is another one")))
        }
        Some(_) | None => Ok(found),
    }
}

/// As [`resolve`], with the signatures that a manifest of Docker's schema 1
/// carries in itself.
pub(super) async fn resolve_signed(
    image: &Image,
    limits: &Limits,
) -> Result<(Digest, Option<Candidate>), Error> {
    if let Some(whole) = image.store().whole() {
        return Ok((whole::digest(&whole.file).await?, None));
    }
    let root = root(image, limits).await?;
    let digest = named(&root, limits)?;
    let signed = schema1::is_signed(root.media_type.as_deref(), &root.bytes);
    let candidate = signed.then(|| Candidate::libtrust(digest.to_string(), root.bytes));
    Ok((digest, candidate))
}

/// Whether the signatures in manifests of schema 1 hold. That is their
/// format's rule and no trust: anybody may have made them. It is checked
/// here because the tree knows no cryptography.
fn framed(mut tree: ImageTree, limits: &Limits) -> ImageTree {
    let judged: Vec<_> = tree
        .signed()
        .map(|(digest, bytes)| (digest.clone(), libtrust::check(bytes, limits)))
        .collect();
    for (digest, check) in judged {
        let notes = check.map(|keys| {
            keys.iter().map(|key| format!("signed by {key}, which says nothing of who")).collect()
        });
        tree.judge(&digest, notes.map_err(|reason| reason.to_string()));
    }
    tree
}

async fn root(image: &Image, limits: &Limits) -> Result<Root, Error> {
    let raw = image.store().manifest(image.target(), limits.manifest_bytes).await?;
    let asked = match image.target() {
        Target::Digest(digest) => Some(digest.clone()),
        Target::Tag(_) | Target::Only => None,
    };
    let (listed, size) = match raw.claimed {
        Some(claimed) => (Some(claimed.digest), Some(claimed.size)),
        None => (None, None),
    };
    Ok(Root { bytes: raw.bytes, media_type: raw.media_type, digest: asked.or(listed), size })
}

async fn supply(
    builder: &mut TreeBuilder,
    store: &dyn Store,
    wants: Vec<Want>,
    limits: &Limits,
) -> Result<(), Error> {
    let mut fetched = stream::iter(wants)
        .map(|want| async move {
            let got = document(store, &want, limits).await;
            (want, got)
        })
        .buffer_unordered(limits.parallel);
    while let Some((want, got)) = fetched.next().await {
        match got {
            Ok(bytes) => builder.supply(&want, &bytes),
            Err(StoreError::Absent { .. }) => builder.missing(&want),
            Err(StoreError::TooLarge { limit, .. }) if limit == want.size => {
                builder.too_long(&want);
            }
            Err(StoreError::TooLarge { what, limit }) => {
                builder.limit(&want, format!("{what} is larger than {limit}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn document(store: &dyn Store, want: &Want, limits: &Limits) -> Result<Vec<u8>, StoreError> {
    match want.kind {
        NodeKind::Index | NodeKind::Manifest => {
            // the tree wants none whose size is over the limit
            let target = Target::Digest(want.digest.clone());
            // the size of a schema 1 may be that of its payload alone
            let max = match media_type::is_schema_1(&want.media_type) {
                true => limits.manifest_bytes,
                false => want.size.min(limits.manifest_bytes),
            };
            Ok(store.manifest(&target, max).await?.bytes)
        }
        NodeKind::Config | NodeKind::Layer | NodeKind::Opaque | NodeKind::File => {
            let descriptor =
                Descriptor::new(want.media_type.clone(), want.digest.clone(), want.size);
            small_blob(store, &descriptor, limits.config_bytes).await
        }
    }
}

/// Reads a blob into memory: its size and one byte more, so that a longer
/// one is seen. Whoever asked compares digest and size.
pub(super) async fn small_blob(
    store: &dyn Store,
    descriptor: &Descriptor,
    max: u64,
) -> Result<Vec<u8>, StoreError> {
    let Descriptor { digest, size, .. } = descriptor;
    if *size > max {
        return Err(StoreError::TooLarge { what: format!("blob {digest}"), limit: max });
    }
    let mut chunks = store::chunks(store.blob(digest, *size).await?);
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let room = usize::try_from(size + 1).unwrap_or(usize::MAX) - bytes.len();
        let chunk = chunk?;
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() as u64 > *size {
            break;
        }
    }
    Ok(bytes)
}
