//! From a descriptor to a node: what must be wrong with it, or can be known
//! of it, before any content is read.

use std::collections::BTreeMap;

use super::TreeBuilder;
use super::grow::{Sprout, bare};
use crate::image::want::{Compression, Read};
use crate::image::{Algorithm, Depth, Digest, Link, NodeKind, NodeState, StatedDigest, media_type};

impl TreeBuilder {
    /// Appends a child; says where. It does not wait for content yet.
    pub(super) fn append(&mut self, parent: usize, kind: NodeKind, link: Link) -> usize {
        let at = self.sprouts.len();
        let known = link.digest.known().cloned();
        let mut sprout =
            Sprout::new(bare(kind, link.digest.to_string(), link.size, link.media_type));
        sprout.node.parent = Some(parent);
        sprout.node.declared_platform = link.platform;
        if link.urls.iter().any(|u| !u.starts_with("https://") && !u.starts_with("http://")) {
            sprout.node.warnings.push("`urls` should be of http or https".to_owned());
        }
        sprout.node.urls = link.urls;
        if let Some(above) = self.sprouts.get_mut(parent) {
            above.children.push(at);
            sprout.indexes = above.indexes + usize::from(kind == NodeKind::Index);
        }
        match self.refuse(&sprout, &link.digest) {
            Some(state) => sprout.node.state = state,
            None => {
                sprout.read = self.reading(kind, &sprout.node.media_type);
                if let (Some(digest), Some(data)) = (known, link.data) {
                    embed(&mut sprout, &digest, data);
                }
            }
        }
        self.sprouts.push(sprout);
        at
    }

    /// Appends a layer whose parent states no size.
    pub(super) fn append_unsized(&mut self, parent: usize, digest: StatedDigest) -> usize {
        let link = Link {
            media_type: media_type::DOCKER_SCHEMA_1_LAYER.to_owned(),
            digest,
            size: 0,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
            urls: Vec::new(),
            data: None,
        };
        let at = self.append(parent, NodeKind::Layer, link);
        if let Some(sprout) = self.sprouts.get_mut(at) {
            sprout.sized = false;
            // there are no diff ids to hold it against: its tar is walked, and
            // what it decompresses to is told
            if sprout.read.is_some() && self.depth == Depth::Contents {
                sprout.read = Some(Read::Contents(Compression::Gzip, Algorithm::Sha256));
            }
        }
        at
    }

    /// Why a node need not be read to be refused.
    fn refuse(&self, sprout: &Sprout, digest: &StatedDigest) -> Option<NodeState> {
        let node = &sprout.node;
        if let StatedDigest::Unknown(text) = digest {
            let algorithm = text.split(':').next().unwrap_or_default();
            let algorithm: String = algorithm.chars().take(64).collect();
            return Some(NodeState::Unverifiable(format!("algorithm `{algorithm}`")));
        }
        if node.kind == NodeKind::Index && sprout.indexes > self.limits.index_depth {
            let text = format!("indexes nest deeper than {}", self.limits.index_depth);
            return Some(NodeState::LimitExceeded(text));
        }
        let (name, max) = match node.kind {
            NodeKind::Index | NodeKind::Manifest => ("a manifest", self.limits.manifest_bytes),
            NodeKind::Config if media_type::is_config(&node.media_type) => {
                ("an image config", self.limits.config_bytes)
            }
            NodeKind::Config | NodeKind::Layer | NodeKind::Opaque | NodeKind::File => return None,
        };
        let text = || format!("{name} of {} bytes; at most {max} are read", node.size);
        (node.size > max).then(|| NodeState::LimitExceeded(text()))
    }

    /// How a node of this kind is read; `None` below the depth asked for.
    fn reading(&self, kind: NodeKind, media_type: &str) -> Option<Read> {
        match kind {
            NodeKind::Index | NodeKind::Manifest => Some(Read::Document),
            NodeKind::Config if media_type::is_config(media_type) => Some(Read::Document),
            // MUST NOT be parsed, and MUST NOT be an error (manifest.md,
            // `config`; image-index.md, `manifests`).
            NodeKind::Config | NodeKind::Opaque => Some(Read::Blob),
            // only a root is a file, and nobody links to one
            NodeKind::File => None,
            NodeKind::Layer if self.depth == Depth::Manifests => None,
            NodeKind::Layer => Some(Read::Blob),
        }
    }
}

/// Holds embedded content against the descriptor that carries it.
fn embed(sprout: &mut Sprout, digest: &Digest, data: Vec<u8>) {
    let node = &mut sprout.node;
    if data.len() as u64 != node.size {
        let text =
            format!("the descriptor's `data` has {} bytes instead of {}", data.len(), node.size);
        node.state = NodeState::SizeMismatch(text);
    } else if !digest.matches(&data) {
        let actual = Digest::of(digest.algorithm(), &data);
        node.state = NodeState::Mismatch(format!("the descriptor's `data` is {actual}"));
    } else {
        sprout.data = Some(data);
        return;
    }
    sprout.read = None;
}
