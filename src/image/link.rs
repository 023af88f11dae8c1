//! Descriptors as a document states them: checked for form, not yet against
//! any content (image-spec v1.1.1, descriptor.md; D1 to D10 and M7 of the
//! verifier's checklist).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Descriptor, Digest, DigestError, Platform, media_type};

/// Digest of the two bytes `{}`, to which every empty descriptor points
/// (manifest.md, "Guidance for an Empty Descriptor").
const EMPTY_DIGEST: &str =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A digest as a document states it.
///
/// A document may name an algorithm that ocisign does not recompute
/// (descriptor.md, "Digests"); it can be read then, and never be verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatedDigest {
    /// Of an algorithm that ocisign recomputes.
    Known(Digest),
    /// Well formed, of another algorithm.
    Unknown(String),
}

impl StatedDigest {
    /// The digest, where it can be recomputed.
    pub fn known(&self) -> Option<&Digest> {
        match self {
            Self::Known(digest) => Some(digest),
            Self::Unknown(_) => None,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, DigestError> {
        match text.parse() {
            Ok(digest) => Ok(Self::Known(digest)),
            Err(DigestError::UnknownAlgorithm(_)) => Ok(Self::Unknown(text.to_owned())),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for StatedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(digest) => digest.fmt(f),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

/// A descriptor as a document states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Media type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: StatedDigest,
    /// Size of the content in bytes, at most `i64::MAX`.
    pub size: u64,
    /// Artifact type, where it is stated.
    pub artifact_type: Option<String>,
    /// Annotations of the descriptor, not of the content.
    pub annotations: BTreeMap<String, String>,
    /// Platform that the content is for.
    pub platform: Option<Platform>,
    /// Where else the content may be had; never followed unasked.
    pub urls: Vec<String>,
    /// The content itself, decoded and not yet compared with anything.
    pub data: Option<Vec<u8>>,
}

impl Link {
    /// The descriptor, where its digest can be recomputed.
    pub fn descriptor(&self) -> Option<Descriptor> {
        Some(Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.known()?.clone(),
            size: self.size,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
            platform: self.platform.clone(),
            urls: self.urls.clone(),
            data: self.data.as_ref().map(|data| STANDARD.encode(data)),
        })
    }
}

/// A descriptor as JSON has it. An optional field that is null is absent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLink {
    media_type: String,
    digest: String,
    size: u64,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<Platform>,
    urls: Option<Vec<String>>,
    data: Option<String>,
}

impl RawLink {
    /// Checks the form. The error ends a sentence that begins with a place.
    pub(super) fn check(self) -> Result<Link, String> {
        check_type("mediaType", &self.media_type)?;
        if let Some(kind) = &self.artifact_type {
            check_type("artifactType", kind)?;
        }
        let size = self.size;
        if i64::try_from(size).is_err() {
            return Err(format!("`size` {size} is out of range; at most 2^63-1"));
        }
        let data = self.data.as_deref().map(decode_data).transpose()?;
        let link = Link {
            digest: StatedDigest::parse(&self.digest).map_err(|e| e.to_string())?,
            media_type: self.media_type,
            size,
            artifact_type: self.artifact_type,
            annotations: self.annotations.unwrap_or_default(),
            platform: self.platform,
            urls: self.urls.unwrap_or_default(),
            data,
        };
        link.check_empty()?;
        Ok(link)
    }
}

impl Link {
    /// M7: the empty type has one content.
    fn check_empty(&self) -> Result<(), String> {
        let right = self.digest.to_string() == EMPTY_DIGEST
            && self.size == 2
            && self.data.as_deref().is_none_or(|data| data == b"{}");
        if self.media_type == media_type::OCI_EMPTY && !right {
            return Err(format!(
                "`{}` must point to the two bytes `{{}}`; use {EMPTY_DIGEST} and size 2",
                media_type::OCI_EMPTY
            ));
        }
        Ok(())
    }
}

/// D2 and D10: RFC 6838, section 4.2, without parameters.
pub(super) fn check_type(field: &str, text: &str) -> Result<(), String> {
    if media_type::is_valid(text) {
        return Ok(());
    }
    let shown: String = text.chars().take(80).collect();
    Err(format!("`{field}` `{shown}` is no media type; write `type/subtype` without parameters"))
}

/// D7: base64 of RFC 4648, section 4, with padding.
fn decode_data(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|_| "`data` is not base64; use the standard alphabet with padding".to_owned())
}
