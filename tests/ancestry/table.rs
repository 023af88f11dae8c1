//! The table, and how the images in it are made.

use ocisign::evidence::Format;
use ocisign::image::{Digest, Generation, media_type};
use serde_json::Value;

use super::build;
use super::common::registry::{Options, Registry};
use super::common::run::{Sandbox, source};
use super::schema1;
use super::subject::{REPOSITORY, Subject};

/// What must come of one format of images.
pub(crate) struct Row {
    /// The format, in the README's words.
    pub(crate) image: &'static str,
    pub(crate) generation: Generation,
    /// The formats of signatures that it can have.
    pub(crate) signed: &'static [Format],
    /// What an allow says about it, in the README's words. It names every part.
    pub(crate) proves: &'static str,
    /// The parts of which no byte can change unnoticed.
    pub(crate) parts: &'static [&'static str],
    pub(crate) make: fn() -> Subject,
}

/// In a store for signatures beside the image.
const STORED: &[Format] = &[Format::Sigstore, Format::Cosign, Format::Simple];
/// In a bundle beside the file, or in a lookaside.
const FILE: &[Format] = &[Format::Sigstore, Format::Simple];

/// The formats, the oldest first.
pub(crate) const TABLE: &[Row] = &[
    Row {
        image: "Docker v1: `docker save` before 1.10",
        generation: Generation::DockerV1,
        signed: FILE,
        proves: "nothing until the file is signed, then every byte of it: json, layer, names",
        parts: &["json", "layer", "names"],
        make: docker_v1,
    },
    Row {
        image: "appc (`aci:FILE`)",
        generation: Generation::Appc,
        signed: &[Format::Sigstore, Format::Simple, Format::Appc],
        proves: "every byte of the file, manifest and rootfs alike; dependencies by image ID",
        parts: &["manifest", "rootfs"],
        make: aci,
    },
    Row {
        image: "Docker v2 schema 1, unsigned",
        generation: Generation::DockerSchema1,
        signed: STORED,
        proves: "every byte of the manifest and its layers",
        parts: &["manifest", "layer"],
        make: || schema_1(false),
    },
    Row {
        image: "Docker v2 schema 1, signed (libtrust)",
        generation: Generation::DockerSchema1,
        signed: STORED,
        proves: "the same, and that the JWS inside the manifest holds; it is trust only in a key that a policy pins",
        parts: &["manifest", "layer"],
        make: || schema_1(true),
    },
    Row {
        image: "Docker v2 schema 2, in a registry",
        generation: Generation::DockerSchema2,
        signed: STORED,
        proves: "every byte of lists, manifests, configs and layers",
        parts: &["list", "manifest", "config", "layer"],
        make: || in_registry("docker"),
    },
    Row {
        image: "Docker v2 schema 2, in a layout",
        generation: Generation::DockerSchema2,
        signed: STORED,
        proves: "the same: list, manifests, configs, layers",
        parts: &["list", "manifest", "config", "layer"],
        make: || layout("docker", "oci:docker"),
    },
    Row {
        image: "`docker save` 1.10 to 24, podman, skopeo",
        generation: Generation::Oci,
        signed: FILE,
        proves: "every byte of config and layers, by a manifest that is derived from them",
        parts: &["config", "layer"],
        make: docker_save,
    },
    Row {
        image: "`docker save` since 25",
        generation: Generation::Oci,
        signed: FILE,
        proves: "every byte of manifest, config and layers; manifest.json must say the same",
        parts: &["manifest", "config", "layer"],
        make: docker_save_25,
    },
    Row {
        image: "OCI, in a registry",
        generation: Generation::Oci,
        signed: STORED,
        proves: "every byte of indexes, manifests, configs and layers",
        parts: &["index", "manifest", "config", "layer"],
        make: || in_registry("unsigned"),
    },
    Row {
        image: "OCI, in a layout (`oci:DIR`)",
        generation: Generation::Oci,
        signed: STORED,
        proves: "the same: index, manifests, configs, layers",
        parts: &["index", "manifest", "config", "layer"],
        make: || layout("unsigned", "oci:unsigned:v1"),
    },
    Row {
        image: "OCI, a layout packed into an archive (`oci-archive:FILE`)",
        generation: Generation::Oci,
        signed: STORED,
        proves: "the same: index, manifests, configs, layers",
        parts: &["index", "manifest", "config", "layer"],
        make: oci_archive,
    },
];

