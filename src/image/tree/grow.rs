//! How the tree grows: nodes are placed, wait for content, and take it.

use std::collections::BTreeMap;

use super::{Root, TreeBuilder};
use crate::image::want::{Read, Want};
use crate::image::{Digest, Node, NodeKind, NodeState, StatedDigest, media_type, schema1};

/// What identifies a fetch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) digest: Digest,
    /// The size that is stated, or the most that is read.
    pub(super) size: u64,
    pub(super) exact: bool,
    pub(super) read: Read,
}

impl Key {
    /// The first of the keys of this digest, in their order.
    pub(super) fn first(digest: &Digest) -> Self {
        Self { digest: digest.clone(), size: 0, exact: false, read: Read::Blob }
    }
}

/// Why content did not come.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    State(NodeState),
    /// The store does not have it; what that means depends on the node's
    /// `urls`.
    Missing,
}

/// A node that grows.
#[derive(Debug)]
pub(super) struct Sprout {
    pub(super) node: Node,
    pub(super) children: Vec<usize>,
    /// How its content is to be read; `None` if it is not.
    pub(super) read: Option<Read>,
    /// Indexes from the root to here, this one included.
    pub(super) indexes: usize,
    /// The content as its parent's descriptor carries it; right by digest and
    /// size.
    pub(super) data: Option<Vec<u8>>,
    /// For a layer at depth `contents`: what its config says.
    pub(super) diff_id: Option<StatedDigest>,
    /// For a layer: whether it waits for its config before its content.
    pub(super) held: bool,
    /// Whether its parent states its size.
    pub(super) sized: bool,
}

impl Sprout {
    pub(super) fn new(node: Node) -> Self {
        Self {
            node,
            children: Vec::new(),
            read: None,
            indexes: 0,
            data: None,
            diff_id: None,
            held: false,
            sized: true,
        }
    }
}

/// A node of which nothing but the descriptor is known.
pub(in crate::image) fn bare(
    kind: NodeKind,
    digest: String,
    size: u64,
    media_type: String,
) -> Node {
    Node {
        digest,
        size,
        media_type,
        kind,
        state: NodeState::NotRead,
        parent: None,
        declared_platform: None,
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
        urls: Vec::new(),
        json: None,
        diff_id: None,
        warnings: Vec::new(),
    }
}

pub(super) fn mismatch(actual: &Digest) -> NodeState {
    NodeState::Mismatch(format!("the bytes are {actual}"))
}

impl TreeBuilder {
    /// Places the root, whose bytes are here already.
    pub(super) fn plant(&mut self, root: Root, actual: Digest) {
        let signed = schema1::is_signed(root.media_type.as_deref(), &root.bytes);
        let claimed = match signed {
            true => Some(media_type::DOCKER_SCHEMA_1_SIGNED.to_owned()),
            false => root.media_type.filter(|kind| !media_type::says_nothing(kind)),
        };
        let kind = match claimed.as_deref() {
            Some(kind) if media_type::is_index(kind) => NodeKind::Index,
            _ => NodeKind::Manifest,
        };
        let (digest, size) = (self.root.digest.clone(), self.root.size);
        let node = bare(kind, digest.to_string(), size, claimed.clone().unwrap_or_default());
        let mut sprout = Sprout::new(node);
        sprout.read = Some(Read::Document);
        sprout.indexes = 1;
        self.sprouts.push(sprout);
        if size > self.limits.manifest_bytes {
            let max = self.limits.manifest_bytes;
            let text = format!("a manifest of {size} bytes; at most {max} are read");
            return self.set(0, NodeState::LimitExceeded(text));
        }
        if let Some(stated) = root.size.filter(|stated| *stated != size) {
            let text = format!("{size} bytes instead of {stated}");
            return self.set(0, NodeState::SizeMismatch(text));
        }
        let payload = match schema1::payload(claimed.as_deref(), &root.bytes, &self.limits) {
            Ok(payload) => payload.into_owned(),
            Err(error) => return self.set(0, error.into()),
        };
        if actual != digest {
            return self.set(0, mismatch(&actual));
        }
        if signed {
            self.budget = self.budget.saturating_sub(size);
            self.signed.insert(digest.clone(), root.bytes.into());
        }
        self.documents.insert(digest.clone(), payload.into());
        self.hashed.insert(digest.clone(), size);
        self.take_document(0, &digest, claimed.as_deref());
        self.drain();
    }

    /// Lets a placed node wait for its content, or take it if it is here.
    pub(super) fn await_content(&mut self, at: usize) {
        let Some(key) = self.key(at) else { return };
        if self.is_here(&key) {
            self.ready.push(at);
        } else {
            self.waiting.entry(key).or_default().push(at);
        }
    }

