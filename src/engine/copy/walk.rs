//! What there is to copy: manifests fetched and checked, blobs noted.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::transfer::Part;
use super::{CopyError, Skipped};
use crate::envelope::libtrust;
use crate::evidence::Reason;
use crate::image::{
    Algorithm, Descriptor, Digest, Document, DocumentError, Link, StatedDigest, manifest_digest,
    media_type, schema1,
};
use crate::limits::Limits;
use crate::store::{RawManifest, Store, StoreError, Target};

/// A manifest whose digest was recomputed.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
    /// The tag to push it under (cosign's).
    pub(super) tag: Option<String>,
    /// Whether it is attached to the image and not a part of it.
    pub(super) attached: bool,
}

/// One walk through a source.
pub(super) struct Walk<'a> {
    src: &'a dyn Store,
    limits: &'a Limits,
    /// All manifests but the root, children before parents.
    pub(super) manifests: Vec<Fetched>,
    pub(super) blobs: Vec<Part>,
    pub(super) skipped: Vec<Skipped>,
    /// Manifests of the image itself, the root first.
    image: Vec<Digest>,
    seen: HashSet<Digest>,
    /// Blobs by digest, with the size that was stated first.
    sizes: HashMap<Digest, u64>,
    /// Blobs for which nobody states one.
    unsized_blobs: HashSet<Digest>,
    json_bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(src: &'a dyn Store, limits: &'a Limits) -> Self {
        Self {
            src,
            limits,
            manifests: Vec::new(),
            blobs: Vec::new(),
            skipped: Vec::new(),
            image: Vec::new(),
            seen: HashSet::new(),
            sizes: HashMap::new(),
            unsized_blobs: HashSet::new(),
            json_bytes: 0,
        }
    }

    /// The image's tree. Returns the root, which is pushed last.
    pub(super) async fn image(&mut self, target: &Target) -> Result<Fetched, CopyError> {
        let raw = self.src.manifest(target, self.limits.manifest_bytes).await?;
        let (root, document) = self.root(target, raw)?;
        self.admit(&root)?;
        self.image.push(root.descriptor.digest.clone());
        self.below(&document, 1, false).await?;
        Ok(root)
    }

    /// What is attached to the image's manifests, and to that in turn.
    pub(super) async fn attached(&mut self) -> Result<(), CopyError> {
        for digest in self.image.clone() {
            for end in ["sig", "att", "sbom"] {
                self.cosign_tag(&digest, end).await?;
            }
        }
        let mut subjects = VecDeque::from(self.image.clone());
        let mut queued: HashSet<Digest> = self.image.iter().cloned().collect();
        while let Some(subject) = subjects.pop_front() {
            let list = self.src.referrers(&subject).await?;
            if let Some(reason) = list.truncated {
                return Err(CopyError::Referrers { subject, reason });
            }
            for entry in list.entries {
                if self.referrer(&subject, &entry.digest).await?
                    && queued.insert(entry.digest.clone())
                {
                    subjects.push_back(entry.digest);
                }
            }
        }
        Ok(())
    }

    /// Takes one entry of a referrers list. The list is a hint: the fetched
    /// manifest says whose referrer it is. Returns whether it is copied.
    async fn referrer(&mut self, subject: &Digest, digest: &Digest) -> Result<bool, CopyError> {
        if self.seen.contains(digest) {
            return Ok(true);
        }
        let raw = match self.fetch(digest).await {
            Err(CopyError::Store(StoreError::Absent { .. })) => {
                return Ok(self.skip(digest, "it is listed and not there"));
            }
            raw => raw?,
        };
        let document = match Document::parse(&raw.bytes, None, self.limits) {
            Ok(document) => document,
            Err(why) => return Ok(self.skip(digest, &why.to_string())),
        };
        let names = document.subject().and_then(|s| s.digest.known());
        if names != Some(subject) {
            return Ok(self.skip(digest, "it is listed and does not refer to the image"));
        }
        self.attach(fetched(&document, digest.clone(), raw.bytes), &document).await?;
        Ok(true)
    }

    fn skip(&mut self, digest: &Digest, reason: &str) -> bool {
        self.skipped.push(Skipped { digest: digest.clone(), reason: reason.to_owned() });
        false
    }

    /// The manifest that cosign attaches by tag, where there is one.
    async fn cosign_tag(&mut self, image: &Digest, end: &str) -> Result<(), CopyError> {
        let tag = format!("{}-{}.{end}", image.algorithm(), image.hex());
        let target = Target::Tag(tag.clone());
        let raw = match self.src.manifest(&target, self.limits.manifest_bytes).await {
            Err(StoreError::Absent { .. }) => return Ok(()),
            raw => raw?,
        };
        let (mut manifest, document) = self.root(&target, raw)?;
        manifest.tag = Some(tag);
        self.attach(manifest, &document).await
    }

    async fn attach(
        &mut self,
        mut manifest: Fetched,
        document: &Document,
    ) -> Result<(), CopyError> {
        self.admit(&manifest)?;
        self.below(document, 1, true).await?;
        manifest.attached = true;
        self.manifests.push(manifest);
        Ok(())
    }

    /// Everything that a manifest or index points to.
    fn below<'s>(
        &'s mut self,
        document: &'s Document,
        depth: usize,
        attached: bool,
    ) -> BoxFuture<'s, Result<(), CopyError>> {
        async move {
            match document {
                Document::Manifest(manifest) => {
                    for link in std::iter::once(&manifest.config).chain(&manifest.layers) {
                        self.blob(link)?;
                    }
                    Ok(())
                }
                Document::Index(index) => self.children(&index.manifests, depth, attached).await,
                Document::Schema1(manifest, _) => {
                    for layer in &manifest.layers {
                        self.unsized_blob(&layer.digest)?;
                    }
                    Ok(())
                }
            }
        }
        .boxed()
    }

    /// The children of an index at `depth`, fetched a few at a time.
    async fn children(
        &mut self,
        links: &[Link],
        depth: usize,
        attached: bool,
    ) -> Result<(), CopyError> {
        let mut wanted = Vec::new();
        for link in links {
            let descriptor = known(link)?;
            if self.seen.insert(descriptor.digest.clone()) {
                wanted.push(descriptor);
            }
        }
        self.check_count()?;
        let (src, limits) = (self.src, self.limits);
        let mut fetching = stream::iter(wanted)
            .map(|descriptor| async move {
                let raw = child(src, &descriptor, limits).await?;
                Ok::<_, CopyError>((descriptor, raw))
            })
            .buffered(self.limits.parallel.max(1));
        while let Some((descriptor, bytes)) = fetching.try_next().await? {
            self.child(descriptor, bytes, depth, attached).await?;
        }
        Ok(())
    }

    async fn child(
        &mut self,
        descriptor: Descriptor,
        bytes: Option<Vec<u8>>,
        depth: usize,
        attached: bool,
    ) -> Result<(), CopyError> {
        let kind = &descriptor.media_type;
        let Some(bytes) = bytes else {
            // Not served as a manifest, so it may be any kind of content
            // (image-index.md: an unknown media type is no error).
            return self.part(Part { descriptor, data: None, sized: true });
        };
        let signed = schema1::is_signed(Some(kind), &bytes);
        self.count_bytes(bytes.len())?;
        if is_document(kind) {
            if media_type::is_index(kind) && depth >= self.limits.index_depth {
                let max = self.limits.index_depth;
                return Err(CopyError::Limit(format!("indexes nest deeper than {max}")));
            }
            let document = parse(&descriptor.digest, &bytes, Some(kind), self.limits)?;
            if !attached {
                self.image.push(descriptor.digest.clone());
            }
            self.below(&document, depth + 1, attached).await?;
        }
        // what is pushed goes by its own type, whatever the list calls it
        let descriptor = match signed && media_type::is_schema_1(&descriptor.media_type) {
            true => Descriptor {
                media_type: media_type::DOCKER_SCHEMA_1_SIGNED.to_owned(),
                ..descriptor
            },
            false => descriptor,
        };
        self.manifests.push(Fetched { descriptor, bytes, tag: None, attached });
        Ok(())
    }

    /// A layer of schema 1, whose size is measured when it is copied.
    fn unsized_blob(&mut self, digest: &StatedDigest) -> Result<(), CopyError> {
        let unknown = || CopyError::Unverifiable(digest.to_string());
        let digest = digest.known().ok_or_else(unknown)?.clone();
        if !self.sizes.contains_key(&digest) && self.unsized_blobs.insert(digest.clone()) {
            let size = self.limits.unsized_layer_bytes;
            let descriptor = Descriptor::new(media_type::DOCKER_SCHEMA_1_LAYER, digest, size);
            self.blobs.push(Part { descriptor, data: None, sized: false });
        }
        self.check_count()
    }

    fn blob(&mut self, link: &Link) -> Result<(), CopyError> {
        self.part(Part { descriptor: known(link)?, data: link.data.clone(), sized: true })
    }

    /// Notes a blob once, however many manifests share it.
    fn part(&mut self, part: Part) -> Result<(), CopyError> {
        let Descriptor { digest, size, .. } = &part.descriptor;
        match self.sizes.get(digest) {
            None => {
                self.sizes.insert(digest.clone(), *size);
                self.blobs.push(part);
            }
            Some(first) if first == size => {}
            // One of the two is wrong, whatever the bytes are.
            Some(first) => return Err(wrong_size(self.src, &part.descriptor, *first)),
        }
        self.check_count()
    }

    async fn fetch(&self, digest: &Digest) -> Result<RawManifest, CopyError> {
        let target = Target::Digest(digest.clone());
        let raw = self.src.manifest(&target, self.limits.manifest_bytes).await?;
        let kind = raw.media_type.as_deref();
        check_digest(self.src, digest, kind, &raw.bytes, self.limits)?;
        Ok(raw)
    }

    /// A manifest that was asked for by tag or digest, with what the store
    /// claims of it.
    fn root(&self, target: &Target, raw: RawManifest) -> Result<(Fetched, Document), CopyError> {
        let digest = match (target, &raw.claimed) {
            (Target::Digest(digest), _) => digest.clone(),
            (_, Some(claimed)) => claimed.digest.clone(),
            (_, None) => {
                let (algorithm, kind) = (Algorithm::Sha256, raw.media_type.as_deref());
                manifest_digest(algorithm, kind, &raw.bytes, self.limits)
            }
        };
        if let Some(claimed) = raw.claimed.as_ref().filter(|c| c.digest == digest) {
            check_size(self.src, claimed, raw.bytes.len() as u64)?;
        }
        let kind = raw.media_type.as_deref();
        check_digest(self.src, &digest, kind, &raw.bytes, self.limits)?;
        let document = parse(&digest, &raw.bytes, kind, self.limits)?;
        Ok((fetched(&document, digest, raw.bytes), document))
    }

    /// Counts a manifest that is about to be kept.
    fn admit(&mut self, manifest: &Fetched) -> Result<(), CopyError> {
        self.seen.insert(manifest.descriptor.digest.clone());
        self.count_bytes(manifest.bytes.len())?;
        self.check_count()
    }

    fn count_bytes(&mut self, bytes: usize) -> Result<(), CopyError> {
        self.json_bytes = self.json_bytes.saturating_add(bytes as u64);
        match self.json_bytes > self.limits.tree_json_bytes {
            true => {
                let max = self.limits.tree_json_bytes;
                Err(CopyError::Limit(format!("the manifests have more than {max} bytes")))
            }
            false => Ok(()),
        }
    }

    fn check_count(&self) -> Result<(), CopyError> {
        let max = self.limits.tree_nodes;
        match self.seen.len() + self.sizes.len() + self.unsized_blobs.len() > max {
            true => Err(CopyError::Limit(format!("the image has more than {max} parts"))),
            false => Ok(()),
        }
    }
}

