//! Attaching signatures, and listing what is attached.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::whole::{self, Signed};
use super::{Error, Image, discover, fetch};
use crate::envelope::{self, Candidate, Description, cosign, describe, sigstore};
use crate::evidence::Format;
use crate::image::{Depth, Descriptor, Digest, media_type};
use crate::limits::Limits;
use crate::store::{Blob, Loose, LooseKind, Store, StoreError, Target};

/// Rounds of reading and writing until a signature stays under a tag that
/// others write to at once.
const TAG_ROUNDS: u32 = 12;

/// Bounds of the pause after which such a tag is read back.
const SETTLE: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(3));

/// Attaches a bundle that was made elsewhere; gives its subject, and the
/// digest of the manifest that holds it or the path of the file.
///
/// # Errors
/// [`Error::Invalid`] where it is no bundle or is about another image.
pub async fn attach(
    image: &Image,
    bundle: &[u8],
    created: Timestamp,
    limits: &Limits,
) -> Result<(Digest, String), Error> {
    let candidate = Candidate::bundle("the bundle", bundle.to_vec());
    let description = describe(&candidate, limits)
        .map_err(|reason| Error::Invalid(format!("the bundle cannot be attached: {reason}")))?;
    // where a thing is stored is no matter of trust: `verify` judges it there
    let description = description.unverified();
    let about: Vec<_> = description.subjects.iter().flat_map(|s| s.digests.clone()).collect();
    let tree = fetch::read_tree(image, Depth::Manifests, limits, &super::Silent).await?;
    let Some(node) = tree.shape().nodes.iter().find(|n| about.contains(&n.digest)) else {
        return Err(Error::Invalid(format!(
            "the bundle is about {}, not about {} or a manifest in it",
            about.join(", "),
            tree.root().digest
        )));
    };
    let digest: Digest = node.digest.parse().map_err(|e| Error::Broken(format!("{e}")))?;
    let subject = Descriptor::new(node.media_type.clone(), digest.clone(), node.size);
    let kind = description.predicate_type.as_deref().unwrap_or(sigstore::SIGN_PREDICATE);
    let item = match image.store().keeps_beside() {
        true => push_beside(image.store(), &digest, bundle.to_vec()).await?,
        false => push_bundle(image.store(), &subject, bundle, kind, created).await?,
    };
    Ok((digest, item))
}

/// Writes a bundle beside the file that the image is; gives its path.
pub(super) async fn push_beside(
    store: &dyn Store,
    subject: &Digest,
    bundle: Vec<u8>,
) -> Result<String, Error> {
    let loose = Loose { item: String::new(), kind: LooseKind::Bundle, bytes: bundle };
    Ok(store.push_beside(subject, &loose).await?)
}

/// Writes a bundle as a referrer; gives its manifest's digest.
pub(super) async fn push_bundle(
    store: &dyn Store,
    subject: &Descriptor,
    bundle: &[u8],
    predicate_type: &str,
    created: Timestamp,
) -> Result<String, Error> {
    let layer = Descriptor::of(media_type::SIGSTORE_BUNDLE, bundle);
    let manifest = sigstore::manifest(&layer, subject, predicate_type, created);
    push_small(store, &layer, bundle).await?;
    push_small(store, &Descriptor::of(media_type::OCI_EMPTY, b"{}"), b"{}").await?;
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    store.push_manifest(&descriptor, &manifest, None).await?;
    Ok(descriptor.digest.to_string())
}

/// Adds a signature to the older `.sig` tag and gives the tag.
///
/// No store has compare-and-swap for tags, so two writers can overwrite each
/// other. Each therefore keeps every layer that it ever saw, waits for longer
/// than another's reading and writing takes, reads back, and writes again
/// while anything is missing.
pub(super) async fn push_cosign(
    store: &dyn Store,
    subject: &Digest,
    layer: &Descriptor,
    payload: &[u8],
    limits: &Limits,
) -> Result<String, Error> {
    let tag = cosign::tag(subject);
    push_small(store, layer, payload).await?;
    let mut seen = vec![layer.clone()];
    for round in 0..TAG_ROUNDS {
        let began = Instant::now();
        let mut layers = signature_layers(store, &tag, limits).await?;
        let missing: Vec<_> = seen.into_iter().filter(|l| !layers.contains(l)).collect();
        if missing.is_empty() {
            return Ok(tag);
        }
        layers.extend(missing);
        push_layers(store, &tag, &layers).await?;
        seen = layers;
        settle(began.elapsed(), round, layer).await;
    }
    if signature_layers(store, &tag, limits).await?.contains(layer) {
        return Ok(tag);
    }
    Err(Error::Incomplete(format!("others keep overwriting tag `{tag}`; sign again later")))
}