    fn key(&self, at: usize) -> Option<Key> {
        let sprout = self.sprouts.get(at)?;
        let digest = sprout.node.digest.parse().ok()?;
        let (size, exact) = match sprout.sized {
            true => (sprout.node.size, true),
            false => (self.limits.unsized_layer_bytes, false),
        };
        Some(Key { digest, size, exact, read: sprout.read? })
    }

    /// Whether it is known how this fetch ends.
    fn is_here(&self, key: &Key) -> bool {
        if self.failures.contains_key(&(key.digest.clone(), key.size)) {
            return true;
        }
        match self.hashed.get(&key.digest) {
            None => false,
            Some(size) if key.exact && *size != key.size => true,
            Some(_) => match key.read {
                Read::Blob => true,
                Read::Document => self.documents.contains_key(&key.digest),
                Read::Contents(..) => self.contents.contains_key(key),
            },
        }
    }

    /// Applies news about a digest to all that wait for it, and to whatever
    /// grows from that.
    pub(super) fn settle(&mut self, digest: &Digest) {
        let of_digest = self.waiting.range(Key::first(digest)..).map(|(key, _)| key);
        let here: Vec<Key> = of_digest
            .take_while(|key| key.digest == *digest)
            .filter(|key| self.is_here(key))
            .cloned()
            .collect();
        for key in here {
            self.ready.extend(self.waiting.remove(&key).unwrap_or_default());
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(at) = self.ready.pop() {
            if let Some(key) = self.key(at) {
                self.take(at, &key);
            }
        }
    }

    /// Applies what is known of its content to a node.
    fn take(&mut self, at: usize, key: &Key) {
        let measured = self.hashed.get(&key.digest).copied();
        if let (false, Some(size), Some(sprout)) = (key.exact, measured, self.sprouts.get_mut(at)) {
            sprout.node.size = size;
        }
        match self.hashed.get(&key.digest) {
            Some(size) if key.exact && *size != key.size => {
                let text = format!("{size} bytes instead of {}", key.size);
                return self.set(at, NodeState::SizeMismatch(text));
            }
            // Right bytes were seen once; a failure of another fetch of the
            // same content does not undo that.
            Some(_) if key.read == Read::Blob => return self.take_blob(at),
            _ => {}
        }
        if let Some(document) = self.documents.get(&key.digest)
            && key.read == Read::Document
            && (document.len() as u64 == key.size || self.signed.contains_key(&key.digest))
        {
            return self.take_content(at, key);
        }
        match self.failures.get(&(key.digest.clone(), key.size)) {
            Some(Failure::State(state)) => self.set(at, state.clone()),
            Some(Failure::Missing) => {
                let urls = self.sprouts.get(at).map(|s| s.node.urls.clone()).unwrap_or_default();
                let state = match urls.is_empty() {
                    true => NodeState::Missing,
                    false => NodeState::External(urls),
                };
                self.set(at, state);
            }
            None => self.take_content(at, key),
        }
    }

    /// Gives a node its state. A config that has one, whichever, lets the
    /// layers beside it go on.
    pub(super) fn set(&mut self, at: usize, state: NodeState) {
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        sprout.node.state = state;
        if sprout.node.kind == NodeKind::Config
            && let Some(parent) = sprout.node.parent
        {
            self.release_layers(parent, None);
        }
    }

    /// The content that a descriptor of a waiting node carries itself.
    pub(super) fn embedded(&mut self, want: &Want) -> Option<Vec<u8>> {
        let first = Key { size: want.size, ..Key::first(&want.digest) };
        let keys = self.waiting.range(first..);
        let nodes = keys
            .take_while(|(key, _)| key.digest == want.digest && key.size == want.size)
            .flat_map(|(_, nodes)| nodes);
        let nodes: Vec<usize> = nodes.copied().collect();
        let data = nodes.iter().find_map(|at| self.sprouts.get(*at)?.data.clone())?;
        for at in nodes {
            self.warn(at, "the store does not have it; the descriptor's `data` was used");
        }
        Some(data)
    }

    pub(super) fn warn(&mut self, at: usize, text: &str) {
        if let Some(sprout) = self.sprouts.get_mut(at) {
            sprout.node.warnings.push(text.to_owned());
        }
    }
}

/// The nodes in the order of a walk from the root, each before its children.
/// The order in which content came leaves no trace.
pub(super) fn in_order(sprouts: Vec<Sprout>) -> Vec<Node> {
    let mut sprouts: Vec<Option<Sprout>> = sprouts.into_iter().map(Some).collect();
    let mut nodes: Vec<Node> = Vec::with_capacity(sprouts.len());
    let mut todo = vec![(0, None)];
    while let Some((at, parent)) = todo.pop() {
        let Some(mut sprout) = sprouts.get_mut(at).and_then(Option::take) else { continue };
        sprout.node.parent = parent;
        let place = nodes.len();
        todo.extend(sprout.children.iter().rev().map(|child| (*child, Some(place))));
        nodes.push(sprout.node);
    }
    nodes
}
