//! Sigstore bundles 0.1 to 0.3 (protobuf-specs, sigstore_bundle.proto, in
//! the JSON form of protobuf), and the manifest that attaches one
//! (cosign, specs/BUNDLE_SPEC.md).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::text::{Count, base64};
use super::{Envelope, Untrusted, bad_document, bad_json, clip, dsse, statement};
use crate::evidence::{Format, Reason};
use crate::image::{Descriptor, Digest, Reference, json, media_type};
use crate::limits::Limits;

pub use super::statement::SIGN_PREDICATE;

/// Content of the config blob of a manifest that attaches a bundle.
pub const EMPTY_CONFIG: &[u8] = b"{}";

const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle {
    media_type: String,
    verification_material: Option<Material>,
    message_signature: Option<Message>,
    dsse_envelope: Option<Dsse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    public_key: Option<Hint>,
    certificate: Option<Certificate>,
    x509_certificate_chain: Option<Chain>,
    /// Counted only: a key needs no log entry to count. The bytes stay in
    /// the candidate for whoever asks for a trusted time.
    tlog_entries: Option<Count>,
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timestamps {
    rfc3161_timestamps: Option<Count>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    message_digest: Option<MessageDigest>,
    signature: String,
}

/// A hint at the file; what is signed is the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageDigest {
    /// Both are left out by cosign for Ed25519, which has no hash of its own.
    #[serde(default)]
    algorithm: String,
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dsse {
    payload: String,
    payload_type: String,
    signatures: Vec<DsseSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DsseSignature {
    sig: String,
    /// Which key, by a name that only the signer knows; unsigned.
    #[serde(default, rename = "keyid")]
    _keyid: serde::de::IgnoredAny,
}

/// Whether `bytes` are JSON that says it is a bundle.
pub(super) fn names_itself(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        media_type: String,
    }
    serde_json::from_slice::<Named>(bytes)
        .is_ok_and(|named| named.media_type.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX))
}

/// Takes a bundle apart. The numbered checks are those of a Sigstore
/// verifier that apply to a bundle made with a key.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Untrusted<Envelope>, Reason> {
    let bundle = read(bytes, limits)?;
    let material = bundle.verification_material.ok_or(missing("verificationMaterial"))?;
    let hint = key_hint(material, bundle.media_type.contains("0.3"), limits)?;
    let (payload, signature) = match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => open(envelope)?,
        (None, Some(_)) => {
            let what = "a bundle over a message digest, which signs a file; \
                        sign the image with `ocisign sign`";
            return Err(Reason::Unsupported(what.to_owned()));
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(missing("exactly one of dsseEnvelope and messageSignature"));
        }
    };
    Ok(Untrusted::new(Envelope { format: Format::Sigstore, payload, signature, hint }))
}

fn read(bytes: &[u8], limits: &Limits) -> Result<Bundle, Reason> {
    // Duplicate keys at any depth; then exactly the fields of the .proto, so
    // that a twin in another letter case is refused as well.
    json::scan(bytes, &[], limits.json_depth).map_err(|e| bad_json("bundle", &e))?;
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|e| bad_document("bundle", &e))?;
    if !MEDIA_TYPES.contains(&bundle.media_type.as_str()) {
        let version = clip(&bundle.media_type);
        return Err(Reason::Unsupported(format!("a bundle of media type `{version}`")));
    }
    Ok(bundle)
}

/// What a bundle has been made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A statement about digests.
    Statement,
    /// A file itself.
    File {
        /// The signature over the file.
        signature: Vec<u8>,
        /// The SHA-256 of the file, where the bundle states it.
        stated: Option<Digest>,
        /// Whether the bundle states a digest by another function.
        by_other_hash: bool,
    },
}

/// What a bundle with a key is over, and by which key it says to be made.
///
/// # Errors
/// The [`Reason`] why it is no such bundle.
pub fn content(bytes: &[u8], limits: &Limits) -> Result<Content, Reason> {
    let bundle = read(bytes, limits)?;
    let material = bundle.verification_material.ok_or(missing("verificationMaterial"))?;
    key_hint(material, bundle.media_type.contains("0.3"), limits)?;
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(_), None) => Ok(Content::Statement),
        (None, Some(message)) => {
            let signature = base64(&message.signature).ok_or_else(|| no_base64("signature"))?;
            let hash = message.message_digest.as_ref().map(|stated| stated.algorithm.clone());
            let by_other_hash = hash.is_some_and(|hash| hash != "SHA2_256");
            let stated = match message.message_digest {
                Some(stated) if stated.algorithm == "SHA2_256" => {
                    let digest = base64(&stated.digest).ok_or_else(|| no_base64("digest"))?;
                    let text = format!("sha256:{}", hex::encode(digest));
                    let wrong = |_| malformed("`messageDigest` is no SHA-256".to_owned());
                    Some(text.parse().map_err(wrong)?)
                }
                _ => None,
            };
            Ok(Content::File { signature, stated, by_other_hash })
        }
        _ => Err(missing("exactly one of dsseEnvelope and messageSignature")),
    }
}

