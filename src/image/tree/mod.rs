//! The tree that an image spans: every digest and size recomputed, from the
//! root down.
//!
//! [`TreeBuilder`] asks for content and is fed; it knows no store and no
//! network. [`ImageTree`] is what it made of everything it was given.

mod file;
mod grow;
mod link_node;
mod read_node;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use file::{FileCheck, FileHasher};
pub(in crate::image) use grow::bare;

use super::layer::LayerCheck;
use super::want::{Read, Want};
use super::{Algorithm, Depth, Descriptor, Digest, Limits, NodeState, Shape, media_type, schema1};
use grow::{Failure, Key, Sprout};

/// An image's tree, each node with what recomputing it showed.
///
/// Only a [`TreeBuilder`] makes one; holding it is proof that no node counts
/// as verified whose bytes were not hashed.
#[derive(Debug, Clone)]
pub struct ImageTree {
    shape: Shape,
    root: Descriptor,
    documents: BTreeMap<Digest, Arc<[u8]>>,
    signed: BTreeMap<Digest, Arc<[u8]>>,
}

impl ImageTree {
    /// The nodes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The root: its digest as it was asked for, else recomputed; its size as
    /// measured; its own media type.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// The bytes of a manifest, index or image config that has this digest:
    /// of a signed schema 1 the payload.
    pub fn document(&self, digest: &Digest) -> Option<&[u8]> {
        self.documents.get(digest).map(AsRef::as_ref)
    }

    /// The signed manifests of schema 1 by their digests, as they came, with
    /// their signatures; none of these is checked here.
    pub fn signed(&self) -> impl Iterator<Item = (&Digest, &[u8])> {
        self.signed.iter().map(|(digest, bytes)| (digest, bytes.as_ref()))
    }

    /// Says of a manifest what its digest does not show: notes, or that its
    /// signatures break their format's rules. It can only get worse.
    pub fn judge(&mut self, digest: &Digest, judged: Result<Vec<String>, String>) {
        let digest = digest.to_string();
        for node in self.shape.nodes.iter_mut().filter(|n| n.digest == digest) {
            match &judged {
                Ok(notes) => node.warnings.extend(notes.iter().cloned()),
                Err(why) if node.state == NodeState::Verified => {
                    node.state = NodeState::Malformed(why.clone());
                }
                Err(_) => {}
            }
        }
    }

    /// Whether every node down to the depth is what its digest says.
    pub fn is_verified(&self) -> bool {
        let good = |state: &NodeState| matches!(state, NodeState::Verified | NodeState::NotRead);
        self.shape.nodes.iter().all(|node| good(&node.state))
    }
}

/// What a request resolved to, as the store gave it.
#[derive(Debug, Clone)]
pub struct Root {
    /// The manifest or index.
    pub bytes: Vec<u8>,
    /// The media type under which it was given: Content-Type without
    /// parameters, or that of the descriptor which points to it.
    pub media_type: Option<String>,
    /// The digest that it must have: of the request, or of the descriptor.
    pub digest: Option<Digest>,
    /// The size that it must have, where a descriptor states one.
    pub size: Option<u64>,
}

/// The walk over a tree without IO: it says what it [wants](Self::wants) and
/// goes on with what it is supplied.
///
/// ```text
/// let mut builder = TreeBuilder::new(root, depth, &limits);
/// loop {
///     let wants = builder.wants();
///     if wants.is_empty() { break builder.finish() }
///     for want in wants { /* fetch, then supply, supply_layer or missing */ }
/// }
/// ```
#[derive(Debug)]
pub struct TreeBuilder {
    depth: Depth,
    limits: Limits,
    root: Descriptor,
    sprouts: Vec<Sprout>,
    /// Nodes that wait for content.
    waiting: BTreeMap<Key, Vec<usize>>,
    /// Nodes whose content has come and was not applied yet.
    ready: Vec<usize>,
    /// Digests whose bytes were hashed and are right, with their size.
    hashed: BTreeMap<Digest, u64>,
    failures: BTreeMap<(Digest, u64), Failure>,
    contents: BTreeMap<Key, super::layer::Contents>,
    documents: BTreeMap<Digest, Arc<[u8]>>,
    /// Signed manifests of schema 1, whose payload is the document.
    signed: BTreeMap<Digest, Arc<[u8]>>,
    /// What is left of the memory for documents, in bytes.
    budget: u64,
}

impl TreeBuilder {
    /// Begins with the root. `depth` says how far down content is wanted.
    pub fn new(root: Root, depth: Depth, limits: &Limits) -> Self {
        let algorithm = root.digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let kind = root.media_type.as_deref();
        let actual = schema1::manifest_digest(algorithm, kind, &root.bytes, limits);
        let digest = root.digest.clone().unwrap_or_else(|| actual.clone());
        let media_type = root.media_type.clone().unwrap_or_default();
        let mut builder = Self {
            depth,
            limits: limits.clone(),
            root: Descriptor::new(media_type, digest, root.bytes.len() as u64),
            sprouts: Vec::new(),
            waiting: BTreeMap::new(),
            ready: Vec::new(),
            hashed: BTreeMap::new(),
            failures: BTreeMap::new(),
            contents: BTreeMap::new(),
            documents: BTreeMap::new(),
            signed: BTreeMap::new(),
            budget: limits.tree_json_bytes,
        };
        builder.plant(root, actual);
        builder
    }

