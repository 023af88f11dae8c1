//! Signature envelopes: bytes to claims and back, one file per format.
//!
//! Nothing here is verified and nothing here decides. What is parsed stays
//! [`Untrusted`] until `verify` has checked the signature over the exact
//! bytes. A new format is one file, one variant of [`Format`], one directory
//! of vectors; the compiler lists the rest.

mod candidate;
mod carrier;
pub mod cosign;
mod description;
pub mod dsse;
pub mod libtrust;
pub mod sigstore;
pub mod simple;
pub mod statement;
mod text;
mod untrusted;

pub use candidate::Candidate;
pub use carrier::{layers_of_referrer, layers_of_tag};
pub use description::{Described, Description, describe};
pub use untrusted::Untrusted;

use std::borrow::Cow;

use crate::crypto::openpgp::OpenPgpError;
use crate::evidence::{Claims, Format, Reason};
use crate::image::json::JsonError;
use crate::image::{Digest, Reference, media_type};
use crate::limits::Limits;

/// An envelope taken apart: who is said to have signed which bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub(crate) format: Format,
    /// What carries the claims.
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// Which key is said to have made it. Unsigned: good for an order in
    /// which to try keys, and for an error message.
    pub(crate) hint: Option<String>,
}

impl Envelope {
    /// The exact bytes over which the signature is made.
    pub(crate) fn message(&self) -> Cow<'_, [u8]> {
        match self.format {
            Format::Sigstore => dsse::pae(dsse::IN_TOTO, &self.payload).into(),
            Format::Cosign
            | Format::NotaryJws
            | Format::NotaryCose
            | Format::Simple
            | Format::Appc
            | Format::Libtrust => self.payload.as_slice().into(),
        }
    }

    /// What the payload says about `target`. Call it on a payload whose
    /// signature holds.
    ///
    /// # Errors
    /// The [`Reason`] why it says nothing about `target`.
    pub(crate) fn claims(&self, target: &Digest, limits: &Limits) -> Result<Claims, Reason> {
        match self.format {
            Format::Sigstore => statement::claims(&self.payload, target, limits),
            Format::Cosign => cosign::claims(&self.payload, target, limits),
            Format::Libtrust => libtrust::claims(&self.payload, target, limits),
            Format::Simple => simple::claims(&self.payload, target, limits),
            Format::NotaryJws | Format::NotaryCose | Format::Appc => Err(unsupported(self.format)),
        }
    }
}

/// Which format this is; `None` is "not ours".
///
/// The media type decides. Only where it says nothing (a file, or plain
/// JSON) the bytes are asked.
pub fn sniff(media_type: &str, bytes: &[u8]) -> Option<Format> {
    match media_type {
        media_type::COSIGN_SIMPLE => Some(Format::Cosign),
        media_type::DOCKER_SCHEMA_1_SIGNED => Some(Format::Libtrust),
        media_type::OPENPGP_SIMPLE => Some(Format::Simple),
        bundle if bundle.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX) => Some(Format::Sigstore),
        "" | "application/json" => sigstore::names_itself(bytes).then_some(Format::Sigstore),
        _ => None,
    }
}

/// Takes a candidate apart.
///
/// # Errors
/// The [`Reason`] why it is no envelope that ocisign can verify.
pub fn parse(candidate: &Candidate, limits: &Limits) -> Result<Untrusted<Envelope>, Reason> {
    if candidate.bytes.len() as u64 > limits.envelope_bytes {
        let bound = limits.envelope_bytes;
        return Err(Reason::LimitExceeded(format!("an envelope of more than {bound} bytes")));
    }
    match candidate.format() {
        Some(Format::Sigstore) => sigstore::parse(&candidate.bytes, limits),
        Some(Format::Cosign) => {
            cosign::parse(candidate.bytes.clone(), &candidate.annotations, limits)
        }
        Some(Format::Libtrust) => libtrust::parse(&candidate.bytes, limits),
        Some(Format::Simple) => simple::parse(&candidate.bytes, limits),
        Some(other @ (Format::NotaryJws | Format::NotaryCose | Format::Appc)) => {
            Err(unsupported(other))
        }
        None => Err(Reason::Foreign(format!("media type `{}`", clip(&candidate.media_type)))),
    }
}

fn unsupported(format: Format) -> Reason {
    Reason::Unsupported(format!("signatures of the format {} come later", format.as_str()))
}

/// How OpenPGP data that cannot be read is recorded.
impl From<OpenPgpError> for Reason {
    fn from(error: OpenPgpError) -> Self {
        match error {
            OpenPgpError::Malformed(what) => Self::Malformed(clip(&what)),
            OpenPgpError::Limit(what) => Self::LimitExceeded(what),
            OpenPgpError::Unsupported(what) => Self::Unsupported(clip(&what)),
        }
    }
}

/// How a refused JSON text is recorded.
fn bad_json(what: &str, error: &JsonError) -> Reason {
    match error {
        JsonError::TooDeep { .. } => Reason::LimitExceeded(format!("{what}: {error}")),
        JsonError::Ambiguous { .. } | JsonError::Malformed { .. } => {
            Reason::Malformed(format!("{what}: {}", clip(&error.to_string())))
        }
    }
}

/// How a text is recorded that is JSON and not the document it should be.
fn bad_document(what: &str, error: &serde_json::Error) -> Reason {
    Reason::Malformed(format!("{what}: {}", clip(&error.to_string())))
}

/// Text of others, fit for a message: short, and with nothing in it that
/// steers a terminal or turns the direction of writing.
pub(crate) fn clip(text: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().take(160).map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The name to sign: normalised repository and tag. The digest is not part
/// of it, for the subject says it.
fn signed_name(reference: &Reference) -> String {
    match reference.tag() {
        Some(tag) => format!("{}:{tag}", reference.repository()),
        None => reference.repository().to_string(),
    }
}

/// JSON of our own structures, which have no key that is not a string and
/// so cannot fail.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