fn docker_v1() -> Subject {
    let s = Sandbox::new();
    s.write("old.tar", build::v1::named().finish());
    Subject::in_files(s, "docker-archive:old.tar")
        .part_in_file("json", "old.tar", b"2015-06-01")
        .part_in_file("layer", "old.tar", &build::layers()[1])
        .part_in_file("names", "old.tar", br#"{"app":{"v1""#)
}

fn aci() -> Subject {
    let s = Sandbox::new();
    s.write("app.aci", build::aci::aci(&build::aci::document(build::aci::LABELS)).finish());
    Subject::in_files(s, "aci:app.aci")
        .named(" --as example.com/app:1.2")
        .part_in_file("manifest", "app.aci", b"example.com/app")
        .part_in_file("rootfs", "app.aci", b"content")
}

fn docker_save() -> Subject {
    let s = Sandbox::new();
    s.write("image.tar", build::docker().finish());
    in_archive(s)
}

fn docker_save_25() -> Subject {
    let s = Sandbox::new();
    let own = build::own_manifest();
    let manifests = format!(
        r#"[{{"mediaType":"{}","digest":"{}","size":{}}}]"#,
        media_type::OCI_MANIFEST,
        Digest::sha256(own.as_bytes()),
        own.len()
    );
    s.write("image.tar", build::docker_25(&manifests, &own).finish());
    in_archive(s).part_in_file("manifest", "image.tar", own.as_bytes())
}

fn in_archive(s: Sandbox) -> Subject {
    Subject::in_files(s, "docker-archive:image.tar")
        .part_in_file("config", "image.tar", build::config().as_bytes())
        .part_in_file("layer", "image.tar", &build::layers()[0])
        .part_in_file("layer", "image.tar", &build::layers()[1])
}

fn schema_1(signed: bool) -> Subject {
    let registry = Registry::start(Options::default());
    let layers = [schema1::layer("new"), schema1::layer("base")];
    let payload = schema1::unsigned(&[&layers[0], &layers[1]]);
    let (kind, bytes) = match signed {
        true => (media_type::DOCKER_SCHEMA_1_SIGNED, schema1::sign(&payload, &schema1::key(1))),
        false => (media_type::DOCKER_SCHEMA_1, payload),
    };
    let root = registry.put_manifest(REPOSITORY, Some("v1"), kind, &bytes).digest;
    let layers = layers.map(|layer| registry.put_blob(REPOSITORY, &layer).digest);
    layers.into_iter().fold(
        Subject::in_registry(registry).part_in_registry("manifest", root, false),
        |subject, layer| subject.part_in_registry("layer", layer, true),
    )
}

/// What a part of a layout is called, and where it is.
struct Piece {
    name: &'static str,
    kind: String,
    digest: Digest,
    bytes: Vec<u8>,
}

impl Piece {
    fn is_blob(&self) -> bool {
        matches!(self.name, "config" | "layer")
    }
}

/// The image of a layout of `tests/data`, the root first.
fn pieces(layout: &str) -> Vec<Piece> {
    let dir = source(&format!("tests/data/layouts/{layout}"));
    let read = |path: String| std::fs::read(dir.join(path)).unwrap();
    let index: Value = serde_json::from_slice(&read("index.json".to_owned())).unwrap();
    let mut wanted = vec![("", index["manifests"][0].clone())];
    let mut pieces: Vec<Piece> = Vec::new();
    while let Some((name, descriptor)) = wanted.pop() {
        let digest = descriptor["digest"].as_str().unwrap();
        // layers can be shared
        if pieces.iter().any(|piece| piece.digest.to_string() == digest) {
            continue;
        }
        let bytes = read(format!("blobs/{}", digest.replace(':', "/")));
        let kind = descriptor["mediaType"].as_str().unwrap().to_owned();
        let name = match kind.as_str() {
            media_type::OCI_INDEX => "index",
            media_type::DOCKER_LIST => "list",
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => "manifest",
            _ => name,
        };
        if matches!(name, "index" | "list" | "manifest") {
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            let below = |field: &str| document[field].as_array().cloned().unwrap_or_default();
            wanted.extend(below("manifests").into_iter().map(|child| ("", child)));
            wanted.extend(below("layers").into_iter().map(|layer| ("layer", layer)));
            wanted.extend(document.get("config").map(|config| ("config", config.clone())));
        }
        pieces.push(Piece { name, kind, digest: digest.parse().unwrap(), bytes });
    }
    pieces
}

fn in_registry(layout: &str) -> Subject {
    let (registry, pieces) = (Registry::start(Options::default()), pieces(layout));
    for (at, piece) in pieces.iter().enumerate() {
        let tag = (at == 0).then_some("v1");
        if piece.is_blob() {
            registry.put_blob(REPOSITORY, &piece.bytes);
        } else {
            registry.put_manifest(REPOSITORY, tag, &piece.kind, &piece.bytes);
        }
    }
    pieces.into_iter().fold(Subject::in_registry(registry), |subject, piece| {
        let blob = piece.is_blob();
        subject.part_in_registry(piece.name, piece.digest, blob)
    })
}

fn layout(name: &str, image: &str) -> Subject {
    let subject = Subject::in_files(Sandbox::with_layouts(&[name]), image);
    pieces(name).into_iter().fold(subject, |subject, piece| {
        subject.part_in_layout(piece.name, name, &piece.digest.to_string())
    })
}

fn oci_archive() -> Subject {
    let subject = Subject::packed(Sandbox::with_layouts(&["unsigned"]), "oci:unsigned:v1");
    pieces("unsigned")
        .into_iter()
        .fold(subject, |subject, piece| subject.part_in_file(piece.name, "image.tar", &piece.bytes))
}