/// Whether a bundle is one within the limits: strict JSON, a known version,
/// the fields of the .proto, few entries, and a statement with few subjects.
/// Whoever verifies it in full can then read it as it likes.
///
/// # Errors
/// The [`Reason`] why not.
pub fn bounded(bytes: &[u8], limits: &Limits) -> Result<(), Reason> {
    if bytes.len() as u64 > limits.envelope_bytes {
        let most = limits.envelope_bytes;
        return Err(Reason::LimitExceeded(format!("a bundle of more than {most} bytes")));
    }
    let bundle = read(bytes, limits)?;
    let v03 = bundle.media_type.contains("0.3");
    let material = bundle.verification_material.ok_or(missing("verificationMaterial"))?;
    count_entries(&material, limits)?;
    one_material(&material, v03)?;
    let entries =
        serde_json::from_slice::<Logged>(bytes).map_err(|e| bad_document("bundle", &e))?;
    each_entry_once(&entries.verification_material.tlog_entries)?;
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) if envelope.payload_type == dsse::IN_TOTO => {
            let payload = base64(&envelope.payload).ok_or_else(|| no_base64("payload"))?;
            statement::head(&payload, limits).map(drop)
        }
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (Some(_), Some(_)) | (None, None) => {
            Err(missing("exactly one of dsseEnvelope and messageSignature"))
        }
    }
}

/// The entries of a bundle, by what tells them apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logged {
    verification_material: LoggedMaterial,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedMaterial {
    #[serde(default)]
    tlog_entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    log_id: LogId,
    /// A number in text, as protobuf writes it, or a number.
    #[serde(default)]
    log_index: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

/// An entry that comes twice would be two proofs of one thing.
fn each_entry_once(entries: &[Entry]) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    for entry in entries {
        let index = match &entry.log_index {
            serde_json::Value::String(text) => text.parse().ok(),
            serde_json::Value::Null => Some(0),
            number => number.as_i64(),
        };
        let index: i64 = index.ok_or_else(|| malformed("`logIndex` is no number".to_owned()))?;
        let log = base64(&entry.log_id.key_id).ok_or_else(|| no_base64("keyId"))?;
        if !seen.insert((log, index)) {
            return Err(malformed("one log entry comes twice".to_owned()));
        }
    }
    Ok(())
}

/// Exactly one kind of material; from 0.3 on there is the leaf alone.
fn one_material(material: &Material, v03: bool) -> Result<(), Reason> {
    match (&material.public_key, &material.certificate, &material.x509_certificate_chain) {
        (Some(_), None, None) | (None, Some(_), None) => Ok(()),
        (None, None, Some(_)) if v03 => Err(malformed("a bundle 0.3 with a chain".to_owned())),
        (None, None, Some(chain)) if !chain.certificates.is_empty() => Ok(()),
        (None, None, Some(_)) => Err(malformed("an empty chain of certificates".to_owned())),
        _ => Err(missing("exactly one of publicKey, certificate and x509CertificateChain")),
    }
}

fn key_hint(material: Material, v03: bool, limits: &Limits) -> Result<Option<String>, Reason> {
    count_entries(&material, limits)?;
    match (material.public_key, material.certificate, material.x509_certificate_chain) {
        (Some(key), None, None) => Ok(key.hint.filter(|hint| !hint.is_empty())),
        (None, Some(certificate), None) => Err(keyless(&[certificate])),
        // From 0.3 on there is the leaf alone.
        (None, None, Some(_)) if v03 => Err(malformed("a bundle 0.3 with a chain".to_owned())),
        (None, None, Some(chain)) => Err(keyless(&chain.certificates)),
        _ => Err(missing("exactly one of publicKey, certificate and x509CertificateChain")),
    }
}

fn count_entries(material: &Material, limits: &Limits) -> Result<(), Reason> {
    let entries = material.tlog_entries.as_ref().map_or(0, |count| count.0);
    let timestamps = material.timestamp_verification_data.as_ref();
    let timestamps = timestamps.and_then(|t| t.rfc3161_timestamps.as_ref());
    let most = limits.bundle_entries;
    if entries > most || timestamps.map_or(0, |count| count.0) > most {
        let what = format!("more than {most} log entries or timestamps in a bundle");
        return Err(Reason::LimitExceeded(what));
    }
    Ok(())
}

fn keyless(certificates: &[Certificate]) -> Reason {
    let encoded = |c: &Certificate| base64(&c.raw_bytes).is_some_and(|der| !der.is_empty());
    if certificates.is_empty() || !certificates.iter().all(encoded) {
        return malformed("a certificate that is empty or no base64".to_owned());
    }
    Reason::Unsupported("made with a certificate; keyless comes later".to_owned())
}

fn open(envelope: Dsse) -> Result<(Vec<u8>, Vec<u8>), Reason> {
    if envelope.payload_type != dsse::IN_TOTO {
        let kind = clip(&envelope.payload_type);
        return Err(Reason::Unsupported(format!("a DSSE payload of type `{kind}`")));
    }
    let [signature] = envelope.signatures.as_slice() else {
        let count = envelope.signatures.len();
        return Err(malformed(format!("{count} DSSE signatures instead of one")));
    };
    let payload = base64(&envelope.payload).ok_or_else(|| no_base64("payload"))?;
    let signature = base64(&signature.sig).ok_or_else(|| no_base64("sig"))?;
    if signature.is_empty() {
        return Err(malformed("an empty signature".to_owned()));
    }
    Ok((payload, signature))
}

/// The statement to sign for an image, in deterministic bytes.
///
/// `name` is signed as repository and tag; a digest in it is left out, for
/// the subject has it.
pub fn statement(
    subject: &Digest,
    name: Option<&Reference>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    statement::build(subject, name.map(super::signed_name).as_deref(), annotations)
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
    super::to_json(&bundle)
}

/// A bundle 0.3 around a signature over a file itself.
pub fn file_bundle(digest: &Digest, signature: &[u8], hint: &str) -> Vec<u8> {
    super::to_json(&WrittenFileBundle {
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
    super::to_json(&WrittenManifest {
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

fn malformed(what: String) -> Reason {
    Reason::Malformed(what)
}

fn missing(what: &str) -> Reason {
    malformed(format!("the bundle must have {what}"))
}

fn no_base64(field: &str) -> Reason {
    malformed(format!("`{field}` is no base64"))
}
