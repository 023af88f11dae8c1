//! The root file system of an ACI as a layer of an OCI image: the same
//! entries in the same order without `rootfs/` before them (image-spec,
//! layer.md), in headers that are always written the same way.

use std::fmt;
use std::io::{self, Write};

use super::rules::at;
use crate::image::layer::Fault;
use crate::image::layer::tar::Entry;
use crate::image::{Algorithm, Digest, Hasher};

const BLOCK: usize = 512;
/// Bytes of the name and of the link in a header.
const NAME: usize = 100;
/// Largest size in octal; beyond it the field is binary.
const OCTAL: u64 = 0o777_7777_7777;
/// What the base name of an entry of a layer that removes begins with.
const WHITEOUT: &str = ".wh.";

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AciLayer {
    /// SHA-256 of its tar: digest and diff_id in one.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
}

/// Writes the layer as the entries come.
pub(super) struct LayerWriter {
    out: Box<dyn Write + Send>,
    hasher: Hasher,
    size: u64,
    /// Whether the data that comes is of an entry in it.
    copying: bool,
    /// What writing failed with; nothing is written after it.
    failed: Option<io::Error>,
}

impl LayerWriter {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        let hasher = Hasher::new(Algorithm::Sha256);
        Self { out, hasher, size: 0, copying: false, failed: None }
    }

    /// Takes an entry that keeps the rules, `path` being its path without a
    /// slash at the end.
    pub(super) fn entry(&mut self, entry: &Entry<'_>, path: &str) -> Result<(), Fault> {
        self.pad();
        let Some(name) = path.strip_prefix("rootfs/") else {
            self.copying = false;
            return Ok(());
        };
        self.copying = true;
        if name.split('/').any(|part| part.starts_with(WHITEOUT)) {
            return Err(at(path, "has a name that would remove something in a layer; rename it"));
        }
        let mut name = name.as_bytes().to_vec();
        if entry.kind == b'5' {
            name.push(b'/');
        }
        let link = match entry.kind {
            b'1' => entry.link.strip_prefix(b"rootfs/").unwrap_or(entry.link),
            b'2' => entry.link,
            _ => b"",
        };
        let mut pax = Vec::new();
        for (key, value) in [("path", name.as_slice()), ("linkpath", link)] {
            if value.len() > NAME {
                record(&mut pax, key, value);
            }
        }
        pax.extend_from_slice(entry.pax);
        if !pax.is_empty() {
            let mut header = [0; BLOCK];
            put(&mut header, 0, b"PaxHeaders.0");
            finish(&mut header, b'x', pax.len() as u64);
            self.write(&header);
            self.write(&pax);
            self.pad();
        }
        self.write(&header(entry, &name, link));
        Ok(())
    }

    /// Takes data of the entry that came last.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        if self.copying {
            self.write(bytes);
        }
    }

    /// The layer, once all of it is written.
    pub(super) fn finish(mut self) -> io::Result<AciLayer> {
        self.pad();
        self.write(&[0; 2 * BLOCK]);
        match self.failed {
            Some(error) => Err(error),
            None => {
                self.out.flush()?;
                Ok(AciLayer { digest: self.hasher.finish(), size: self.size })
            }
        }
    }

    fn pad(&mut self) {
        let over = (self.size % BLOCK as u64) as usize;
        if over > 0 {
            self.write([0; BLOCK].get(over..).unwrap_or_default());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.failed = self.out.write_all(bytes).err();
    }
}

impl fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerWriter").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The header of an entry: mode, owner, time and device as they are written,
/// its name and link anew, in ustar whatever it was before.
fn header(entry: &Entry<'_>, name: &[u8], link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for field in [100..124, 136..148, 265..345] {
        put(&mut block, field.start, entry.block.get(field).unwrap_or_default());
    }
    put(&mut block, 0, name.get(..NAME).unwrap_or(name));
    put(&mut block, 157, link.get(..NAME).unwrap_or(link));
    let kind = if entry.kind == 0 { b'0' } else { entry.kind };
    finish(&mut block, kind, entry.size);
    block
}

/// Sets type, size and magic, and then the checksum.
fn finish(block: &mut [u8; BLOCK], kind: u8, size: u64) {
    if size > OCTAL {
        put(block, 124, &[0x80, 0, 0, 0]);
        put(block, 128, &size.to_be_bytes());
    } else {
        put(block, 124, format!("{size:011o}\0").as_bytes());
    }
    put(block, 156, &[kind]);
    put(block, 257, b"ustar\x0000");
    put(block, 148, b"        ");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// A pax record: `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} {key}=").as_bytes());
    pax.extend_from_slice(value);
    pax.push(b'\n');
}