/// The bytes of an index's child, checked; `None` where it is of a kind that
/// ocisign does not read and that the store keeps among its blobs.
async fn child(
    src: &dyn Store,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, CopyError> {
    let (known, max) = (is_document(&descriptor.media_type), limits.manifest_bytes);
    if descriptor.size > max {
        return match known {
            true => Err(CopyError::Limit(format!("manifest {} is too large", descriptor.digest))),
            false => Ok(None),
        };
    }
    match src.manifest(&Target::Digest(descriptor.digest.clone()), max).await {
        Ok(raw) => {
            let kind = Some(descriptor.media_type.as_str());
            let size = raw.bytes.len() as u64;
            // a list may state the size of a schema 1 without its signatures
            let payload = schema1::payload(kind, &raw.bytes, limits);
            if payload.is_ok_and(|payload| payload.len() as u64 != descriptor.size) {
                check_size(src, descriptor, size)?;
            }
            check_digest(src, &descriptor.digest, kind, &raw.bytes, limits)?;
            Ok(Some(raw.bytes))
        }
        Err(StoreError::Absent { .. }) if known => Err(CopyError::Missing {
            what: format!("manifest {}", descriptor.digest),
            place: src.place(),
        }),
        Err(StoreError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse(
    digest: &Digest,
    bytes: &[u8],
    expected: Option<&str>,
    limits: &Limits,
) -> Result<Document, CopyError> {
    let broken = |source: DocumentError| CopyError::Manifest { digest: digest.clone(), source };
    let payload = schema1::payload(expected, bytes, limits).map_err(broken)?;
    if schema1::is_signed(expected, bytes) {
        let unsound = |reason: Reason| broken(DocumentError::Malformed(reason.to_string()));
        libtrust::check(bytes, limits).map_err(unsound)?;
        let kind = expected.filter(|kind| media_type::is_schema_1(kind));
        let kind = kind.unwrap_or(media_type::DOCKER_SCHEMA_1_SIGNED);
        return Document::parse(&payload, Some(kind), limits).map_err(broken);
    }
    Document::parse(&payload, expected, limits).map_err(broken)
}

fn is_document(kind: &str) -> bool {
    media_type::is_index(kind) || media_type::is_manifest(kind) || media_type::is_schema_1(kind)
}

fn fetched(document: &Document, digest: Digest, bytes: Vec<u8>) -> Fetched {
    let descriptor = Descriptor::new(document.media_type(), digest, bytes.len() as u64);
    Fetched { descriptor, bytes, tag: None, attached: false }
}

fn known(link: &Link) -> Result<Descriptor, CopyError> {
    link.descriptor().ok_or_else(|| CopyError::Unverifiable(link.digest.to_string()))
}

fn check_size(src: &dyn Store, descriptor: &Descriptor, found: u64) -> Result<(), CopyError> {
    match found == descriptor.size {
        true => Ok(()),
        false => Err(wrong_size(src, descriptor, found)),
    }
}

fn wrong_size(src: &dyn Store, descriptor: &Descriptor, found: u64) -> CopyError {
    CopyError::Mismatch {
        what: descriptor.digest.to_string(),
        place: src.place(),
        expected: format!("{} bytes", descriptor.size),
        found: format!("{found} bytes"),
    }
}

fn check_digest(
    src: &dyn Store,
    digest: &Digest,
    kind: Option<&str>,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(), CopyError> {
    let found = manifest_digest(digest.algorithm(), kind, bytes, limits);
    match found == *digest {
        true => Ok(()),
        false => Err(CopyError::Mismatch {
            what: "a manifest".to_owned(),
            place: src.place(),
            expected: digest.to_string(),
            found: found.to_string(),
        }),
    }
}
