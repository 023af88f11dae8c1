//! GPG simple signing: an OpenPGP message around a JSON payload
//! (containers/image, containers-signature.5), as lookaside stores and the
//! signature extension of registries keep it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Candidate, Envelope, Untrusted, bad_document, bad_json, clip};
use crate::crypto::openpgp::SignedMessage;
use crate::evidence::{Claims, Format, Reason, Statement, Subject};
use crate::image::{Digest, Reference, json, media_type};
use crate::limits::Limits;

/// `critical.type` of every such payload.
const TYPE: &str = "atomic container signature";
/// What the reference implementation names before its version.
const CREATOR: &str = concat!("ocisign ", env!("CARGO_PKG_VERSION"));

/// An unknown member at the top or in `critical` rejects the signature; in
/// `optional` it is passed over (containers-signature.5, "JSON data format").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    critical: Critical,
    optional: Optional,
}

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

#[derive(Deserialize)]
struct Optional {
    #[serde(default, rename = "creator", deserialize_with = "present")]
    _creator: Option<String>,
    #[serde(default, deserialize_with = "present")]
    timestamp: Option<i64>,
}

/// A member that is there is of its type; null is no such type.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What one blob of a lookaside holds, by its first bytes
/// (containers/image, "Signature storage format").
enum Framed<'b> {
    /// An OpenPGP message.
    Message(&'b [u8]),
    /// A cosign signature with its annotations, as JSON.
    SigstoreJson(&'b [u8]),
}

impl<'b> Framed<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, Reason> {
        // a packet tag always has its highest bit set; `=` begins armour's checksum
        match bytes.first() {
            None => Err(Reason::Malformed("an empty signature".to_owned())),
            Some(0) => {
                let rest = bytes.get(1..).unwrap_or_default();
                let end = rest.iter().position(|byte| *byte == b'\n');
                let (name, body) = match end.and_then(|end| rest.split_at_checked(end)) {
                    Some((name, body)) => (name, body.get(1..).unwrap_or_default()),
                    None => {
                        return Err(Reason::Malformed("a format id without its end".to_owned()));
                    }
                };
                match name {
                    b"simple-signing" => Ok(Self::Message(body)),
                    b"sigstore-json" => Ok(Self::SigstoreJson(body)),
                    other => {
                        let other = clip(&String::from_utf8_lossy(other));
                        Err(Reason::Unsupported(format!("the signature format `{other}`")))
                    }
                }
            }
            Some(first) if first & 0x80 != 0 => Ok(Self::Message(bytes)),
            Some(_) => Err(Reason::Malformed("it is no OpenPGP message".to_owned())),
        }
    }
}

/// A cosign signature as such a store keeps it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SigstoreJson {
    #[serde(rename = "mimeType")]
    mime_type: String,
    payload: String,
    annotations: BTreeMap<String, String>,
}

