//! What a node learns from its content, once the content has been hashed.

use super::TreeBuilder;
use super::grow::Key;
use crate::image::layer::{Contents, Fault};
use crate::image::want::{Compression, Read};
use crate::image::{
    Depth, Digest, Document, DocumentError, ImageConfig, Index, Manifest, NodeKind, NodeState,
    Platform, Schema1, StatedDigest, media_type,
};

/// Memory that one value or key of a document takes at most, on average.
const VALUE: u64 = 64;

impl TreeBuilder {
    pub(super) fn take_content(&mut self, at: usize, key: &Key) {
        match key.read {
            Read::Blob => self.take_blob(at),
            Read::Contents(..) => self.take_contents(at, key),
            Read::Document => {
                let Some(sprout) = self.sprouts.get(at) else { return };
                if sprout.node.kind == NodeKind::Config {
                    return self.take_config(at, &key.digest);
                }
                let expected = sprout.node.media_type.clone();
                self.take_document(at, &key.digest, Some(&expected));
            }
        }
    }

    /// Reads a manifest or index and places its children.
    pub(super) fn take_document(&mut self, at: usize, digest: &Digest, expected: Option<&str>) {
        let Some(bytes) = self.documents.get(digest).cloned() else { return };
        let document =
            self.spend(&bytes).and_then(|()| Document::parse(&bytes, expected, &self.limits));
        let document = match document {
            Ok(document) => document,
            Err(error) => return self.set(at, error.into()),
        };
        self.keep_json(at, &bytes);
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        document.media_type().clone_into(&mut sprout.node.media_type);
        match document {
            Document::Index(index) => self.take_index(at, index),
            Document::Manifest(manifest) => self.take_manifest(at, manifest),
            Document::Schema1(manifest, _) => self.take_schema_1(at, manifest),
        }
    }

    fn take_index(&mut self, at: usize, index: Index) {
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        sprout.node.kind = NodeKind::Index;
        sprout.node.artifact_type = index.artifact_type;
        sprout.node.annotations = index.annotations;
        sprout.node.warnings.extend(index.warnings);
        if !self.has_room(at, index.manifests.len()) {
            return;
        }
        self.set(at, NodeState::Verified);
        for link in index.manifests {
            let kind = match link.media_type.as_str() {
                kind if media_type::is_index(kind) => NodeKind::Index,
                kind if media_type::is_manifest(kind) || media_type::is_schema_1(kind) => {
                    NodeKind::Manifest
                }
                _ => NodeKind::Opaque,
            };
            let child = self.append(at, kind, link);
            self.await_content(child);
        }
    }

    fn take_manifest(&mut self, at: usize, manifest: Manifest) {
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        sprout.node.kind = NodeKind::Manifest;
        sprout.node.artifact_type = Some(manifest.artifact_type().to_owned());
        sprout.node.annotations = manifest.annotations;
        sprout.node.warnings.extend(manifest.warnings);
        if !self.has_room(at, manifest.layers.len() + 1) {
            return;
        }
        self.set(at, NodeState::Verified);
        let is_image = media_type::is_config(&manifest.config.media_type);
        let config = self.append(at, NodeKind::Config, manifest.config);
        let mut layers = Vec::with_capacity(manifest.layers.len());
        for link in manifest.layers {
            layers.push(self.append(at, NodeKind::Layer, link));
        }
        // At depth contents a layer waits until its config says what it
        // decompresses to.
        let hold = self.depth == Depth::Contents
            && is_image
            && self.sprouts.get(config).is_some_and(|s| s.read.is_some());
        for layer in layers {
            match self.sprouts.get_mut(layer) {
                Some(sprout) if hold => sprout.held = true,
                _ => self.await_content(layer),
            }
        }
        self.await_content(config);
    }

    /// Schema 1 has no config and no diff ids, and says no sizes.
    fn take_schema_1(&mut self, at: usize, manifest: Schema1) {
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        sprout.node.kind = NodeKind::Manifest;
        sprout.node.warnings.extend(manifest.warnings);
        let (name, tag) = (&manifest.name, &manifest.tag);
        let name: String = format!("{name}:{tag}").chars().take(160).collect();
        sprout.node.warnings.push(format!("it calls itself `{name}`, which nobody checks"));
        if !self.has_room(at, manifest.layers.len()) {
            return;
        }
        self.set(at, NodeState::Verified);
        self.take_platform(at, &manifest.platform, "its history");
        for layer in manifest.layers {
            let child = self.append_unsized(at, layer.digest);
            self.await_content(child);
        }
    }

    /// Whether `more` nodes may be added; else says so at the node.
    fn has_room(&mut self, at: usize, more: usize) -> bool {
        if self.sprouts.len().saturating_add(more) <= self.limits.tree_nodes {
            return true;
        }
        let text = format!("the tree has more than {} nodes", self.limits.tree_nodes);
        self.set(at, NodeState::LimitExceeded(text));
        false
    }

