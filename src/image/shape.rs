//! The shape of an image: what was found at each node of its tree.
//!
//! [`Shape`] is plain data, so that a policy test can declare one and a dump
//! can be replayed. Only an `ImageTree`, which a `TreeBuilder` makes by
//! recomputing every digest, vouches for one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, Platform, media_type};

/// How deep a tree was recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Indexes, manifests and configs.
    Manifests,
    /// Also digest and size of every layer.
    Layers,
    /// Also every layer decompressed against `rootfs.diff_ids`.
    Contents,
}

impl Depth {
    /// The word on the command line and in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Layers => "layers",
            Self::Contents => "contents",
        }
    }
}

/// What a node is, as far as ocisign reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// An image index or manifest list.
    Index,
    /// An image or artifact manifest.
    Manifest,
    /// The config of a manifest, whatever its media type.
    Config,
    /// A layer of a manifest.
    Layer,
    /// A child of an index whose media type ocisign does not read: bytes
    /// are hashed, nothing below is known.
    Opaque,
    /// A file that is an image as a whole and has no manifest: an ACI, or an
    /// archive of Docker v1.
    File,
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Opaque => "opaque",
            Self::File => "file",
        })
    }
}

/// What recomputing a node showed (formats.md calls these verdict words).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "detail", rename_all = "kebab-case")]
pub enum NodeState {
    /// The bytes have the digest and the size.
    Verified,
    /// Deeper than the depth that was asked for: not looked at.
    NotRead,
    /// The bytes have another digest; the text says which one, or that a
    /// decompressed layer differs from its `diff_id`.
    Mismatch(String),
    /// The bytes are more or fewer than the descriptor says.
    SizeMismatch(String),
    /// The digest is of an algorithm that ocisign does not recompute.
    Unverifiable(String),
    /// The store does not have it.
    Missing,
    /// The store does not have it and the descriptor has `urls`.
    External(Vec<String>),
    /// One text, two meanings: index and manifest at once, duplicate keys.
    Ambiguous(String),
    /// The digest is right and the content breaks its format's rules.
    Malformed(String),
    /// A bound was reached before the node was read.
    LimitExceeded(String),
    /// Named without a digest, so that anything could be meant: an ACI's
    /// dependency without an image ID.
    Unpinned(String),
    /// The format gives it no digest of its own: an image or layer of Docker
    /// v1. The text says by what it goes instead.
    NotContentAddressed(String),
}

/// One node of the tree, reached by one path from the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Digest as the parent (or the request) states it. For a state other
    /// than verified this is a claim. A text, because it may be of an
    /// algorithm that is unknown.
    pub digest: String,
    /// Size in bytes as the parent states it; the root's is measured.
    pub size: u64,
    /// Media type as the parent states it; the root's is its own.
    pub media_type: String,
    /// What the node is.
    pub kind: NodeKind,
    /// What recomputing it showed.
    pub state: NodeState,
    /// Position of the parent in [`Shape::nodes`]; the root has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// Platform as the parent's descriptor states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_platform: Option<Platform>,
    /// For an image manifest: the platform that its config states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Artifact type: the manifest's own, else its config's media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations in the node's own document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `urls` of the parent's descriptor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The document, for manifests, indexes and image configs that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// For a layer at depth `contents`: the recomputed digest of its
    /// decompressed bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// A format rule that only asks (SHOULD) was not followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A tree as a list of nodes, parents before children, the root first.
///
/// A blob that two manifests share stands once under each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The depth that was reached for every node.
    pub depth: Depth,
    /// The nodes; never empty, the root at 0.
    pub nodes: Vec<Node>,
}

impl Shape {
    /// The root: what the request resolved to.
    pub fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// Positions of the children of node `at`.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().enumerate().filter(move |(_, n)| n.parent == Some(at)).map(|(i, _)| i)
    }

    /// Whether node `at` is an attachment: a child manifest of platform
    /// unknown/unknown whose layers, at least one, are all in-toto JSON.
    pub fn is_attachment(&self, at: usize) -> bool {
        let Some(node) = self.nodes.get(at) else { return false };
        let unknown = |p: &Platform| p.os == "unknown" && p.architecture == "unknown";
        if node.parent.is_none()
            || node.kind != NodeKind::Manifest
            || !node.declared_platform.as_ref().is_some_and(unknown)
        {
            return false;
        }
        let layers = || {
            self.children(at)
                .filter_map(|i| self.nodes.get(i))
                .filter(|n| n.kind == NodeKind::Layer)
        };
        layers().next().is_some() && layers().all(|n| n.media_type == media_type::IN_TOTO)
    }
}
