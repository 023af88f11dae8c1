//! What a bundle may be at most, before anybody else reads it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Material, count_entries, malformed, missing, no_base64, read};
use crate::envelope::text::base64;
use crate::envelope::{bad_document, dsse, statement};
use crate::evidence::Reason;
use crate::limits::Limits;

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
pub(super) fn one_material(material: &Material, v03: bool) -> Result<(), Reason> {
    match (&material.public_key, &material.certificate, &material.x509_certificate_chain) {
        (Some(_), None, None) | (None, Some(_), None) => Ok(()),
        (None, None, Some(_)) if v03 => Err(malformed("a bundle 0.3 with a chain".to_owned())),
        (None, None, Some(chain)) if !chain.certificates.is_empty() => Ok(()),
        (None, None, Some(_)) => Err(malformed("an empty chain of certificates".to_owned())),
        _ => Err(missing("exactly one of publicKey, certificate and x509CertificateChain")),
    }
}
