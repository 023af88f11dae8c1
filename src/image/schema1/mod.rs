//! Docker's schema 1: manifests whose digest is not that of their bytes
//! (distribution v2.8, manifest-v2-1.md; libtrust, jsonsign.go).
//!
//! A signed one is a payload into which signatures were written. Its digest
//! and its contents are those of the payload, and of nothing else: whatever
//! wants either asks [`payload`] or [`manifest_digest`] first.

mod frame;
mod history;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use frame::{Frame, Header, Jwk, Signature};
pub use history::{Layer, Schema1};

use super::manifest::DocumentError;
use super::{Algorithm, Digest, Limits, media_type};

/// SHA-256 of the 32 bytes that stand for a layer without content: an empty
/// tar in gzip, as every tool of the time wrote it.
pub const EMPTY_LAYER: &str =
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

/// What of a manifest has a digest: of a signed schema 1 its payload, of
/// everything else all of its bytes.
///
/// `kind` is the media type under which the bytes were given. Where it names
/// another kind of document it decides; where it is one of schema 1 or says
/// nothing, the bytes are asked whether they are signed.
///
/// # Errors
/// [`DocumentError`] where a signed manifest breaks the rules of its frame:
/// it has no digest then.
pub fn payload<'b>(
    kind: Option<&str>,
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<Cow<'b, [u8]>, DocumentError> {
    match is_signed(kind, bytes) {
        true => Frame::parse(bytes, limits).map(|frame| frame.payload.into()),
        false => Ok(bytes.into()),
    }
}

/// The digest of a manifest of this media type: the one way to have it.
///
/// A signed schema 1 whose frame is broken has none. It gets that of its
/// bytes, which is nobody's name for it: the payload of a sound frame is
/// never the whole.
pub fn manifest_digest(
    algorithm: Algorithm,
    kind: Option<&str>,
    bytes: &[u8],
    limits: &Limits,
) -> Digest {
    match payload(kind, bytes, limits) {
        Ok(payload) => Digest::of(algorithm, &payload),
        Err(_) => Digest::of(algorithm, bytes),
    }
}

/// Whether these bytes are a schema 1 with signatures in it.
pub fn is_signed(kind: Option<&str>, bytes: &[u8]) -> bool {
    let kind = kind.unwrap_or_default();
    if kind == media_type::DOCKER_SCHEMA_1_SIGNED {
        return true;
    }
    if kind != media_type::DOCKER_SCHEMA_1 && !media_type::says_nothing(kind) {
        return false;
    }
    // only asks which of two strict readers is meant; both look anew
    serde_json::from_slice::<Hint>(bytes)
        .is_ok_and(|hint| hint.schema_version == 1 && hint.signatures.is_some())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    schema_version: u64,
    signatures: Option<IgnoredAny>,
}
