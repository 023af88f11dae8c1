//! What may turn out to be a signature.

use std::collections::BTreeMap;

use super::sniff;
use crate::evidence::{Format, Reason, Rejection};
use crate::image::{Descriptor, media_type};

/// Bytes that may be a signature, with where they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it was found, for people: a manifest digest, a tag, a file.
    pub item: String,
    /// Media type under which it was listed; empty where nothing listed it.
    pub media_type: String,
    /// The envelope, or the payload where the envelope is in annotations.
    pub bytes: Vec<u8>,
    /// Annotations of the descriptor that listed it.
    pub annotations: BTreeMap<String, String>,
}

impl Candidate {
    /// A blob that a manifest lists. Digest and size are recomputed.
    ///
    /// # Errors
    /// A [`Rejection`] where the bytes are not the ones listed.
    pub fn listed(
        item: impl Into<String>,
        descriptor: &Descriptor,
        bytes: Vec<u8>,
    ) -> Result<Self, Rejection> {
        let candidate = Self {
            item: item.into(),
            media_type: descriptor.media_type.clone(),
            bytes,
            annotations: descriptor.annotations.clone(),
        };
        let found = Descriptor::of(descriptor.media_type.clone(), &candidate.bytes);
        if found.size != descriptor.size {
            let what = format!("{} bytes instead of {}", found.size, descriptor.size);
            return Err(candidate.rejected(Reason::Corrupt(what)));
        }
        if !descriptor.digest.matches(&candidate.bytes) {
            let what = format!("{} instead of {}", found.digest, descriptor.digest);
            return Err(candidate.rejected(Reason::Corrupt(what)));
        }
        Ok(candidate)
    }

    /// A Sigstore bundle from a file or from memory.
    pub fn bundle(item: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            item: item.into(),
            media_type: media_type::SIGSTORE_BUNDLE.to_owned(),
            bytes,
            annotations: BTreeMap::new(),
        }
    }

    /// An older cosign signature: a payload with the annotations of its
    /// layer.
    pub fn cosign(
        item: impl Into<String>,
        payload: Vec<u8>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let media_type = media_type::COSIGN_SIMPLE.to_owned();
        Self { item: item.into(), media_type, bytes: payload, annotations }
    }

    /// The OpenPGP message of a GPG simple signature.
    pub fn simple(item: impl Into<String>, message: Vec<u8>) -> Self {
        let media_type = media_type::OPENPGP_SIMPLE.to_owned();
        Self { item: item.into(), media_type, bytes: message, annotations: BTreeMap::new() }
    }

    /// A manifest of Docker's schema 1, which carries its signatures in
    /// itself.
    pub fn libtrust(item: impl Into<String>, manifest: Vec<u8>) -> Self {
        let media_type = media_type::DOCKER_SCHEMA_1_SIGNED.to_owned();
        Self { item: item.into(), media_type, bytes: manifest, annotations: BTreeMap::new() }
    }

    /// The format, where it is one of ours.
    pub fn format(&self) -> Option<Format> {
        sniff(&self.media_type, &self.bytes)
    }

    /// The record that this candidate proves nothing.
    pub fn rejected(&self, reason: Reason) -> Rejection {
        Rejection { item: self.item.clone(), format: self.format(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_than_the_listed_ones_are_corrupt() {
        let listed = Descriptor::of(media_type::COSIGN_SIMPLE, b"payload");
        assert!(Candidate::listed("x", &listed, b"payload".to_vec()).is_ok());
        for bytes in [b"paYload".as_slice(), b"payloa", b"payloads", b""] {
            let rejection = Candidate::listed("x", &listed, bytes.to_vec()).unwrap_err();
            assert!(matches!(rejection.reason, Reason::Corrupt(_)), "{rejection}");
            assert_eq!(rejection.format, Some(Format::Cosign));
        }
    }
}
