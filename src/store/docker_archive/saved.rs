//! `manifest.json`: which files make which image (moby, image/spec/v1.2.md,
//! "Combined Image JSON + Filesystem Changeset Format").

use serde::Deserialize;

use crate::image::{Digest, Reference, json};
use crate::limits::Limits;

/// Layers of one image: the same bound that Docker has on its stack.
const LAYERS: usize = 127 * 8;

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    /// File of the config.
    pub(super) config: String,
    /// Names with their tags, as they were saved.
    pub(super) names: Vec<String>,
    /// Files of the layers, the lowest first.
    pub(super) layers: Vec<String>,
}

/// `Parent` and `LayerSources` are hints for loading, and nothing hangs on
/// them: the one names no digest of a manifest, the other states what layers
/// were elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Reads `manifest.json`.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Vec<Saved>, String> {
    const KEYS: &[&str] = &["Config", "RepoTags", "Layers", "Parent", "LayerSources"];
    json::scan(bytes, KEYS, limits.json_depth).map_err(|error| error.to_string())?;
    // serde would read an array as an object whose members stand in order
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if value.as_array().into_iter().flatten().any(|image| !image.is_object()) {
        return Err("an image in it is no object".to_owned());
    }
    // an old archive without images has `null` there
    let all: Option<Vec<Written>> =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let all = all.unwrap_or_default();
    if all.len() > limits.tree_nodes {
        return Err(format!("more than {} images", limits.tree_nodes));
    }
    all.into_iter()
        .map(|written| {
            let layers = written.layers.unwrap_or_default();
            if layers.len() > LAYERS {
                return Err(format!("an image of more than {LAYERS} layers"));
            }
            let names = written.repo_tags.unwrap_or_default();
            Ok(Saved { config: written.config, names, layers })
        })
        .collect()
}

impl Saved {
    /// Whether this is the image of that name. `alpine:3` and
    /// `docker.io/library/alpine:3` are one name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let whole = |text: &str| text.parse::<Reference>().ok().map(|name| name.to_string());
        let asked = whole(name);
        self.names.iter().any(|own| own == name || (asked.is_some() && whole(own) == asked))
    }
}

/// The digest that a file of an archive is named by, where it is.
pub(super) fn named_digest(file: &str) -> Option<Digest> {
    let hex = match file.strip_prefix("blobs/sha256/") {
        Some(hex) => hex,
        None => file.strip_suffix(".json")?,
    };
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Saved>, String> {
        parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn what_tools_write_is_read() {
        assert_eq!(read("null"), Ok(vec![]));
        assert_eq!(read("[]"), Ok(vec![]));
        let text = r#"[{"Config":"c.json","RepoTags":["alpine:3"],"Layers":["l/layer.tar"]},
            {"Config":"d.json","RepoTags":null,"Layers":null,"Parent":"sha256:00"}]"#;
        let all = read(text).unwrap();
        assert_eq!(all[0].layers, ["l/layer.tar"]);
        assert!(all[0].is_named("alpine:3") && all[0].is_named("docker.io/library/alpine:3"));
        assert!(!all[0].is_named("alpine") && !all[0].is_named("alpine:4"));
        assert_eq!((all[1].names.len(), all[1].layers.len()), (0, 0));
    }

    #[test]
    fn what_programs_would_read_in_two_ways_is_refused() {
        for wrong in [
            r#"{"Config":"c.json"}"#,
            r#"[{"Config":"c.json","config":"d.json","Layers":[]}]"#,
            r#"[{"Config":"c.json","Config":"d.json","Layers":[]}]"#,
            r#"[{"Layers":[]}]"#,
            r#"[{"Config":1,"Layers":[]}]"#,
            r#"[{"Config":"c.json","Layers":[1]}]"#,
            r#"[null]"#,
            r#"[["c.json",null,[]]]"#,
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_may_be_named_by_its_digest() {
        let hex = "ab".repeat(32);
        assert!(named_digest(&format!("{hex}.json")).is_some());
        assert!(named_digest(&format!("blobs/sha256/{hex}")).is_some());
        for other in ["config.json", "x", "../ab.json", &format!("{}.json", hex.to_uppercase())] {
            assert_eq!(named_digest(other), None, "{other}");
        }
    }
}
