//! From the bytes of the file to those of the tar.

use std::fmt;

use super::AciRules;
use super::bzip2::Bzip2;
use super::xz::Xz;
use crate::image::layer::Fault;
use crate::image::layer::gzip::Gzip;
use crate::image::layer::unpack::{OUT, Sink};
use crate::image::{Algorithm, Digest, Limits};

/// Bytes that tell what a file is: the magic of a tar ends at 262.
const HEAD: usize = 512;

/// How an ACI is compressed (aci.md, "Image Archives").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AciCompression {
    /// A plain tar.
    Tar,
    /// gzip, RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl AciCompression {
    /// What the first bytes of a file say.
    fn sniff(head: &[u8]) -> Result<Self, Fault> {
        if head.starts_with(&[0x1f, 0x8b]) {
            Ok(Self::Gzip)
        } else if head.starts_with(b"BZh") {
            Ok(Self::Bzip2)
        } else if head.starts_with(b"\xfd7zXZ\0") {
            Ok(Self::Xz)
        } else if head.get(257..262) == Some(b"ustar") {
            Ok(Self::Tar)
        } else if is_encrypted(head) {
            Err(malformed("encrypted with OpenPGP; decrypt it first (`gpg --decrypt`)"))
        } else {
            Err(malformed("no ACI: neither a ustar tar nor gzip, bzip2 or xz"))
        }
    }
}

impl fmt::Display for AciCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// Whether it begins as an encrypted OpenPGP message does: armour, or a
/// packet of tag 1, 3, 9 or 18 (RFC 9580, section 4.2).
fn is_encrypted(head: &[u8]) -> bool {
    let tag = match head.first() {
        Some(byte) if byte & 0xc0 == 0xc0 => byte & 0x3f,
        Some(byte) if byte & 0xc0 == 0x80 => (byte & 0x3c) >> 2,
        _ => return head.starts_with(b"-----BEGIN PGP MESSAGE"),
    };
    matches!(tag, 1 | 3 | 9 | 18)
}

/// A decompressor, found by the first bytes, and what becomes of its output.
#[derive(Debug)]
pub(super) struct Unpack {
    stage: Stage,
    sink: Sink<AciRules>,
    buffer: Vec<u8>,
    dictionary: u64,
}

enum Stage {
    /// The first bytes, as many as came.
    Head(Vec<u8>),
    Tar,
    Gzip(Box<Gzip>),
    Bzip2(Box<Bzip2>),
    Xz(Box<Xz>),
    Failed(Fault),
}

impl Unpack {
    pub(super) fn new(limits: &Limits, rules: AciRules) -> Self {
        Self {
            stage: Stage::Head(Vec::with_capacity(HEAD)),
            sink: Sink::new(Algorithm::Sha512, rules, limits),
            buffer: Vec::new(),
            dictionary: limits.xz_dictionary_bytes,
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) -> bool {
        if let Stage::Head(head) = &mut self.stage {
            let room = HEAD - head.len();
            let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            head.extend_from_slice(first);
            if head.len() < HEAD {
                return true;
            }
            bytes = rest;
            self.begin();
        }
        self.decode(bytes);
        !matches!(self.stage, Stage::Failed(_))
    }

    fn begin(&mut self) {
        let Stage::Head(head) = std::mem::replace(&mut self.stage, Stage::Tar) else { return };
        self.stage = match AciCompression::sniff(&head) {
            Ok(AciCompression::Tar) => Stage::Tar,
            Ok(AciCompression::Gzip) => Stage::Gzip(Box::new(Gzip::new())),
            Ok(AciCompression::Bzip2) => Stage::Bzip2(Box::new(Bzip2::new())),
            Ok(AciCompression::Xz) => match Xz::new(self.dictionary) {
                Ok(xz) => Stage::Xz(Box::new(xz)),
                Err(fault) => Stage::Failed(fault),
            },
            Err(fault) => Stage::Failed(fault),
        };
        if !matches!(self.stage, Stage::Tar | Stage::Failed(_)) {
            self.buffer = vec![0; OUT];
        }
        self.decode(&head);
    }

    fn decode(&mut self, bytes: &[u8]) {
        self.sink.take(bytes.len());
        let (out, sink) = (&mut self.buffer, &mut self.sink);
        let step = match &mut self.stage {
            Stage::Tar => sink.write(bytes),
            Stage::Gzip(gzip) => gzip.update(bytes, out, sink),
            Stage::Bzip2(bzip2) => bzip2.update(bytes, out, sink),
            Stage::Xz(xz) => xz.update(bytes, out, sink),
            Stage::Head(_) | Stage::Failed(_) => return,
        };
        if let Err(fault) = step {
            self.stage = Stage::Failed(fault);
        }
    }

    /// The digest and size of the tar, how it was compressed, and the rules
    /// with what they saw, or why there is no ACI.
    pub(super) fn finish(mut self) -> (Digest, u64, AciCompression, Result<AciRules, Fault>) {
        if matches!(self.stage, Stage::Head(_)) {
            self.begin();
        }
        let (out, sink) = (&mut self.buffer, &mut self.sink);
        let (compression, end) = match self.stage {
            Stage::Gzip(gzip) => (AciCompression::Gzip, gzip.end()),
            Stage::Bzip2(bzip2) => (AciCompression::Bzip2, bzip2.end()),
            Stage::Xz(mut xz) => (AciCompression::Xz, xz.end(out, sink)),
            Stage::Tar | Stage::Head(_) => (AciCompression::Tar, Ok(())),
            Stage::Failed(fault) => (AciCompression::Tar, Err(fault)),
        };
        let (digest, size, rules, fault) = self.sink.finish();
        let rules = match (end, fault) {
            (Err(fault), _) | (Ok(()), Some(fault)) => Err(fault),
            (Ok(()), None) => Ok(rules),
        };
        (digest, size, compression, rules)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(_) => "Head",
            Self::Tar => "Tar",
            Self::Gzip(_) => "Gzip",
            Self::Bzip2(_) => "Bzip2",
            Self::Xz(_) => "Xz",
            Self::Failed(_) => "Failed",
        })
    }
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(why.to_owned())
}
