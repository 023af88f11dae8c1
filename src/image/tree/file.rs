//! Trees whose root is a file: images that have no manifest and are signed
//! as one file.

use std::collections::BTreeMap;

use super::ImageTree;
use super::grow::bare;
use crate::image::{
    Algorithm, Depth, Descriptor, Digest, Hasher, Node, NodeKind, NodeState, Shape,
};

/// What hashing a file whole showed. Only a [`FileHasher`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct FileCheck {
    digest: Digest,
    size: u64,
}

impl FileCheck {
    /// SHA-256 of the file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Hashes a file as it comes.
#[derive(Debug)]
pub struct FileHasher {
    hasher: Hasher,
    size: u64,
}

impl Default for FileHasher {
    fn default() -> Self {
        Self { hasher: Hasher::new(Algorithm::Sha256), size: 0 }
    }
}

impl FileHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
    }

    /// What hashing showed.
    pub fn finish(self) -> FileCheck {
        FileCheck { digest: self.hasher.finish(), size: self.size }
    }
}

impl ImageTree {
    /// A tree whose root is a file that was hashed; `state` says what is
    /// wrong with what is in it. The nodes of `below` come from this module's
    /// own readers, which hashed what they call verified; their parents are
    /// positions in the whole list, in which the root is 0.
    pub(in crate::image) fn of_file(
        check: FileCheck,
        media_type: &str,
        state: NodeState,
        depth: Depth,
        below: Vec<Node>,
    ) -> Self {
        let FileCheck { digest, size } = check;
        let mut root = bare(NodeKind::File, digest.to_string(), size, media_type.to_owned());
        root.state = state;
        let nodes = std::iter::once(root).chain(below).collect();
        Self {
            shape: Shape { depth, nodes },
            root: Descriptor::new(media_type, digest, size),
            documents: BTreeMap::new(),
            signed: BTreeMap::new(),
        }
    }

    /// Holds the file against the digest that it was asked for by.
    pub fn must_be(&mut self, asked: &Digest) {
        if self.root.digest != *asked
            && let Some(root) = self.shape.nodes.first_mut()
        {
            root.state = NodeState::Mismatch(format!("the file is {}, not {asked}", root.digest));
        }
    }
}
