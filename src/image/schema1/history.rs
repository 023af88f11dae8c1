//! What a schema 1 says: layers and their history, the newest first
//! (manifest-v2-1.md; the chain of parents as Docker 1.9 and
//! containers/image check it).

use serde::Deserialize;

use super::super::json::Scan;
use super::super::link::StatedDigest;
use super::super::manifest::DocumentError;
use super::super::{Limits, Platform};
use super::EMPTY_LAYER;

/// Keys with a meaning in the payload.
const KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "name",
    "tag",
    "architecture",
    "fsLayers",
    "blobSum",
    "history",
    "v1Compatibility",
    "signatures",
    "config",
    "layers",
    "manifests",
    "subject",
];
/// Keys with a meaning in what stands as text in the history.
const V1_KEYS: &[&str] =
    &["id", "parent", "throwaway", "architecture", "os", "variant", "os.version", "os.features"];
const V1_MAPS: &[&str] = &["Labels", "ExposedPorts", "Volumes", "labels"];

/// A manifest of schema 1, read from its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema1 {
    /// The name that it gives itself; signed and believed by nobody.
    pub name: String,
    /// The tag that it gives itself.
    pub tag: String,
    /// The platform that its newest layer states.
    pub platform: Platform,
    /// The layers, the base first, as in all later formats.
    pub layers: Vec<Layer>,
    /// Rules that only ask, and were not followed.
    pub warnings: Vec<String>,
}

/// A layer of schema 1. Its size stands nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: StatedDigest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    name: String,
    tag: String,
    #[serde(default)]
    architecture: String,
    fs_layers: Vec<FsLayer>,
    history: Vec<Entry>,
    #[serde(default)]
    signatures: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FsLayer {
    blob_sum: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    v1_compatibility: String,
}

/// What one text of the history says.
#[derive(Deserialize)]
struct V1 {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    throwaway: Option<bool>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, rename = "os.version")]
    os_version: Option<String>,
}

impl Schema1 {
    /// Reads a payload. That its kind is schema 1 is known.
    pub(in crate::image) fn parse(payload: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        let scan = scan(KEYS, &[], limits);
        let body: Body = scan.decode(payload)?;
        if body.signatures.is_some() {
            return malformed("`signatures` stands in what is signed".to_owned());
        }
        if body.fs_layers.is_empty() || body.fs_layers.len() != body.history.len() {
            let (layers, history) = (body.fs_layers.len(), body.history.len());
            return malformed(format!("{layers} layers and {history} entries of history"));
        }
        let read = |(at, entry): (usize, &Entry)| v1(at, entry, limits);
        let history = body.history.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut warnings = chain(&history)?;
        let platform = platform(&history, &body.architecture, &mut warnings);
        Ok(Self {
            layers: layers(&body.fs_layers, &history)?,
            name: body.name,
            tag: body.tag,
            platform,
            warnings,
        })
    }
}

fn scan<'k>(known: &'k [&'k str], maps: &'k [&'k str], limits: &Limits) -> Scan<'k> {
    Scan { known, maps, max_depth: limits.json_depth, integers_only: false }
}

fn v1(at: usize, entry: &Entry, limits: &Limits) -> Result<V1, DocumentError> {
    let text = entry.v1_compatibility.as_bytes();
    let place = |error: DocumentError| match error {
        DocumentError::Ambiguous(why) => {
            DocumentError::Ambiguous(format!("`history[{at}]`: {why}"))
        }
        DocumentError::Malformed(why) => {
            DocumentError::Malformed(format!("`history[{at}]`: {why}"))
        }
        DocumentError::Limit(why) => DocumentError::Limit(format!("`history[{at}]`: {why}")),
    };
    let read: V1 = scan(V1_KEYS, V1_MAPS, limits).decode(text).map_err(|e| place(e.into()))?;
    for id in [Some(&read.id), read.parent.as_ref().filter(|p| !p.is_empty())].into_iter().flatten()
    {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if id.len() != 64 || !id.bytes().all(hex) {
            return malformed(format!(
                "`history[{at}]` has an id that is not 64 hexadecimal digits"
            ));
        }
    }
    Ok(read)
}

/// Each entry's parent is the next entry, and the last has none. An id may
/// come twice in a row, as old pushes left it, and never again later. Ids
/// prove nothing: nothing is found by one (CVE-2014-8178).
fn chain(history: &[V1]) -> Result<Vec<String>, DocumentError> {
    let mut warnings = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut entries = history.iter().enumerate().peekable();
    while let Some((at, entry)) = entries.next() {
        let parent = entry.parent.as_deref().filter(|parent| !parent.is_empty());
        match entries.peek() {
            Some((_, next)) if next.id == entry.id => {
                warnings.push(format!("`history[{at}]` and the entry after it have one id"));
                continue;
            }
            Some((_, next)) if parent != Some(next.id.as_str()) => {
                return malformed(format!(
                    "the parent of `history[{at}]` is not the entry after it"
                ));
            }
            None if parent.is_some() => {
                return malformed("the oldest entry of the history has a parent".to_owned());
            }
            Some(_) | None => {}
        }
        if !seen.insert(entry.id.as_str()) {
            return malformed(format!("the id of `history[{at}]` comes again later"));
        }
    }
    Ok(warnings)
}

/// A throwaway entry only changed the config: its blob is the empty layer, or
/// who applies it and who passes over it would run two images.
fn layers(fs_layers: &[FsLayer], history: &[V1]) -> Result<Vec<Layer>, DocumentError> {
    let mut layers = Vec::with_capacity(fs_layers.len());
    for (at, (layer, entry)) in fs_layers.iter().zip(history).enumerate().rev() {
        if entry.throwaway == Some(true) && layer.blob_sum != EMPTY_LAYER {
            return Err(DocumentError::Ambiguous(format!(
                "`history[{at}]` is a throwaway and its layer has content; push the image anew"
            )));
        }
        let digest = StatedDigest::parse(&layer.blob_sum);
        let digest =
            digest.map_err(|why| DocumentError::Malformed(format!("`fsLayers[{at}]`: {why}")))?;
        layers.push(Layer { digest });
    }
    Ok(layers)
}

fn platform(history: &[V1], architecture: &str, warnings: &mut Vec<String>) -> Platform {
    let top = history.first();
    let own = top.and_then(|v1| v1.architecture.clone()).filter(|text| !text.is_empty());
    if own.as_deref().is_some_and(|own| own != architecture && !architecture.is_empty()) {
        warnings.push("`architecture` differs from that of the newest layer".to_owned());
    }
    Platform {
        architecture: own.unwrap_or_else(|| architecture.to_owned()),
        os: top.and_then(|v1| v1.os.clone()).unwrap_or_default(),
        variant: top.and_then(|v1| v1.variant.clone()),
        os_version: top.and_then(|v1| v1.os_version.clone()),
    }
}

fn malformed<T>(why: String) -> Result<T, DocumentError> {
    Err(DocumentError::Malformed(format!("{why}; push the image anew")))
}
