//! Small images, made in memory, and a walk that feeds them to a builder.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ocisign::image::Read;
use ocisign::image::{
    Depth, Digest, ImageTree, NodeKind, NodeState, Root, TreeBuilder, Want, check_reader,
    media_type as mt,
};
use ocisign::limits::Limits;
use serde_json::{Value, json};

/// Blobs by digest, and which of them is the root.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) root: Vec<u8>,
    pub(crate) root_type: Option<String>,
}

/// A descriptor of three fields.
pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::sha256(bytes).to_string(), "size": bytes.len()})
}

/// A tar of files.
pub(crate) fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

impl Image {
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// Adds an image of these layers; gives its manifest.
    pub(crate) fn add(&mut self, architecture: &str, layers: &[(&str, Vec<u8>, Digest)]) -> Value {
        let config = json!({
            "architecture": architecture, "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| l.2.to_string()).collect::<Vec<_>>()},
            "history": layers.iter().map(|_| json!({"created_by": "test"}))
                .chain([json!({"empty_layer": true})]).collect::<Vec<_>>(),
        });
        let config = config.to_string().into_bytes();
        self.put(&config);
        for (_, bytes, _) in layers {
            self.put(bytes);
        }
        json!({
            "schemaVersion": 2, "mediaType": mt::OCI_MANIFEST,
            "config": descriptor(mt::OCI_CONFIG, &config),
            "layers": layers.iter().map(|l| descriptor(l.0, &l.1)).collect::<Vec<_>>(),
        })
    }

    /// An image of one manifest.
    pub(crate) fn single(layers: &[(&str, Vec<u8>, Digest)]) -> Self {
        let mut image = Self::default();
        image.root = image.add("amd64", layers).to_string().into_bytes();
        image
    }

    /// Two platforms that share their base layer, below an index.
    pub(crate) fn multi() -> Self {
        let mut image = Self::default();
        let base = gzip_layer(&[("etc/os", b"base")]);
        let one = image.add("amd64", &[base.clone(), gzip_layer(&[("bin/a", b"amd64")])]);
        let two = image.add("arm64", &[base, zstd_layer(&[("bin/a", b"arm64")])]);
        let manifests: Vec<Value> = [("amd64", one), ("arm64", two)]
            .into_iter()
            .map(|(architecture, manifest)| {
                let bytes = manifest.to_string().into_bytes();
                image.put(&bytes);
                let mut entry = descriptor(mt::OCI_MANIFEST, &bytes);
                entry["platform"] = json!({"architecture": architecture, "os": "linux"});
                entry
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": mt::OCI_INDEX, "manifests": manifests});
        image.root = index.to_string().into_bytes();
        image
    }

    /// The root as JSON, to change it.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_slice(&self.root).unwrap()
    }

    /// The same image with another root.
    pub(crate) fn with(&self, root: &Value) -> Self {
        Self { root: root.to_string().into_bytes(), ..self.clone() }
    }

    pub(crate) fn tree(&self, depth: Depth) -> ImageTree {
        self.walk(depth, &Limits::default()).0
    }

    /// Feeds a builder until it wants no more; gives the tree and what it
    /// wanted.
    pub(crate) fn walk(&self, depth: Depth, limits: &Limits) -> (ImageTree, Vec<Want>) {
        let root = Root {
            bytes: self.root.clone(),
            media_type: self.root_type.clone(),
            digest: None,
            size: None,
        };
        self.walk_from(root, depth, limits)
    }

    pub(crate) fn walk_from(
        &self,
        root: Root,
        depth: Depth,
        limits: &Limits,
    ) -> (ImageTree, Vec<Want>) {
        let mut builder = TreeBuilder::new(root, depth, limits);
        let mut asked = Vec::new();
        while let Some(want) = builder.wants().pop() {
            match self.blobs.get(&want.digest.to_string()) {
                None => builder.missing(&want),
                Some(bytes) if want.read == Read::Document => builder.supply(&want, bytes),
                Some(bytes) => {
                    builder.supply_layer(check_reader(&want, bytes.as_slice(), limits).unwrap());
                }
            }
            assert!(!asked.contains(&want), "wanted twice: {want:?}");
            asked.push(want);
        }
        (builder.finish(), asked)
    }
}

/// A layer: its media type, its bytes, its diff id.
pub(crate) fn gzip_layer(entries: &[(&str, &[u8])]) -> (&'static str, Vec<u8>, Digest) {
    let tar = tar(entries);
    (mt::OCI_LAYER_GZIP, gzip(&tar), Digest::sha256(&tar))
}

pub(crate) fn zstd_layer(entries: &[(&str, &[u8])]) -> (&'static str, Vec<u8>, Digest) {
    let tar = tar(entries);
    (mt::OCI_LAYER_ZSTD, zstd(&tar), Digest::sha256(&tar))
}

/// The state of the first node of a kind, as a word.
pub(crate) fn state(tree: &ImageTree, kind: NodeKind) -> &'static str {
    let node = tree.shape().nodes.iter().find(|n| n.kind == kind);
    node.map_or("no node", |n| word(&n.state))
}

pub(crate) fn word(state: &NodeState) -> &'static str {
    match state {
        NodeState::Verified => "verified",
        NodeState::NotRead => "not-read",
        NodeState::Mismatch(_) => "mismatch",
        NodeState::SizeMismatch(_) => "size-mismatch",
        NodeState::Unverifiable(_) => "unverifiable",
        NodeState::Missing => "missing",
        NodeState::External(_) => "external",
        NodeState::Ambiguous(_) => "ambiguous",
        NodeState::Malformed(_) => "malformed",
        NodeState::LimitExceeded(_) => "limit-exceeded",
        NodeState::Unpinned(_) => "unpinned",
        NodeState::NotContentAddressed(_) => "not-content-addressed",
    }
}
