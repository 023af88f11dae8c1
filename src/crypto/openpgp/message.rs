//! Signed messages that carry their content (RFC 9580, section 10.3): what
//! `gpg --sign` writes, and what simple signing consists of.

use std::io::Read as _;

use pgp::armor::BlockType;
use pgp::packet::{CompressedData, LiteralData, Packet, Signature};

use super::detached::{ContentHash, hint};
use super::packets::{self, malformed};
use super::{Keyring, OpenPgpError, PgpFailure, PgpSigner};
use crate::limits::Limits;

/// A signed message that carries its content (GPG simple signing).
#[derive(Debug)]
pub struct SignedMessage {
    signature: Signature,
    content: LiteralData,
}

impl SignedMessage {
    /// Reads one message with exactly one signature, compressed once at most.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, OpenPgpError> {
        if bytes.len() as u64 > limits.envelope_bytes {
            let limit = limits.envelope_bytes;
            return Err(OpenPgpError::Limit(format!("a message of more than {limit} bytes")));
        }
        if bytes.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            return Err(unsupported("a cleartext signature; sign with `gpg --sign`"));
        }
        let mut packets = packets::read(bytes, &BlockType::Message)?;
        if let [Packet::CompressedData(compressed)] = packets.as_slice() {
            packets = packets::parse(&inflate(compressed, limits)?)?;
        }
        Self::of(packets)
    }

    /// One-pass signature, content, signature; older programs put the
    /// signature first and write no one-pass packet.
    fn of(packets: Vec<Packet>) -> Result<Self, OpenPgpError> {
        let mut packets = packets.into_iter();
        let read = (packets.next(), packets.next(), packets.next(), packets.next());
        match read {
            (
                Some(Packet::OnePassSignature(_)),
                Some(Packet::LiteralData(content)),
                Some(Packet::Signature(signature)),
                None,
            )
            | (
                Some(Packet::Signature(signature)),
                Some(Packet::LiteralData(content)),
                None,
                None,
            ) => Ok(Self { signature, content }),
            (Some(Packet::LiteralData(_)), None, ..) => Err(unsupported("nobody signed it")),
            _ => Err(unsupported("it is no message with exactly one signature")),
        }
    }

    /// Key id or fingerprint that it names.
    pub fn hint(&self) -> Option<String> {
        hint(&self.signature)
    }

    /// The content, which nobody has verified.
    pub fn unverified_content(&self) -> &[u8] {
        self.content.data()
    }

    /// The content and its signer, where the signature holds.
    ///
    /// # Errors
    /// [`PgpFailure`].
    pub fn verify(&self, keyring: &Keyring) -> Result<(PgpSigner, &[u8]), PgpFailure> {
        let mut hash = ContentHash::begin(&self.signature)?;
        hash.update(self.content.data());
        Ok((hash.verify(keyring)?, self.content.data()))
    }
}

fn inflate(compressed: &CompressedData, limits: &Limits) -> Result<Vec<u8>, OpenPgpError> {
    let failed = |why: &dyn std::fmt::Display| malformed(&format!("compressed data: {why}"));
    let mut reader = compressed.decompress().map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let limit = limits.envelope_bytes;
    reader.by_ref().take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > limit {
        return Err(OpenPgpError::Limit(format!("it inflates to more than {limit} bytes")));
    }
    if !reader.get_ref().is_empty() {
        return Err(malformed("there is more behind the compressed data"));
    }
    Ok(bytes)
}

fn unsupported(why: &str) -> OpenPgpError {
    OpenPgpError::Unsupported(why.to_owned())
}