    /// What is needed now: each blob once, however many nodes point to it.
    /// Empty when the tree is done.
    pub fn wants(&self) -> Vec<Want> {
        let stronger = |key: &Key| {
            let from = Key { read: Read::Blob, ..key.clone() };
            self.waiting
                .range(from..)
                .take_while(|(other, _)| {
                    (&other.digest, other.size, other.exact) == (&key.digest, key.size, key.exact)
                })
                .any(|(other, _)| other.read != Read::Blob)
        };
        let wanted =
            self.waiting.iter().filter(|(key, _)| key.read != Read::Blob || !stronger(key));
        wanted.filter_map(|(key, nodes)| self.want(key, *nodes.first()?)).collect()
    }

    fn want(&self, key: &Key, at: usize) -> Option<Want> {
        let node = &self.sprouts.get(at)?.node;
        Some(Want {
            digest: key.digest.clone(),
            size: key.size,
            exact: key.exact,
            kind: node.kind,
            media_type: node.media_type.clone(),
            urls: node.urls.clone(),
            read: key.read,
        })
    }

    /// Gives the content of a [`Read::Document`] want, which is hashed here.
    /// At most one byte more than the want's size need be read.
    ///
    /// Of a signed schema 1 the digest is that of the payload, and the size
    /// that a list states may be that of either: two forms of one manifest.
    pub fn supply(&mut self, want: &Want, bytes: &[u8]) {
        let kind = Some(want.media_type.as_str()).filter(|kind| media_type::is_schema_1(kind));
        let signed = kind.is_some_and(|_| schema1::is_signed(kind, bytes));
        let payload = match kind {
            Some(kind) => schema1::payload(Some(kind), bytes, &self.limits),
            None => Ok(bytes.into()),
        };
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => return self.fail(want, Failure::State(error.into())),
        };
        let size = bytes.len() as u64;
        if size != want.size && payload.len() as u64 != want.size {
            let text = format!("{size} bytes instead of {}", want.size);
            return self.fail(want, Failure::State(NodeState::SizeMismatch(text)));
        }
        let actual = Digest::of(want.digest.algorithm(), &payload);
        if actual != want.digest {
            return self.fail(want, Failure::State(grow::mismatch(&actual)));
        }
        if size > self.budget {
            let text = "documents take more memory than the limit".to_owned();
            return self.fail(want, Failure::State(NodeState::LimitExceeded(text)));
        }
        if signed {
            // what is signed is small where the signatures are many
            self.budget -= size;
            self.signed.insert(want.digest.clone(), bytes.into());
        }
        self.documents.insert(want.digest.clone(), payload.as_ref().into());
        self.hashed.insert(want.digest.clone(), want.size);
        self.settle(&want.digest);
    }

    /// Gives what hashing a [`Read::Blob`] or [`Read::Contents`] want showed.
    pub fn supply_layer(&mut self, check: LayerCheck) {
        use super::layer::Found;
        let LayerCheck { digest, size, exact, measured, read, found } = check;
        let state = match found {
            Found::Verified(contents) => {
                self.hashed.insert(digest.clone(), measured);
                if let Some(contents) = contents {
                    self.contents
                        .insert(Key { digest: digest.clone(), size, exact, read }, contents);
                }
                return self.settle(&digest);
            }
            Found::Mismatch(actual) => grow::mismatch(&actual),
            Found::Size(text) => NodeState::SizeMismatch(text),
            Found::Limit(text) => NodeState::LimitExceeded(text),
        };
        self.failures.insert((digest.clone(), size), Failure::State(state));
        self.settle(&digest);
    }

    /// Says that the store answered, and does not have it. Where a descriptor
    /// carries the content itself, and it was hashed, that is used.
    pub fn missing(&mut self, want: &Want) {
        match self.embedded(want) {
            Some(data) if want.read == Read::Document => self.supply(want, &data),
            Some(data) => {
                let mut hasher = super::layer::LayerHasher::new(want, &self.limits);
                hasher.update(&data);
                self.supply_layer(hasher.finish());
            }
            None => self.fail(want, Failure::Missing),
        }
    }

    /// Says that there are more bytes than the want's size.
    pub fn too_long(&mut self, want: &Want) {
        let text = format!("more than {} bytes", want.size);
        self.fail(
            want,
            Failure::State(match want.exact {
                true => NodeState::SizeMismatch(text),
                false => NodeState::LimitExceeded(text),
            }),
        );
    }

    /// Says that a bound was reached before the content was read whole.
    pub fn limit(&mut self, want: &Want, text: impl Into<String>) {
        self.fail(want, Failure::State(NodeState::LimitExceeded(text.into())));
    }

    fn fail(&mut self, want: &Want, failure: Failure) {
        self.failures.insert((want.digest.clone(), want.size), failure);
        self.settle(&want.digest);
    }

    /// The tree. What is still wanted counts as not read before a limit.
    pub fn finish(mut self) -> ImageTree {
        // A config that is given up lets its layers wait, so this may go on.
        while let Some((_, nodes)) = self.waiting.pop_first() {
            for at in nodes {
                let text = "the walk ended before it was read".to_owned();
                self.set(at, NodeState::LimitExceeded(text));
            }
        }
        let nodes = grow::in_order(self.sprouts);
        if let Some(root) = nodes.first() {
            self.root.media_type.clone_from(&root.media_type);
        }
        let shape = Shape { depth: self.depth, nodes };
        ImageTree { shape, root: self.root, documents: self.documents, signed: self.signed }
    }
}
