//! Bundles as they are written, and the manifest that attaches one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Serialize;

use super::EMPTY_CONFIG;
use crate::envelope::{dsse, signed_name, statement as in_toto, to_json};
use crate::image::{Descriptor, Digest, Reference, media_type};

/// The statement to sign for an image, in deterministic bytes.
///
/// `name` is signed as repository and tag; a digest in it is left out, for
/// the subject has it.
pub fn statement(
    subject: &Digest,
    name: Option<&Reference>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    in_toto::build(subject, name.map(signed_name).as_deref(), annotations)
}

/// A bundle 0.3 around a signed statement. `signature` is over the
/// [pre-authentication encoding](dsse::pae) of `payload` as
/// [in-toto JSON](dsse::IN_TOTO), `hint` is the key's.
pub fn bundle(payload: &[u8], signature: &[u8], hint: &str) -> Vec<u8> {
    let bundle = WrittenBundle {
        media_type: media_type::SIGSTORE_BUNDLE,
        verification_material: WrittenMaterial { public_key: WrittenHint { hint } },
        dsse_envelope: WrittenDsse {
            payload: STANDARD.encode(payload),
            payload_type: dsse::IN_TOTO,
            signatures: [WrittenSignature { sig: STANDARD.encode(signature) }],
        },
    };
    to_json(&bundle)
}

/// A bundle 0.3 around a signature over a file itself.
pub fn file_bundle(digest: &Digest, signature: &[u8], hint: &str) -> Vec<u8> {
    to_json(&WrittenFileBundle {
        media_type: media_type::SIGSTORE_BUNDLE,
        verification_material: WrittenMaterial { public_key: WrittenHint { hint } },
        message_signature: WrittenMessage {
            message_digest: WrittenDigest {
                algorithm: "SHA2_256",
                digest: STANDARD.encode(hex::decode(digest.hex()).unwrap_or_default()),
            },
            signature: STANDARD.encode(signature),
        },
    })
}

/// The manifest that attaches `bundle` to `subject` as a referrer, exactly
/// as cosign 3 writes it. Its config blob is [`EMPTY_CONFIG`].
pub fn manifest(
    bundle: &Descriptor,
    subject: &Descriptor,
    predicate_type: &str,
    created: Timestamp,
) -> Vec<u8> {
    let bare = |d: &Descriptor| Descriptor::new(d.media_type.clone(), d.digest.clone(), d.size);
    // cosign puts the artifact type on the config's descriptor too.
    let mut config = Descriptor::of(media_type::OCI_EMPTY, EMPTY_CONFIG);
    config.artifact_type = Some(bundle.media_type.clone());
    to_json(&WrittenManifest {
        schema_version: 2,
        media_type: media_type::OCI_MANIFEST,
        config,
        layers: [bare(bundle)],
        annotations: BTreeMap::from([
            ("dev.sigstore.bundle.content", "dsse-envelope".to_owned()),
            ("dev.sigstore.bundle.predicateType", predicate_type.to_owned()),
            ("org.opencontainers.image.created", seconds(created).to_string()),
        ]),
        subject: bare(subject),
        artifact_type: &bundle.media_type,
    })
}

/// RFC 3339 without a fraction, as cosign writes it.
fn seconds(at: Timestamp) -> Timestamp {
    let floor = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    at.round(floor).unwrap_or(at)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenBundle<'a> {
    media_type: &'a str,
    verification_material: WrittenMaterial<'a>,
    dsse_envelope: WrittenDsse<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenFileBundle<'a> {
    media_type: &'a str,
    verification_material: WrittenMaterial<'a>,
    message_signature: WrittenMessage<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMessage<'a> {
    message_digest: WrittenDigest<'a>,
    signature: String,
}

#[derive(Serialize)]
struct WrittenDigest<'a> {
    algorithm: &'a str,
    digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial<'a> {
    public_key: WrittenHint<'a>,
}

#[derive(Serialize)]
struct WrittenHint<'a> {
    hint: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenDsse<'a> {
    payload: String,
    payload_type: &'a str,
    signatures: [WrittenSignature; 1],
}

#[derive(Serialize)]
struct WrittenSignature {
    sig: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenManifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Descriptor,
    layers: [Descriptor; 1],
    annotations: BTreeMap<&'a str, String>,
    subject: Descriptor,
    artifact_type: &'a str,
}
