//! The ancestry of the OCI image: which generation an image is of, what its
//! digest covers, and what is missing from the strongest verdict.

use std::fmt;

use serde::Serialize;

use super::{Node, NodeKind, NodeState, Shape, media_type};

/// A generation of image formats, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generation {
    /// Docker v1: layers by random ids, no digests (2013).
    DockerV1,
    /// appc: one archive, its id a SHA-512 (2014).
    Appc,
    /// Docker v2, schema 1: the first manifest (2014).
    DockerSchema1,
    /// Docker v2, schema 2: manifests, lists, configs by digest (2016).
    DockerSchema2,
    /// OCI image-spec (2017).
    Oci,
}

/// What one digest says about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressed {
    /// Every byte: manifests, configs, layers, and by the config's diff ids
    /// what the layers decompress to.
    Whole,
    /// Manifest and layers as they are stored; neither sizes nor what layers
    /// decompress to.
    Stored,
    /// One file, whatever is in it.
    File,
    /// Nothing: the format has no digests. Only the file as it lies there
    /// has one.
    Nothing,
}

impl Generation {
    /// All of them, the oldest first.
    pub const ALL: [Self; 5] =
        [Self::DockerV1, Self::Appc, Self::DockerSchema1, Self::DockerSchema2, Self::Oci];

    /// The generation of a tree, by its root's media type. `None` where the
    /// root could not be read as any.
    pub fn of(shape: &Shape) -> Option<Self> {
        let root = shape.root()?;
        match root.media_type.as_str() {
            media_type::DOCKER_V1_ARCHIVE => Some(Self::DockerV1),
            media_type::ACI => Some(Self::Appc),
            media_type::DOCKER_SCHEMA_1 | media_type::DOCKER_SCHEMA_1_SIGNED => {
                Some(Self::DockerSchema1)
            }
            media_type::DOCKER_MANIFEST | media_type::DOCKER_LIST => Some(Self::DockerSchema2),
            media_type::OCI_MANIFEST | media_type::OCI_INDEX => Some(Self::Oci),
            _ => None,
        }
    }

    /// Its name, as people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerV1 => "Docker v1",
            Self::Appc => "appc ACI",
            Self::DockerSchema1 => "Docker v2, schema 1",
            Self::DockerSchema2 => "Docker v2, schema 2",
            Self::Oci => "OCI image",
        }
    }

    /// What its digest covers.
    pub fn addressed(self) -> Addressed {
        match self {
            Self::DockerV1 => Addressed::Nothing,
            Self::Appc => Addressed::File,
            Self::DockerSchema1 => Addressed::Stored,
            Self::DockerSchema2 | Self::Oci => Addressed::Whole,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Addressed {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Whole => "every byte, from the manifest down to what layers decompress to",
            Self::Stored => "manifest and layers as they are stored; no sizes, no diff ids",
            Self::File => "the file as a whole; its uncompressed tar by the image ID",
            Self::Nothing => "nothing: ids are no digests; only the file as it lies there has one",
        }
    }
}

/// What stands between a tree and the strongest verdict, as things to do.
/// `image` is how the user names it.
pub fn needs(shape: &Shape, image: &str) -> Vec<String> {
    let mut needs = Vec::new();
    if Generation::of(shape) == Some(Generation::DockerV1) {
        needs.push(format!(
            "its ids are no digests: sign the file as it lies there (`ocisign sign --key KEY \
             {image}`), or make an image with digests of it (`ocisign convert {image} oci:DIR`)"
        ));
    }
    needs.extend(shape.nodes.iter().filter_map(need));
    needs.dedup();
    needs
}

fn need(node: &Node) -> Option<String> {
    let named = |what: &str| format!("{} {}: {what}", node.kind, node.digest);
    match &node.state {
        NodeState::Verified | NodeState::NotRead | NodeState::NotContentAddressed(_) => None,
        NodeState::Missing => Some(named("is missing; get it, or the image can't be recomputed")),
        NodeState::External(_) => {
            Some(named("lies elsewhere; read it too with `--fetch-external`"))
        }
        NodeState::Unpinned(_) => {
            Some(named("pin it: give the dependency an `imageID` and build the image again"))
        }
        NodeState::LimitExceeded(_) => Some(named("is beyond a limit of ocisign's")),
        NodeState::Mismatch(_)
        | NodeState::SizeMismatch(_)
        | NodeState::Unverifiable(_)
        | NodeState::Ambiguous(_)
        | NodeState::Malformed(_) => Some(match node.kind {
            NodeKind::File => named("is broken; get it again from its source"),
            _ => named("is not what its digest says; get the image again from its source"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Depth, Root, TreeBuilder};
    use crate::limits::Limits;

    fn tree(bytes: &[u8], kind: &str) -> Shape {
        let root = Root {
            bytes: bytes.to_vec(),
            media_type: Some(kind.to_owned()),
            digest: None,
            size: None,
        };
        TreeBuilder::new(root, Depth::Layers, &Limits::default()).finish().shape().clone()
    }

    #[test]
    fn the_roots_media_type_says_the_generation() {
        let index = |kind: &str| {
            format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[]}}"#).into_bytes()
        };
        for (kind, want) in [
            (media_type::OCI_INDEX, Generation::Oci),
            (media_type::DOCKER_LIST, Generation::DockerSchema2),
        ] {
            assert_eq!(Generation::of(&tree(&index(kind), kind)), Some(want));
        }
        assert_eq!(Generation::of(&tree(b"{}", "")), None);
    }

    #[test]
    fn what_is_broken_is_named_with_what_to_do() {
        let kind = media_type::OCI_MANIFEST;
        let missing = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{}","size":2}},"layers":[]}}"#,
            "0".repeat(64)
        );
        let needs = needs(&tree(missing.as_bytes(), kind), "oci:dir");
        assert_eq!(needs.len(), 1, "{needs:?}");
        assert!(needs[0].starts_with("config sha256:0000"), "{needs:?}");
    }
}
