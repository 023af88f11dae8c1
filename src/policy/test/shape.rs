//! The image of a case, in short: what is not said is plausible.

use serde_json::{Map, Value, json};

use super::file::{DEPTHS, texts};
use crate::image::{Depth, Digest, Node, NodeKind, NodeState, Platform, Shape, media_type};
use crate::policy::json::{Json, Value as Form};
use crate::policy::parse::grammar::{Kind, list, one, plain};
use crate::policy::parse::{Code, Reader};

pub(super) static SHAPE: Kind = Kind {
    what: "a shape",
    fields: &[plain("depth"), one("index", &INDEX), list("images", &IMAGE)],
};

static INDEX: Kind = Kind {
    what: "an index",
    fields: &[plain("mediaType"), plain("annotations"), plain("artifactType"), plain("state")],
};

static IMAGE: Kind = Kind {
    what: "an image",
    fields: &[
        plain("platform"),
        plain("digest"),
        plain("mediaType"),
        plain("artifactType"),
        plain("annotations"),
        plain("configType"),
        plain("config"),
        list("layers", &LAYER),
        plain("state"),
    ],
};

static LAYER: Kind = Kind {
    what: "a layer",
    fields: &[plain("mediaType"), plain("size"), plain("digest"), plain("urls"), plain("state")],
};

/// Builds the tree of a case; without a description a one-platform OCI image.
pub(super) fn shape(reader: &mut Reader, node: Option<&Json>, root: &Digest) -> Option<Shape> {
    let mut builder = Builder { root, nodes: Vec::new() };
    let Some(node) = node else {
        builder.image(reader, None, 0, None)?;
        return Some(Shape { depth: Depth::Contents, nodes: builder.nodes });
    };
    reader.fields(node, &SHAPE)?;
    let depth = match node.get("depth") {
        Some(node) => reader.word(node, DEPTHS)?,
        None => Depth::Contents,
    };
    let images: Vec<Option<&Json>> = match node.get("images") {
        Some(list) => reader.list(list)?.iter().map(Some).collect(),
        None => vec![None],
    };
    let index = node.get("index");
    let parent = if index.is_some() || images.len() > 1 {
        builder.index(reader, index)?;
        Some(0)
    } else {
        None
    };
    for (i, image) in images.into_iter().enumerate() {
        builder.image(reader, image, i, parent)?;
    }
    Some(Shape { depth, nodes: builder.nodes })
}

struct Builder<'a> {
    root: &'a Digest,
    nodes: Vec<Node>,
}

impl Builder<'_> {
    fn index(&mut self, reader: &mut Reader, node: Option<&Json>) -> Option<()> {
        if let Some(node) = node {
            reader.fields(node, &INDEX)?;
        }
        let field = |key: &str| node.and_then(|n| n.get(key));
        let annotations = field("annotations").map(|n| texts(reader, Some(n))).unwrap_or_default();
        let media_type = text(reader, field("mediaType"), media_type::OCI_INDEX)?;
        let artifact_type = optional(reader, field("artifactType"))?;
        let state = state(reader, field("state"))?;
        let mut index = blank(NodeKind::Index, self.root.to_string(), &media_type, None);
        index.annotations = annotations;
        index.artifact_type = artifact_type;
        index.state = state;
        index.json = Some(json!({ "schemaVersion": 2, "mediaType": media_type }));
        self.nodes.push(index);
        Some(())
    }

    fn image(
        &mut self,
        reader: &mut Reader,
        node: Option<&Json>,
        number: usize,
        parent: Option<usize>,
    ) -> Option<()> {
        if let Some(node) = node {
            reader.fields(node, &IMAGE)?;
        }
        let field = |key: &str| node.and_then(|n| n.get(key));
        let platform = platform(&text(reader, field("platform"), "linux/amd64")?);
        let media_type = text(reader, field("mediaType"), media_type::OCI_MANIFEST)?;
        let digest = match (field("digest"), parent) {
            (Some(node), Some(_)) => reader.digest(node)?,
            (None, Some(_)) => Digest::sha256(format!("image {number}").as_bytes()),
            (Some(node), None) => {
                let help = "write it as `digest` of the request";
                reader.bad(Code::Conflict, node, "this image is the root itself", help);
                return None;
            }
            (None, None) => self.root.clone(),
        };
        let kind = match media_type::is_manifest(&media_type) {
            true => NodeKind::Manifest,
            false => NodeKind::Opaque,
        };
        let at = self.nodes.len();
        let mut image = blank(kind, digest.to_string(), &media_type, parent);
        image.declared_platform = parent.map(|_| platform.clone());
        image.annotations =
            field("annotations").map(|n| texts(reader, Some(n))).unwrap_or_default();
        image.state = state(reader, field("state"))?;
        if kind == NodeKind::Opaque {
            self.nodes.push(image);
            return Some(());
        }
        let config_type = text(reader, field("configType"), media_type::OCI_CONFIG)?;
        let artifact_type = optional(reader, field("artifactType"))?;
        image.artifact_type = Some(artifact_type.unwrap_or_else(|| config_type.clone()));
        image.platform = Some(platform.clone());
        self.nodes.push(image);
        let config = config(reader, field("config"), &platform)?;
        self.config(&config_type, config, number, at);
        self.layers(reader, field("layers"), number, at)?;
        self.manifest(at);
        Some(())
    }

    fn config(&mut self, media_type: &str, json: Value, number: usize, parent: usize) {
        let digest = Digest::sha256(format!("image {number} config").as_bytes());
        let mut node = blank(NodeKind::Config, digest.to_string(), media_type, Some(parent));
        node.size = json.to_string().len() as u64;
        // of other configs the tree keeps no document
        node.json = media_type::is_config(media_type).then_some(json);
        self.nodes.push(node);
    }

    fn layers(
        &mut self,
        reader: &mut Reader,
        node: Option<&Json>,
        number: usize,
        parent: usize,
    ) -> Option<()> {
        let Some(node) = node else {
            self.nodes.push(layer(None, media_type::OCI_LAYER_GZIP, number, 0, parent));
            return Some(());
        };
        let Form::Array(items) = &node.value else {
            reader.expected(node, "an array");
            return None;
        };
        for (i, item) in items.iter().enumerate() {
            let mut made = match item.as_str() {
                Some(media_type) => layer(None, media_type, number, i, parent),
                None => {
                    reader.fields(item, &LAYER)?;
                    let digest = match item.get("digest") {
                        Some(node) => Some(reader.digest(node)?),
                        None => None,
                    };
                    let of = text(reader, item.get("mediaType"), media_type::OCI_LAYER_GZIP)?;
                    layer(digest, &of, number, i, parent)
                }
            };
            if let Some(size) = item.get("size") {
                made.size = reader.integer(size, 0, u64::MAX)?;
            }
            if let Some(urls) = item.get("urls") {
                made.urls = reader.set(urls, |r, n| r.text(n))?.into_iter().collect();
            }
            made.state = state(reader, item.get("state"))?;
            self.nodes.push(made);
        }
        Some(())
    }

    /// Gives the manifest at `at` the document that its children make.
    fn manifest(&mut self, at: usize) {
        let below = |kind: NodeKind| {
            let all = self.nodes.iter().filter(move |n| n.parent == Some(at) && n.kind == kind);
            all.map(|n| json!({ "mediaType": n.media_type, "digest": n.digest, "size": n.size }))
                .collect::<Vec<_>>()
        };
        let config = below(NodeKind::Config).pop().unwrap_or_default();
        let layers = below(NodeKind::Layer);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let mut json = json!({ "schemaVersion": 2, "mediaType": node.media_type,
            "config": config, "layers": layers });
        if let (false, Some(json)) = (node.annotations.is_empty(), json.as_object_mut()) {
            json.insert("annotations".to_owned(), json!(node.annotations));
        }
        node.json = Some(json);
    }
}

