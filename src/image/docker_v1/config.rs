//! The config of a later image for one of Docker v1, by a fixed rule: the
//! topmost `json` without what only v1 knows, with the layers' digests and a
//! line of history for each (image-spec, config.md; the same members that
//! containers/image drops when it converts schema 1).

use serde_json::{Map, Value, json};

use super::V1Image;
use super::documents::architecture;
use crate::image::Digest;

/// Members of a `json` of v1 that no later config has.
const DROPPED: &[&str] = &[
    "id",
    "parent",
    "parent_id",
    "layer_id",
    "throwaway",
    "Size",
    "checksum",
    "rootfs",
    "history",
];

/// The config, in canonical JSON (RFC 8785), for a chain with the base first
/// and the digests of its layers. `None` where a `json` is no object, which a
/// sound archive has none of.
pub fn config(chain: &[&V1Image], layers: &[Digest]) -> Option<Vec<u8>> {
    let mut config = document(chain.last()?)?;
    DROPPED.iter().for_each(|key| {
        config.remove(*key);
    });
    for (key, usual) in [("architecture", "amd64"), ("os", "linux")] {
        // Docker ran on nothing else while images went without
        let stated = config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let named = stated.map_or(usual, architecture).to_owned();
        config.insert(key.to_owned(), named.into());
    }
    let digests: Vec<_> = layers.iter().map(Digest::to_string).collect();
    config.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": digests}));
    let history = chain.iter().map(|image| history(image)).collect::<Option<Vec<_>>>()?;
    config.insert("history".to_owned(), history.into());
    serde_json_canonicalizer::to_vec(&config).ok()
}

fn document(image: &V1Image) -> Option<Map<String, Value>> {
    serde_json::from_slice(&image.json).ok()
}

fn history(image: &V1Image) -> Option<Value> {
    let document = document(image)?;
    let mut line = Map::new();
    for key in ["created", "author", "comment"] {
        let text = document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(text) = text {
            line.insert(key.to_owned(), text.into());
        }
    }
    let command = document.get("container_config").and_then(|config| config.get("Cmd"));
    let words: Vec<_> =
        command.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !words.is_empty() {
        line.insert("created_by".to_owned(), words.join(" ").into());
    }
    Some(line.into())
}