/// A blob of a lookaside as the candidate that it is: framing taken off.
///
/// # Errors
/// The [`Reason`] why it is none.
pub fn candidate(item: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Candidate, Reason> {
    match Framed::read(&bytes)? {
        Framed::Message(message) => Ok(Candidate::simple(item, message.to_vec())),
        Framed::SigstoreJson(text) => {
            const KEYS: &[&str] = &["mimeType", "payload", "annotations"];
            let scan = json::Scan {
                known: KEYS,
                maps: &["annotations"],
                max_depth: limits.json_depth,
                integers_only: false,
            };
            scan.check(text).map_err(|e| bad_json("signature", &e))?;
            let read: SigstoreJson =
                serde_json::from_slice(text).map_err(|e| bad_document("signature", &e))?;
            if read.mime_type != media_type::COSIGN_SIMPLE {
                return Err(Reason::Foreign(format!("media type `{}`", clip(&read.mime_type))));
            }
            let payload = super::text::base64(&read.payload)
                .ok_or_else(|| Reason::Malformed("`payload` is no base64".to_owned()))?;
            Ok(Candidate::cosign(item, payload, read.annotations))
        }
    }
}

/// Takes a message apart; nothing of it is verified.
pub(super) fn parse(message: &[u8], limits: &Limits) -> Result<Untrusted<Envelope>, Reason> {
    let parsed = SignedMessage::parse(message, limits)?;
    Ok(Untrusted::new(Envelope {
        format: Format::Simple,
        payload: parsed.unverified_content().to_vec(),
        signature: message.to_vec(),
        hint: parsed.hint(),
    }))
}

/// What a payload whose signature holds says about `target`.
pub(crate) fn claims(payload: &[u8], target: &Digest, limits: &Limits) -> Result<Claims, Reason> {
    let payload = read(payload, limits)?;
    if payload.digest() != target.to_string() {
        return Err(Reason::WrongSubject(clip(payload.digest())));
    }
    Ok(Claims {
        subject: Subject { digest: target.clone(), size: None, media_type: None },
        name: Some(payload.name().to_owned()),
        annotations: BTreeMap::new(),
        statement: Statement::Signature,
        signed_at: payload.signed_at()?,
        expires: None,
    })
}

/// Parses a payload, strictly.
pub(super) fn read(payload: &[u8], limits: &Limits) -> Result<Payload, Reason> {
    json::scan(payload, &[], limits.json_depth).map_err(|e| bad_json("payload", &e))?;
    objects(payload)?;
    let payload: Payload =
        serde_json::from_slice(payload).map_err(|e| bad_document("payload", &e))?;
    match payload.critical.kind.as_str() {
        TYPE => match payload.name().parse::<Reference>() {
            Ok(_) => Ok(payload),
            Err(why) => Err(Reason::Malformed(format!("`docker-reference` is no name: {why}"))),
        },
        other => Err(Reason::Malformed(format!("critical.type is `{}`", clip(other)))),
    }
}

/// Serde would read an array as an object whose members stand in order.
fn objects(payload: &[u8]) -> Result<(), Reason> {
    let value: serde_json::Value =
        serde_json::from_slice(payload).map_err(|e| bad_document("payload", &e))?;
    for at in ["", "/critical", "/critical/identity", "/critical/image", "/optional"] {
        if value.pointer(at).is_some_and(|member| !member.is_object()) {
            return Err(Reason::Malformed(format!("payload: `{at}` is no object")));
        }
    }
    Ok(())
}

impl Payload {
    pub(super) fn digest(&self) -> &str {
        &self.critical.image.docker_manifest_digest
    }

    pub(super) fn name(&self) -> &str {
        &self.critical.identity.docker_reference
    }

    fn signed_at(&self) -> Result<Option<Timestamp>, Reason> {
        let instant = |second| {
            Timestamp::from_second(second)
                .map_err(|_| Reason::Malformed("`timestamp` is no instant".to_owned()))
        };
        self.optional.timestamp.map(instant).transpose()
    }
}

/// The payload to sign for an image, its members sorted, as the reference
/// implementation writes them.
pub fn payload(subject: &Digest, name: &Reference, created: Timestamp) -> Vec<u8> {
    super::to_json(&Written {
        critical: Critical {
            identity: Identity { docker_reference: super::signed_name(name) },
            image: Image { docker_manifest_digest: subject.to_string() },
            kind: TYPE.to_owned(),
        },
        optional: WrittenOptional { creator: CREATOR, timestamp: created.as_second() },
    })
}

#[derive(Serialize)]
struct Written {
    critical: Critical,
    optional: WrittenOptional,
}

#[derive(Serialize)]
struct WrittenOptional {
    creator: &'static str,
    timestamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:20bf21ed457b390829cdbeec8795a7bea1626991fda603e0d01b4e7f60427e55";

    fn text(critical: &str, optional: &str) -> String {
        format!(r#"{{"critical":{critical},"optional":{optional}}}"#)
    }

    fn critical() -> String {
        format!(
            r#"{{"type":"{TYPE}","image":{{"docker-manifest-digest":"{DIGEST}"}},"identity":{{"docker-reference":"r.example/app:v1"}}}}"#
        )
    }

    fn claimed(text: &str) -> Result<Claims, Reason> {
        claims(text.as_bytes(), &DIGEST.parse().unwrap(), &Limits::default())
    }

    #[test]
    fn what_is_written_is_read() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let name = "r.example/app:v1".parse().unwrap();
        let digest: Digest = DIGEST.parse().unwrap();
        let claims = claims(&payload(&digest, &name, at), &digest, &Limits::default()).unwrap();
        assert_eq!(claims.name.as_deref(), Some("r.example/app:v1"));
        assert_eq!(claims.signed_at, Some(at));
        assert_eq!(claims.subject.digest, digest);
    }

    #[test]
    fn optional_is_an_object_of_which_unknown_members_are_passed_over() {
        for optional in ["{}", r#"{"creator":"x","timestamp":5,"else":[1]}"#] {
            assert!(claimed(&text(&critical(), optional)).is_ok(), "{optional}");
        }
        for optional in [
            "null",
            "[]",
            r#"{"creator":1}"#,
            r#"{"creator":null}"#,
            r#"{"timestamp":1.5}"#,
            r#"{"timestamp":"1"}"#,
            r#"{"timestamp":9223372036854775807}"#,
        ] {
            let refused = claimed(&text(&critical(), optional));
            assert!(matches!(refused, Err(Reason::Malformed(_))), "{optional}: {refused:?}");
        }
    }

    #[test]
    fn critical_is_exact() {
        let whole = critical();
        for (from, to) in [
            (TYPE, "cosign container image signature"),
            (r#""identity""#, r#""more":1,"identity""#),
            (r#""docker-reference""#, r#""more":1,"docker-reference""#),
            (r#""docker-manifest-digest""#, r#""more":1,"docker-manifest-digest""#),
            ("r.example/app:v1", ""),
            (r#""type""#, r#""Type""#),
            (r#""type""#, r#""type":"x","type""#),
        ] {
            let other = whole.replacen(from, to, 1);
            assert_ne!(other, whole);
            let refused = claimed(&text(&other, "{}"));
            assert!(matches!(refused, Err(Reason::Malformed(_))), "{other}: {refused:?}");
        }
        let more = format!(r#"{{"critical":{whole},"optional":{{}},"more":1}}"#);
        assert!(claimed(&more).is_err());
        let without = format!(r#"{{"critical":{whole}}}"#);
        assert!(claimed(&without).is_err());
    }

    #[test]
    fn another_image_is_another_subject() {
        let other = Digest::sha256(b"other");
        let read = claims(text(&critical(), "{}").as_bytes(), &other, &Limits::default());
        assert_eq!(read, Err(Reason::WrongSubject(DIGEST.to_owned())));
    }

    #[test]
    fn the_first_byte_says_what_a_blob_is() {
        let limits = Limits::default();
        let kind = |bytes: &[u8]| candidate("x", bytes.to_vec(), &limits).map(|c| c.format());
        assert_eq!(kind(b"\x90rest"), Ok(Some(Format::Simple)));
        assert_eq!(kind(b"\0simple-signing\n\x90"), Ok(Some(Format::Simple)));
        let json = br#"{"mimeType":"application/vnd.dev.cosign.simplesigning.v1+json","payload":"e30=","annotations":{}}"#;
        let framed = [b"\0sigstore-json\n".as_slice(), json].concat();
        assert_eq!(kind(&framed), Ok(Some(Format::Cosign)));
        for bad in
            [b"".as_slice(), b"\0", b"\0simple-signing", b"-----BEGIN", b"\0sigstore-json\n{"]
        {
            assert!(matches!(kind(bad), Err(Reason::Malformed(_))), "{bad:?}");
        }
        assert!(matches!(kind(b"\0else\nx"), Err(Reason::Unsupported(_))));
    }
}
