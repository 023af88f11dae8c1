//! Keys by whom something may be signed (RFC 9580, section 10.1).

use std::collections::BTreeMap;

use pgp::armor::BlockType;
use pgp::composed::{Deserializable as _, SignedPublicKey};
use pgp::packet::Packet;

use super::certificate::Certificate;
use super::packets::{self, malformed};
use super::{Fingerprint, OpenPgpError};
use crate::limits::Limits;

/// Keys by whom something may be signed.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: BTreeMap<Fingerprint, Certificate>,
}

impl Keyring {
    /// Reads exported keys, armoured or binary, one or several.
    ///
    /// Keys of algorithms that are not verified (DSA, brainpool curves) are
    /// left out, for nothing that they signed can count.
    ///
    /// # Errors
    /// [`OpenPgpError`] where it holds anything else, or no key that can be
    /// used: a secret key least of all belongs where images are verified.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, OpenPgpError> {
        if bytes.len() as u64 > limits.keyring_bytes {
            let limit = limits.keyring_bytes;
            return Err(OpenPgpError::Limit(format!("the keyring is larger than {limit} bytes")));
        }
        let packets = packets::read(bytes, &BlockType::PublicKey)?;
        let secret =
            |packet: &Packet| matches!(packet, Packet::SecretKey(_) | Packet::SecretSubkey(_));
        if packets.iter().any(secret) {
            let why = "it holds a secret key; name what `gpg --export` writes";
            return Err(OpenPgpError::Unsupported(why.to_owned()));
        }
        let mut ring = Self::default();
        for key in SignedPublicKey::from_packets(packets.into_iter().map(Ok).peekable()) {
            let key = key.map_err(|error| malformed(&error.to_string()))?;
            if let Some(certificate) = Certificate::new(key) {
                ring.add(certificate);
            }
        }
        if ring.certificates.is_empty() {
            let why = "no key in it can be used; RSA, NIST curves and Ed25519 are verified";
            return Err(OpenPgpError::Unsupported(why.to_owned()));
        }
        Ok(ring)
    }

    /// This key alone.
    pub(super) fn of(certificate: Certificate) -> Self {
        let mut ring = Self::default();
        ring.add(certificate);
        ring
    }

    /// The keys in it.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// Both together; a key that is in both is one, with what either knows.
    pub fn merge(&mut self, other: Self) {
        other.certificates.into_values().for_each(|certificate| self.add(certificate));
    }

    /// Only the key of this fingerprint.
    pub fn only(&self, fingerprint: &str) -> Option<Self> {
        let (name, certificate) = self.certificates.get_key_value(fingerprint)?;
        Some(Self { certificates: BTreeMap::from([(name.clone(), certificate.clone())]) })
    }

    fn add(&mut self, certificate: Certificate) {
        match self.certificates.get_mut(certificate.fingerprint()) {
            Some(known) => known.merge(certificate),
            None => {
                self.certificates.insert(certificate.fingerprint().to_owned(), certificate);
            }
        }
    }
}
