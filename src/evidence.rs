//! The waist of the pipeline: what was verified, as facts, not booleans.
//!
//! Left of this module nothing knows policy; right of it nothing knows
//! cryptography, formats or the network. [`Facts`] is plain data that a test
//! may declare and a dump may replay; [`Evidence`] is facts that this process
//! verified itself, and only `verify` makes one.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::crypto::KeyId;
use crate::image::Digest;

/// The formats in which signatures come. Closed: `match` it in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Sigstore bundle 0.1 to 0.3.
    Sigstore,
    /// Older cosign: simple-signing JSON under a `.sig` tag.
    Cosign,
    /// Notary Project, JWS envelope.
    NotaryJws,
    /// Notary Project, COSE envelope.
    NotaryCose,
    /// GPG simple signing (containers/image).
    Simple,
    /// Detached OpenPGP signature of an ACI.
    Appc,
    /// The JWS inside a signed manifest of Docker's schema 1 (libtrust).
    Libtrust,
}

impl Format {
    /// The word in a policy and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sigstore => "sigstore",
            Self::Cosign => "cosign",
            Self::NotaryJws => "notary-jws",
            Self::NotaryCose => "notary-cose",
            Self::Simple => "simple",
            Self::Appc => "appc",
            Self::Libtrust => "libtrust",
        }
    }
}

/// What the signed bytes are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Its size in bytes, where the format signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its media type, where the format signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// What kind of statement was signed. A signature is not an attestation, and
/// the reverse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Statement {
    /// An image signature.
    Signature,
    /// An in-toto attestation.
    #[serde(rename_all = "camelCase")]
    Attestation {
        /// URI of the predicate's type.
        predicate_type: String,
        /// The predicate.
        predicate: serde_json::Value,
    },
}

/// What the signed bytes say, whatever the format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// What is signed.
    pub subject: Subject,
    /// The name that was signed with it, as written; absent in formats that
    /// sign none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Signed annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What is said about the subject.
    pub statement: Statement,
    /// A time inside the signed bytes (*s*); with several, the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
    /// The signature's own expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Who signed, as far as cryptography can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Signer {
    /// A bare public key.
    Key {
        /// Which one.
        key: KeyId,
    },
    /// An OpenPGP key: the primary key is who signed, and it or a subkey of
    /// it is what signed.
    Pgp {
        /// The key or subkey that made the signature.
        key: KeyId,
        /// The primary key that vouches for it; a policy names this one.
        primary: KeyId,
        /// Fingerprint of the primary key, in lower-case hex.
        fingerprint: String,
    },
}

impl Signer {
    /// The OpenPGP key that vouches for the one which signed.
    pub fn primary(&self) -> Option<&KeyId> {
        match self {
            Self::Key { .. } => None,
            Self::Pgp { primary, .. } => Some(primary),
        }
    }

    /// Fingerprint of that OpenPGP key, by which people know it.
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Key { .. } => None,
            Self::Pgp { fingerprint, .. } => Some(fingerprint),
        }
    }

    /// The canonical key that made the signature.
    pub fn key(&self) -> &KeyId {
        match self {
            Self::Key { key } | Self::Pgp { key, .. } => key,
        }
    }
}

/// Where a trusted time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// An RFC 3161 timestamp.
    Tsa,
    /// A transparency log's integrated time.
    Log,
}

/// A proof of "not later than" (*t*), with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedTime {
    /// The instant.
    pub at: Timestamp,
    /// What kind of authority says so.
    pub source: TimeSource,
    /// Name of the root in the trust material.
    pub root: String,
}

/// One verified signature, as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Where it was found, for people: a manifest digest, a tag, a file.
    pub item: String,
    /// The envelope's format.
    pub format: Format,
    /// Who signed.
    pub signer: Signer,
    /// What was signed.
    pub claims: Claims,
    /// Trusted times, each with its source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TrustedTime>,
}

/// Facts that this process verified: the signature holds over the exact
/// bytes from which the claims were read.
///
/// It has no public constructor and cannot be deserialised.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Evidence(Facts);

impl Evidence {
    /// For `verify` alone (`tests/layers.rs` holds that).
    pub(crate) fn verified(facts: Facts) -> Self {
        Self(facts)
    }

    /// What was verified.
    pub fn facts(&self) -> &Facts {
        &self.0
    }
}

/// A candidate that proves nothing, and why. Recorded and shown; never an
/// error, never a reason to deny by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Where it was found, for people.
    pub item: String,
    /// The format, where it was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Why it proves nothing.
    pub reason: Reason,
}

/// Why a candidate proves nothing. Exhaustive: match it without `_`.
///
/// In order of how much each says to a person who wonders why an image is
/// denied; [`Reason::rank`] is that order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "why", content = "detail", rename_all = "kebab-case")]
pub enum Reason {
    /// The signature does not verify under a key that it names.
    BadSignature,
    /// The signature is about another image.
    WrongSubject(String),
    /// The envelope breaks its format.
    Malformed(String),
    /// Bytes that differ from the digest or size under which they were listed.
    Corrupt(String),
    /// The envelope is well formed and of a kind that ocisign cannot verify.
    Unsupported(String),
    /// The signature verifies, and its certificate, its log entry or its
    /// timestamp does not hold.
    Unproven(String),
    /// The signature verifies, and its key or its algorithms do not count:
    /// expired, revoked, not for signing, too weak.
    Unfit(String),
    /// No key of the trust material made it.
    UnknownKey(Option<String>),
    /// A bound was reached before it was read.
    LimitExceeded(String),
    /// Not fetched or not readable for a reason outside of it.
    Unavailable(String),
    /// Not a signature at all: another kind of referrer.
    Foreign(String),
}

impl Reason {
    /// Smaller is more telling.
    pub fn rank(&self) -> u8 {
        match self {
            Self::BadSignature => 0,
            Self::WrongSubject(_) => 1,
            Self::Malformed(_) => 2,
            Self::Corrupt(_) => 3,
            Self::Unsupported(_) => 4,
            Self::Unproven(_) => 5,
            Self::Unfit(_) => 6,
            Self::UnknownKey(_) => 7,
            Self::LimitExceeded(_) => 8,
            Self::Unavailable(_) => 9,
            Self::Foreign(_) => 10,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => f.write_str("the signature does not verify"),
            Self::WrongSubject(what) => write!(f, "it signs another image: {what}"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Corrupt(what) => write!(f, "its bytes are not the ones listed: {what}"),
            Self::Unsupported(what) => write!(f, "cannot be verified: {what}"),
            Self::Unproven(what) => write!(f, "not proven: {what}"),
            Self::Unfit(what) => write!(f, "its key or algorithm does not count: {what}"),
            Self::UnknownKey(Some(hint)) => {
                write!(f, "made with a key that the policy does not name (hint `{hint}`)")
            }
            Self::UnknownKey(None) => f.write_str("made with a key that the policy does not name"),
            Self::LimitExceeded(what) => write!(f, "limit exceeded: {what}"),
            Self::Unavailable(what) => write!(f, "not available: {what}"),
            Self::Foreign(what) => write!(f, "not a signature: {what}"),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.reason)
    }
}
