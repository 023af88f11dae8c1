//! Manifests that carry signatures: which of their layers are candidates.
//!
//! What a list of referrers says about them is a hint; type and subject
//! count only here, on the manifest itself.

use serde::Deserialize;

use super::{bad_document, bad_json, clip};
use crate::evidence::Reason;
use crate::image::{Descriptor, Digest, json, media_type};
use crate::limits::Limits;

/// Keys that are read here; another spelling of one is another reader's key.
const KEYS: &[&str] = &[
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "subject",
    "manifests",
    "digest",
    "size",
    "annotations",
];
const MAPS: &[&str] = &["annotations"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// The layers of a referrer of `subject` that hold signatures.
///
/// # Errors
/// The [`Reason`] why it carries none: [`Reason::Foreign`] for another kind
/// of artifact, [`Reason::WrongSubject`] for a referrer of another image.
pub fn layers_of_referrer(
    manifest: &[u8],
    subject: &Digest,
    limits: &Limits,
) -> Result<Vec<Descriptor>, Reason> {
    let manifest = read(manifest, limits)?;
    let layers = manifest.layers.unwrap_or_default();
    // image-spec v1.1.1, manifest.md: without artifactType it is the config's.
    let kind = manifest.artifact_type.or(manifest.config.map(|c| c.media_type)).unwrap_or_default();
    let bundle = is_bundle(&kind);
    if !bundle && kind != media_type::COSIGN_ARTIFACT {
        return Err(Reason::Foreign(format!("artifact type `{}`", clip(&kind))));
    }
    match manifest.subject {
        Some(found) if found.digest == *subject => {}
        Some(found) => return Err(Reason::WrongSubject(found.digest.to_string())),
        None => return Err(Reason::WrongSubject("a manifest without subject".to_owned())),
    }
    match layers.as_slice() {
        [only] if bundle && is_bundle(&only.media_type) => Ok(layers),
        [_] if bundle => Err(Reason::Malformed("its layer is no bundle".to_owned())),
        _ if bundle => {
            Err(Reason::Malformed(format!("{} layers instead of one bundle", layers.len())))
        }
        _ => signatures(layers, limits),
    }
}

/// The layers of the manifest under a cosign tag `sha256-….sig`.
///
/// # Errors
/// The [`Reason`] why it carries no signatures.
pub fn layers_of_tag(manifest: &[u8], limits: &Limits) -> Result<Vec<Descriptor>, Reason> {
    signatures(read(manifest, limits)?.layers.unwrap_or_default(), limits)
}

fn signatures(layers: Vec<Descriptor>, limits: &Limits) -> Result<Vec<Descriptor>, Reason> {
    let most = limits.cosign_layers;
    if layers.len() > most {
        return Err(Reason::LimitExceeded(format!("more than {most} signatures in one manifest")));
    }
    Ok(layers)
}

fn read(bytes: &[u8], limits: &Limits) -> Result<Manifest, Reason> {
    if bytes.len() as u64 > limits.manifest_bytes {
        let bound = limits.manifest_bytes;
        return Err(Reason::LimitExceeded(format!("a manifest of more than {bound} bytes")));
    }
    let max_depth = limits.json_depth;
    let scan = json::Scan { known: KEYS, maps: MAPS, max_depth, integers_only: false };
    scan.check(bytes).map_err(|e| bad_json("manifest", &e))?;
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| bad_document("manifest", &e))?;
    if manifest.manifests.is_some() {
        return Err(Reason::Foreign("an index".to_owned()));
    }
    match manifest.media_type.as_deref() {
        Some(kind) if media_type::is_manifest(kind) => Ok(manifest),
        None => Ok(manifest),
        Some(other) => Err(Reason::Foreign(format!("media type `{}`", clip(other)))),
    }
}

fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX)
}
