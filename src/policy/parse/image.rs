//! The `image` check: the shape that an image must have.

use std::collections::BTreeSet;

use super::document::Known;
use super::grammar::{IMAGE, PLATFORMS};
use super::problem::Code;
use super::reader::{Reader, short};
use crate::image::{Algorithm, Depth, media_type};
use crate::policy::json::Json;
use crate::policy::model::ImageCheck;
use crate::policy::schema::Schema;

pub(super) fn image(reader: &mut Reader, node: &Json, known: &mut Known<'_>) -> Option<ImageCheck> {
    let members = reader.fields(node, &IMAGE)?;
    if members.is_empty() {
        reader.bad(Code::Empty, node, "the check asks for nothing", "write what must hold");
        return None;
    }
    let (platforms_require, platforms_allow) = platforms(reader, node);
    let check = ImageCheck {
        depth: node.get("depth").and_then(|n| reader.word(n, DEPTHS)),
        manifest_types: types(reader, node, "manifestTypes"),
        config_types: types(reader, node, "configTypes"),
        layer_types: types(reader, node, "layerTypes"),
        allow_empty: allow_empty(reader, node),
        artifact_types: types(reader, node, "artifactTypes"),
        annotations: node.get("annotations").map(|n| reader.globs(n)).unwrap_or_default(),
        platforms_require,
        platforms_allow,
        digest_algorithms: node.get("digestAlgorithms").and_then(|n| reader.set(n, algorithm)),
        max_depth: most(reader, node, "maxDepth"),
        max_manifests: most(reader, node, "maxManifests"),
        max_layers: most(reader, node, "maxLayers"),
        max_layer_bytes: most(reader, node, "maxLayerBytes"),
        max_image_bytes: most(reader, node, "maxImageBytes"),
        manifest: schema(reader, node, "manifest", known),
        config: schema(reader, node, "config", known),
    };
    Some(check)
}

const DEPTHS: &[(&str, Depth)] =
    &[("manifests", Depth::Manifests), ("layers", Depth::Layers), ("contents", Depth::Contents)];

fn types(reader: &mut Reader, node: &Json, key: &str) -> Option<BTreeSet<String>> {
    let list = node.get(key)?;
    reader.set(list, |reader, item| {
        let text = reader.string(item)?;
        if media_type::is_valid(text) {
            return Some(text.to_owned());
        }
        let message = format!("`{}` is no media type", short(text));
        reader.value(item, message, "write type/subtype, without parameters or wildcards")
    })
}

fn allow_empty(reader: &mut Reader, node: &Json) -> bool {
    let Some(flag) = node.get("allowEmpty") else { return false };
    if node.get("layerTypes").is_none() {
        reader.bad(
            Code::Conflict,
            flag,
            "`allowEmpty` belongs to `layerTypes`",
            "say which layers an image that has some may have, or leave it out",
        );
    }
    reader.only_true(flag)
}

fn algorithm(reader: &mut Reader, node: &Json) -> Option<Algorithm> {
    reader.word(node, &[("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)])
}

fn most(reader: &mut Reader, node: &Json, key: &str) -> Option<u64> {
    node.get(key).and_then(|n| reader.integer(n, 1, u64::MAX))
}

fn schema(reader: &mut Reader, node: &Json, key: &str, known: &mut Known<'_>) -> Option<Schema> {
    known.schemas.read(reader, node.get(key)?)
}

type Names = Option<BTreeSet<String>>;

fn platforms(reader: &mut Reader, node: &Json) -> (Names, Names) {
    let Some(node) = node.get("platforms") else { return (None, None) };
    let Some(members) = reader.fields(node, &PLATFORMS) else { return (None, None) };
    if members.is_empty() {
        reader.bad(Code::Empty, node, "`platforms` asks for nothing", "write `require` or `allow`");
    }
    let require = node.get("require").and_then(|n| reader.set(n, platform));
    let allow = node.get("allow").and_then(|n| reader.set(n, platform));
    if let (Some(require), Some(allow)) = (&require, &allow)
        && let Some(missing) = require.difference(allow).next()
    {
        reader.bad(
            Code::Unsatisfiable,
            node,
            format!("`{missing}` is required and not allowed, so that no index can pass"),
            "add it to `allow`",
        );
    }
    (require, allow)
}

/// `os/arch[/variant]` in normal form: arm64/v8 is arm64, arm is arm/v7.
fn platform(reader: &mut Reader, node: &Json) -> Option<String> {
    let text = reader.string(node)?;
    let word = |part: &str, extra: &[u8]| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
    };
    let mut parts = text.split('/');
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    match parts {
        (Some(os), Some(arch), variant, None)
            if word(os, b"") && word(arch, b"_") && variant.is_none_or(|v| word(v, b".")) =>
        {
            Some(match (arch, variant) {
                ("arm64", Some("v8")) => format!("{os}/arm64"),
                ("arm", None) => format!("{os}/arm/v7"),
                _ => text.to_owned(),
            })
        }
        _ => reader.value(
            node,
            format!("`{}` is no platform", short(text)),
            "write os/architecture or os/architecture/variant, as linux/amd64",
        ),
    }
}