fn blank(kind: NodeKind, digest: String, media_type: &str, parent: Option<usize>) -> Node {
    Node {
        digest,
        size: 1024,
        media_type: media_type.to_owned(),
        kind,
        state: NodeState::Verified,
        parent,
        declared_platform: None,
        platform: None,
        artifact_type: None,
        annotations: Default::default(),
        urls: Vec::new(),
        json: None,
        diff_id: None,
        warnings: Vec::new(),
    }
}

fn layer(digest: Option<Digest>, of: &str, image: usize, number: usize, parent: usize) -> Node {
    let digest = digest
        .unwrap_or_else(|| Digest::sha256(format!("image {image} layer {number}").as_bytes()));
    blank(NodeKind::Layer, digest.to_string(), of, Some(parent))
}

/// The config of an image for `platform`, with the fields given put over it.
fn config(reader: &mut Reader, node: Option<&Json>, platform: &Platform) -> Option<Value> {
    let mut config = Map::new();
    config.insert("architecture".to_owned(), platform.architecture.as_str().into());
    config.insert("os".to_owned(), platform.os.as_str().into());
    if let Some(variant) = &platform.variant {
        config.insert("variant".to_owned(), variant.as_str().into());
    }
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [] }));
    for member in node.and_then(|n| reader.map(n)).unwrap_or_default() {
        config.insert(member.key.clone(), member.value.to_value());
    }
    Some(Value::Object(config))
}

fn platform(text: &str) -> Platform {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    let os = parts.next().unwrap_or_default();
    let architecture = parts.next().unwrap_or_default();
    Platform { os, architecture, variant: parts.next(), os_version: None }
}

fn text(reader: &mut Reader, node: Option<&Json>, default: &str) -> Option<String> {
    Some(optional(reader, node)?.unwrap_or_else(|| default.to_owned()))
}

/// `None` where a problem was added.
fn optional(reader: &mut Reader, node: Option<&Json>) -> Option<Option<String>> {
    match node {
        Some(node) => reader.text(node).map(Some),
        None => Some(None),
    }
}

fn state(reader: &mut Reader, node: Option<&Json>) -> Option<NodeState> {
    let Some(node) = node else { return Some(NodeState::Verified) };
    let declared = || "declared in the test".to_owned();
    let words: &[(&str, u8)] = &[
        ("verified", 0),
        ("not-read", 1),
        ("mismatch", 2),
        ("size-mismatch", 3),
        ("unverifiable", 4),
        ("missing", 5),
        ("external", 6),
        ("ambiguous", 7),
        ("malformed", 8),
        ("limit-exceeded", 9),
    ];
    Some(match reader.word(node, words)? {
        1 => NodeState::NotRead,
        2 => NodeState::Mismatch(declared()),
        3 => NodeState::SizeMismatch(declared()),
        4 => NodeState::Unverifiable(declared()),
        5 => NodeState::Missing,
        6 => NodeState::External(Vec::new()),
        7 => NodeState::Ambiguous(declared()),
        8 => NodeState::Malformed(declared()),
        9 => NodeState::LimitExceeded(declared()),
        _ => NodeState::Verified,
    })
}
