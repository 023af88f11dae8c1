//! The nodes of the demo image, by what they are.

use super::*;

/// One node of the image's own tree: its digest and where it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Child,
    Config,
    Layer,
}

impl Node {
    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }

    /// The request that fetches it.
    pub(crate) fn request(&self) -> String {
        let folder = match self.kind {
            Kind::Root | Kind::Child => "manifests",
            Kind::Config | Kind::Layer => "blobs",
        };
        format!("GET /v2/{REPOSITORY}/{folder}/{}", self.digest())
    }
}

/// Every node of the demo image, each once.
pub(crate) fn nodes() -> Vec<Node> {
    let (_, blobs) = demo();
    let values: Vec<(Vec<u8>, Value)> = blobs
        .into_iter()
        .map(|bytes| (bytes.clone(), serde_json::from_slice(&bytes).unwrap_or_default()))
        .filter(|(bytes, value)| !is_signature(bytes, value))
        .collect();
    let nodes = values.into_iter().map(|(bytes, value)| {
        let kind = match &value {
            value if value.get("manifests").is_some() => Kind::Root,
            value if value.get("layers").is_some() => Kind::Child,
            value if value.get("rootfs").is_some() => Kind::Config,
            _ => Kind::Layer,
        };
        Node { kind, bytes }
    });
    nodes.collect()
}

/// The first node of a kind.
pub(crate) fn a(kind: Kind) -> Node {
    nodes().into_iter().find(|node| node.kind == kind).unwrap()
}

fn is_signature(bytes: &[u8], value: &Value) -> bool {
    value.get("subject").is_some() || value.get("dsseEnvelope").is_some() || bytes == b"{}"
}

#[test]
fn the_demo_image_has_a_node_of_each_kind() {
    let count = |kind| nodes().iter().filter(|node| node.kind == kind).count();
    let counts = [Kind::Root, Kind::Child, Kind::Config, Kind::Layer].map(count);
    assert_eq!(counts, [1, 2, 2, 3], "an index over two images that share a layer");
}
