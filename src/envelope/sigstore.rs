//! Sigstore bundles 0.1 to 0.3 (protobuf-specs, sigstore_bundle.proto, in
//! the JSON form of protobuf), and the manifest that attaches one
//! (cosign, specs/BUNDLE_SPEC.md).

mod bounds;
mod written;

use serde::Deserialize;

use super::text::{Count, base64};
use super::{Envelope, Untrusted, bad_document, bad_json, clip, dsse};
use crate::evidence::{Format, Reason};
use crate::image::{Digest, json, media_type};
use crate::limits::Limits;

pub use super::statement::SIGN_PREDICATE;
pub use bounds::bounded;
pub use written::{bundle, file_bundle, manifest, statement};

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

fn key_hint(material: Material, v03: bool, limits: &Limits) -> Result<Option<String>, Reason> {
    count_entries(&material, limits)?;
    bounds::one_material(&material, v03)?;
    let chain = material.x509_certificate_chain.map(|chain| chain.certificates);
    match (material.public_key, material.certificate.map(|leaf| vec![leaf]).or(chain)) {
        (Some(key), _) => Ok(key.hint.filter(|hint| !hint.is_empty())),
        (None, certificates) => Err(keyless(&certificates.unwrap_or_default())),
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

fn malformed(what: String) -> Reason {
    Reason::Malformed(what)
}

fn missing(what: &str) -> Reason {
    malformed(format!("the bundle must have {what}"))
}

fn no_base64(field: &str) -> Reason {
    malformed(format!("`{field}` is no base64"))
}
