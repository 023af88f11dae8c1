//! Image configurations, OCI and Docker: image-spec v1.1.1, config.md
//! (C1 to C3 of the verifier's checklist).

use serde::Deserialize;

use super::json::Scan;
use super::link::StatedDigest;
use super::manifest::DocumentError;
use super::{Limits, Platform};

/// Keys of a configuration that ocisign, a policy or a runtime reads.
const KEYS: &[&str] = &[
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "created",
    "author",
    "config",
    "rootfs",
    "type",
    "diff_ids",
    "history",
    "created_by",
    "comment",
    "empty_layer",
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
];
const MAPS: &[&str] = &["Labels", "ExposedPorts", "Volumes"];

/// What ocisign reads of an image configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageConfig {
    /// The platform; its parts are present and may be empty.
    pub platform: Platform,
    /// Digests of the layers' decompressed bytes, the base first.
    pub diff_ids: Vec<StatedDigest>,
    /// How many layers the history tells of; `None` without history.
    pub history_layers: Option<usize>,
}

#[derive(Deserialize)]
struct Body {
    architecture: String,
    os: String,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    rootfs: RootFs,
    history: Option<Vec<History>>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct History {
    empty_layer: Option<bool>,
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`DocumentError`]: ambiguous or malformed JSON, a required field that
    /// is absent, a `rootfs.type` that is not `layers`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        let scan =
            Scan { known: KEYS, maps: MAPS, max_depth: limits.json_depth, integers_only: false };
        let body: Body = scan.decode(bytes)?;
        if body.rootfs.kind != "layers" {
            let kind: String = body.rootfs.kind.chars().take(80).collect();
            return Err(DocumentError::Malformed(format!(
                "`rootfs.type` is `{kind}`; only `layers` exists"
            )));
        }
        let diff_ids = body.rootfs.diff_ids.iter().map(|text| StatedDigest::parse(text));
        let diff_ids = diff_ids.collect::<Result<Vec<_>, _>>();
        Ok(Self {
            platform: Platform {
                architecture: body.architecture,
                os: body.os,
                variant: body.variant,
                os_version: body.os_version,
            },
            diff_ids: diff_ids
                .map_err(|e| DocumentError::Malformed(format!("`rootfs.diff_ids`: {e}")))?,
            history_layers: body.history.filter(|h| !h.is_empty()).map(|history| {
                history.iter().filter(|entry| entry.empty_layer != Some(true)).count()
            }),
        })
    }

    /// C3: whether diff ids and history speak of `layers` layers.
    ///
    /// # Errors
    /// The sentence that says which count differs.
    pub fn check_counts(&self, layers: usize) -> Result<(), String> {
        let ids = self.diff_ids.len();
        if ids != layers {
            return Err(format!(
                "`rootfs.diff_ids` has {ids} entries and the manifest {layers} layers; rebuild the image"
            ));
        }
        match self.history_layers {
            Some(told) if told != layers => Err(format!(
                "`history` tells of {told} layers and the manifest has {layers}; rebuild the image"
            )),
            _ => Ok(()),
        }
    }
}