    /// Reads an image config, and holds its manifest's layers against it.
    fn take_config(&mut self, at: usize, digest: &Digest) {
        let Some(bytes) = self.documents.get(digest).cloned() else { return };
        let Some(parent) = self.sprouts.get(at).and_then(|s| s.node.parent) else { return };
        let config = self.spend(&bytes).and_then(|()| ImageConfig::parse(&bytes, &self.limits));
        let config = match config {
            Ok(config) => config,
            Err(error) => return self.set(at, error.into()),
        };
        self.keep_json(at, &bytes);
        self.take_platform(parent, &config.platform, "the config");
        let layers = self.layers(parent).len();
        match config.check_counts(layers) {
            Ok(()) => {
                self.release_layers(parent, Some(config.diff_ids));
                self.set(at, NodeState::Verified);
            }
            Err(text) => self.set(at, NodeState::Malformed(text)),
        }
    }

    fn take_platform(&mut self, manifest: usize, platform: &Platform, whose: &str) {
        let Some(sprout) = self.sprouts.get_mut(manifest) else { return };
        if let Some(declared) = &sprout.node.declared_platform {
            let variant = match (&declared.variant, &platform.variant) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            let same = declared.os == platform.os && declared.architecture == platform.architecture;
            if !same || !variant {
                let text = format!("the index says platform {declared}, {whose} {platform}");
                sprout.node.warnings.push(text);
            }
        }
        sprout.node.platform = Some(platform.clone());
    }

    /// Lets the held layers of a manifest go on, with their diff ids if the
    /// config has one for each.
    pub(super) fn release_layers(&mut self, manifest: usize, diff_ids: Option<Vec<StatedDigest>>) {
        let mut diff_ids = diff_ids.unwrap_or_default().into_iter();
        for at in self.layers(manifest) {
            let Some(sprout) = self.sprouts.get_mut(at) else { continue };
            if !std::mem::take(&mut sprout.held) {
                continue;
            }
            sprout.diff_id = diff_ids.next();
            let compression = Compression::of(&sprout.node.media_type);
            if let (Some(StatedDigest::Known(id)), Some(how)) = (&sprout.diff_id, compression) {
                sprout.read = Some(Read::Contents(how, id.algorithm()));
            }
            self.await_content(at);
        }
    }

    fn layers(&self, manifest: usize) -> Vec<usize> {
        let is_layer =
            |at: &usize| self.sprouts.get(*at).is_some_and(|s| s.node.kind == NodeKind::Layer);
        let children = self.sprouts.get(manifest).map(|s| s.children.as_slice());
        children.unwrap_or_default().iter().copied().filter(is_layer).collect()
    }

    /// The bytes are right, and nobody decompressed them.
    pub(super) fn take_blob(&mut self, at: usize) {
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        let state = match &sprout.diff_id {
            None => NodeState::Verified,
            // BuildKit's in-toto layers and the like: stored as they are, so
            // that the diff id is the digest.
            Some(StatedDigest::Known(id)) if id.to_string() == sprout.node.digest => {
                sprout.node.diff_id = Some(id.clone());
                NodeState::Verified
            }
            Some(StatedDigest::Known(_)) => {
                let kind: String = sprout.node.media_type.chars().take(80).collect();
                NodeState::Unverifiable(format!("layers of type `{kind}` are not decompressed"))
            }
            Some(StatedDigest::Unknown(id)) => {
                let id: String = id.chars().take(80).collect();
                NodeState::Unverifiable(format!("`diff_id` `{id}` is of an unknown algorithm"))
            }
        };
        self.set(at, state);
    }

    fn take_contents(&mut self, at: usize, key: &Key) {
        let Some(contents) = self.contents.get(key) else { return };
        let Some(sprout) = self.sprouts.get_mut(at) else { return };
        let state = match contents {
            Contents::Failed(fault) => fault.clone().into(),
            Contents::Read { diff_id, tar } => {
                sprout.node.diff_id = Some(diff_id.clone());
                match (&sprout.diff_id, tar) {
                    (Some(StatedDigest::Known(stated)), _) if stated != diff_id => {
                        NodeState::Mismatch(format!(
                            "decompressed it is {diff_id}, and its `diff_id` is {stated}"
                        ))
                    }
                    (_, Some(fault)) => fault.clone().into(),
                    (_, None) => NodeState::Verified,
                }
            }
        };
        self.set(at, state);
    }

    /// Takes the memory of one more document in the shape from what is left:
    /// a blob that many nodes point to is read once and stands there often.
    fn spend(&mut self, bytes: &[u8]) -> Result<(), DocumentError> {
        let values = bytes.iter().filter(|b| matches!(b, b',' | b':' | b'[' | b'{')).count();
        let cost = bytes.len() as u64 + VALUE * values as u64;
        if let Some(left) = self.budget.checked_sub(cost) {
            self.budget = left;
            return Ok(());
        }
        self.budget = 0;
        Err(DocumentError::Limit("documents take more memory than the limit".to_owned()))
    }

    fn keep_json(&mut self, at: usize, bytes: &[u8]) {
        if let Some(sprout) = self.sprouts.get_mut(at) {
            sprout.node.json = serde_json::from_slice(bytes).ok();
        }
    }
}

impl From<DocumentError> for NodeState {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Ambiguous(text) => Self::Ambiguous(text),
            DocumentError::Malformed(text) => Self::Malformed(text),
            DocumentError::Limit(text) => Self::LimitExceeded(text),
        }
    }
}

impl From<Fault> for NodeState {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(text) => Self::Malformed(text),
            Fault::Limit(text) => Self::LimitExceeded(text),
        }
    }
}