async fn push_layers(store: &dyn Store, tag: &str, layers: &[Descriptor]) -> Result<(), Error> {
    let written = cosign::manifest(layers);
    let config = Descriptor::of(media_type::OCI_CONFIG, &written.config);
    push_small(store, &config, &written.config).await?;
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &written.manifest);
    Ok(store.push_manifest(&descriptor, &written.manifest, Some(tag)).await?)
}

/// Three times what reading and writing took here is more than they take a
/// writer of the same kind who read before our write. Two who write in step
/// would stay in step, so each adds a part that hangs on its own layer.
async fn settle(took: Duration, round: u32, layer: &Descriptor) {
    let (least, most) = SETTLE;
    let base = took.saturating_mul(3).clamp(least, most);
    let own = layer.digest.hex().bytes().skip(round as usize).take(2);
    let part = own.fold(0, |sum: u32, c| sum * 16 + u32::from(c % 16)); // 0 to 255
    let spread = base.saturating_mul((1 + round) * part) / 256;
    tokio::time::sleep((base + spread).min(most)).await;
}

async fn signature_layers(
    store: &dyn Store,
    tag: &str,
    limits: &Limits,
) -> Result<Vec<Descriptor>, Error> {
    let target = Target::Tag(tag.to_owned());
    let raw = match store.manifest(&target, limits.manifest_bytes).await {
        Ok(raw) => raw,
        Err(StoreError::Absent { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    envelope::layers_of_tag(&raw.bytes, limits)
        .map_err(|reason| Error::Incomplete(format!("tag `{tag}` holds no signatures: {reason}")))
}

async fn push_small(store: &dyn Store, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Error> {
    let chunk = bytes::Bytes::copy_from_slice(bytes);
    let blob = Blob::Stream(stream::once(future::ready(Ok(chunk))).boxed());
    store.push_blob(descriptor, blob).map(|r| r.map_err(Error::from)).await
}

/// What is attached to an image, unverified.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The image's digest.
    pub digest: Digest,
    /// What is attached to it.
    pub entries: Vec<Entry>,
    /// Why the list is cut short.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

/// One attached thing: what it says of itself, or why it cannot be read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Where it is.
    pub item: String,
    /// What it says of itself; nothing of it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<Description>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Lists what is attached to an image.
///
/// # Errors
/// [`Error::Store`] where the image or the list cannot be read.
pub async fn signatures(image: &Image, limits: &Limits) -> Result<Listing, Error> {
    let (digest, own) = fetch::resolve_signed(image, limits).await?;
    let mut listed = discover::list(image.store(), &digest, limits).await?.with_own(own);
    let mut entries = Vec::new();
    while let Some(finds) = listed.next_finds().await? {
        entries.extend(finds.into_iter().map(|find| match find {
            Ok(candidate) => match describe(&candidate, limits) {
                Ok(found) => {
                    let unverified = Some(found.unverified().clone());
                    Entry { item: candidate.item, unverified, unreadable: None }
                }
                Err(why) => unreadable(candidate.item, &why.to_string()),
            },
            Err(rejection) => unreadable(rejection.item, &rejection.reason.to_string()),
        }));
    }
    entries.extend(whole::detached(image, limits).await?.into_iter().map(detached));
    Ok(Listing { digest, entries, incomplete: listed.incomplete() })
}

/// A detached signature says whose it is, and of what only by where it lies.
fn detached(signed: Signed) -> Entry {
    match signed.reason {
        Some(reason) => unreadable(signed.item, &reason.to_string()),
        None => Entry {
            item: signed.item,
            unverified: Some(Description {
                format: Format::Appc,
                hint: signed.hint,
                predicate_type: None,
                subjects: Vec::new(),
            }),
            unreadable: None,
        },
    }
}

fn unreadable(item: String, why: &str) -> Entry {
    Entry { item, unverified: None, unreadable: Some(why.to_owned()) }
}
