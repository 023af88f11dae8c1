//! cosign's older signatures: simple-signing JSON, with the signature in an
//! annotation of its layer (cosign, specs/SIGNATURE_SPEC.md; payload as in
//! containers/image, containers-signature.5).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::text::{Strings, base64};
use super::{Envelope, Untrusted, bad_document, bad_json, clip};
use crate::evidence::{Claims, Format, Reason, Statement, Subject};
use crate::image::{Descriptor, Digest, Reference, json, media_type};
use crate::limits::Limits;

/// Layer annotation with the signature in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Layer annotation with the certificate of a keyless signature.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// `critical.type` of every such payload.
const TYPE: &str = "cosign container image signature";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    critical: Critical,
    optional: Option<Strings>,
}

/// An unknown key in `critical` rejects the signature: that is what the word
/// means (containers-signature.5).
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// Takes a payload and the annotations of its layer apart.
pub(super) fn parse(
    payload: Vec<u8>,
    annotations: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<Untrusted<Envelope>, Reason> {
    if annotations.get(CERTIFICATE).is_some_and(|text| !text.is_empty()) {
        let what = "made with a certificate; keyless comes later";
        return Err(Reason::Unsupported(what.to_owned()));
    }
    let signature = annotations.get(SIGNATURE).map(String::as_str).unwrap_or_default();
    if signature.is_empty() {
        return Err(Reason::Malformed(format!("the layer has no annotation `{SIGNATURE}`")));
    }
    let Some(signature) = base64(signature) else {
        return Err(Reason::Malformed(format!("the annotation `{SIGNATURE}` is no base64")));
    };
    json::scan(&payload, &[], limits.json_depth).map_err(|e| bad_json("payload", &e))?;
    Ok(Untrusted::new(Envelope { format: Format::Cosign, payload, signature, hint: None }))
}

/// What a payload says about `target`.
pub(super) fn claims(payload: &[u8], target: &Digest, limits: &Limits) -> Result<Claims, Reason> {
    let payload = read(payload, limits)?;
    if payload.digest() != target.to_string() {
        return Err(Reason::WrongSubject(clip(payload.digest())));
    }
    Ok(Claims {
        subject: Subject { digest: target.clone(), size: None, media_type: None },
        name: payload.name().map(str::to_owned),
        annotations: payload.annotations(),
        statement: Statement::Signature,
        signed_at: None,
        expires: None,
    })
}

/// Parses a payload, strictly.
pub(super) fn read(payload: &[u8], limits: &Limits) -> Result<Payload, Reason> {
    json::scan(payload, &[], limits.json_depth).map_err(|e| bad_json("payload", &e))?;
    let payload: Payload =
        serde_json::from_slice(payload).map_err(|e| bad_document("payload", &e))?;
    match payload.critical.kind.as_str() {
        TYPE => Ok(payload),
        other => Err(Reason::Malformed(format!("critical.type is `{}`", clip(other)))),
    }
}

impl Payload {
    pub(super) fn digest(&self) -> &str {
        &self.critical.image.docker_manifest_digest
    }

    pub(super) fn name(&self) -> Option<&str> {
        Some(self.critical.identity.docker_reference.as_str()).filter(|name| !name.is_empty())
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.optional.clone().unwrap_or_default().0
    }
}

/// The payload to sign for an image, in deterministic bytes. The signature
/// is over these bytes themselves.
///
/// `name` is signed as repository and tag; cosign itself signs only the
/// repository and compares neither.
pub fn payload(
    subject: &Digest,
    name: Option<&Reference>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    super::to_json(&WrittenPayload {
        critical: Critical {
            identity: Identity {
                docker_reference: name.map(super::signed_name).unwrap_or_default(),
            },
            image: Image { docker_manifest_digest: subject.to_string() },
            kind: TYPE.to_owned(),
        },
        optional: (!annotations.is_empty()).then_some(annotations),
    })
}

/// The layer that carries `payload` and its signature.
pub fn layer(payload: &[u8], signature: &[u8]) -> Descriptor {
    let mut layer = Descriptor::of(media_type::COSIGN_SIMPLE, payload);
    layer.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature));
    layer
}

/// The tag under which the signatures of an image stand.
pub fn tag(subject: &Digest) -> String {
    format!("{}-{}.sig", subject.algorithm(), subject.hex())
}

/// A manifest for the tag of signatures, and its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// Bytes of the manifest; its media type is the OCI image manifest.
    pub manifest: Vec<u8>,
    /// Bytes of the config blob that the manifest names.
    pub config: Vec<u8>,
}

/// The manifest of these layers, unchanged and in this order.
pub fn manifest(layers: &[Descriptor]) -> Signatures {
    let config = super::to_json(&Config {
        architecture: "",
        created: NO_TIME,
        history: layers.iter().map(|_| History { created: NO_TIME }).collect(),
        os: "",
        rootfs: RootFs { kind: "layers", diff_ids: layers.iter().map(|l| &l.digest).collect() },
        config: BTreeMap::new(),
    });
    let manifest = super::to_json(&Manifest {
        schema_version: 2,
        media_type: media_type::OCI_MANIFEST,
        config: Descriptor::of(media_type::OCI_CONFIG, &config),
        layers,
    });
    Signatures { manifest, config }
}

/// What Go writes for a time that was never set; cosign writes it, so that
/// the config depends on the layers alone.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
struct WrittenPayload<'a> {
    critical: Critical,
    optional: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Descriptor,
    layers: &'a [Descriptor],
}

#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    created: &'a str,
    history: Vec<History<'a>>,
    os: &'a str,
    rootfs: RootFs<'a>,
    config: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    diff_ids: Vec<&'a Digest>,
}
