//! A walk over a tar stream that finds what extractors disagree about:
//! duplicate paths, a bare `.wh.`, headers that are none (image-spec,
//! layer.md: "MUST NOT contain duplicate paths").
//!
//! It reads ustar, pax and GNU headers as Go's archive/tar does and keeps no
//! names, only 16 bytes of a hash for each.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::unpack::Fault;

const BLOCK: usize = 512;
/// Longest extended header that is read; Go stops there too.
const MAX_EXTENDED: u64 = 1 << 20;

/// The walk. It stops at the first fault; the bytes are hashed elsewhere.
#[derive(Debug)]
pub(super) struct TarWalk {
    stage: Stage,
    block: Vec<u8>,
    /// What extended headers say about the entry that follows them.
    next: Override,
    seen: HashSet<[u8; 16]>,
    max: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Stage {
    Header,
    /// File contents, and the padding after them.
    Skip {
        data: u64,
        padding: u64,
    },
    /// An extended header: its kind, its bytes, and how many with padding
    /// are to come.
    Extended {
        kind: u8,
        body: Vec<u8>,
        size: u64,
        left: u64,
    },
    /// More blocks of an old GNU sparse map, then this much data.
    Sparse(u64),
    /// One block of zeros was read.
    Zero,
    /// The archive has ended; whatever follows is nobody's.
    Done,
}

#[derive(Debug, Default)]
struct Override {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    /// Headers that speak of the next entry were read.
    pending: bool,
}

impl TarWalk {
    pub(super) fn new(max: usize) -> Self {
        Self {
            stage: Stage::Header,
            block: Vec::with_capacity(BLOCK),
            next: Override::default(),
            seen: HashSet::new(),
            max,
            fault: None,
        }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.fault.is_none() && !matches!(self.stage, Stage::Done) {
            match self.step(bytes) {
                Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// What is wrong with the archive, if anything.
    ///
    /// Go, and so every runtime, lets an archive end without the blocks of
    /// zeros and without the last padding; `umoci insert` writes such ones.
    pub(super) fn finish(self) -> Option<Fault> {
        if self.fault.is_some() {
            return self.fault;
        }
        let whole = match self.stage {
            Stage::Header => self.block.is_empty() && !self.next.pending,
            Stage::Skip { data, .. } => data == 0,
            Stage::Zero => self.block.is_empty(),
            Stage::Done => true,
            Stage::Extended { .. } | Stage::Sparse(_) => false,
        };
        (!whole).then(|| malformed("the archive is cut short"))
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.stage {
            Stage::Skip { data, padding } => {
                let part = if *data > 0 { &mut *data } else { &mut *padding };
                let taken = (bytes.len() as u64).min(*part);
                *part -= taken;
                if *data == 0 && *padding == 0 {
                    self.stage = Stage::Header;
                }
                Ok(taken as usize)
            }
            Stage::Extended { body, size, left, .. } => {
                let taken = (bytes.len() as u64).min(*left);
                let wanted = (*size - body.len() as u64).min(taken) as usize;
                body.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
                *left -= taken;
                if *left == 0 {
                    self.extended()?;
                }
                Ok(taken as usize)
            }
            Stage::Header | Stage::Zero | Stage::Sparse(_) => {
                let taken = bytes.len().min(BLOCK - self.block.len());
                self.block.extend_from_slice(bytes.get(..taken).unwrap_or_default());
                if self.block.len() == BLOCK {
                    let block = std::mem::take(&mut self.block);
                    self.block(&block)?;
                    self.block = block;
                    self.block.clear();
                }
                Ok(taken)
            }
            Stage::Done => Ok(bytes.len()),
        }
    }

    fn block(&mut self, block: &[u8]) -> Result<(), Fault> {
        let zero = block.iter().all(|b| *b == 0);
        match (&self.stage, zero) {
            (Stage::Sparse(data), _) => {
                if block.get(504) == Some(&0) {
                    self.stage = skip(*data)?;
                }
                Ok(())
            }
            (Stage::Zero, true) => {
                self.stage = Stage::Done;
                Ok(())
            }
            (Stage::Zero, false) => {
                Err(malformed("a single block of zeros stands between entries"))
            }
            (_, true) if self.next.pending => {
                Err(malformed("an extended header belongs to no entry"))
            }
            (_, true) => {
                self.stage = Stage::Zero;
                Ok(())
            }
            (_, false) => self.header(block),
        }
    }

    fn header(&mut self, block: &[u8]) -> Result<(), Fault> {
        if !checksum_holds(block) {
            return Err(malformed("no tar header stands where one must"));
        }
        let kind = block.get(156).copied().unwrap_or_default();
        let size = number(block.get(124..136).unwrap_or_default())
            .ok_or_else(|| malformed("the size of an entry is no number"))?;
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            if size > MAX_EXTENDED {
                return Err(malformed("an extended header is larger than 1 MiB"));
            }
            self.next.pending |= kind != b'g';
            self.stage = match padded(size)? {
                0 => Stage::Header,
                left => Stage::Extended { kind, body: Vec::new(), size, left },
            };
            return Ok(());
        }
        self.entry(block, kind, size)
    }

    fn entry(&mut self, block: &[u8], kind: u8, size: u64) -> Result<(), Fault> {
        let next = std::mem::take(&mut self.next);
        let path = next.path.unwrap_or_else(|| path_of(block));
        let directory = kind == 0 && path.last() == Some(&b'/');
        let size = match kind {
            _ if directory => 0,
            // Links, devices, directories and pipes have no data, whatever
            // their size field says.
            b'1'..=b'6' => 0,
            _ => next.size.unwrap_or(size),
        };
        self.see(&path)?;
        self.stage = if kind == b'S' && block.get(482).is_some_and(|more| *more != 0) {
            Stage::Sparse(size)
        } else {
            skip(size)?
        };
        Ok(())
    }

    fn see(&mut self, path: &[u8]) -> Result<(), Fault> {
        let shown = || String::from_utf8_lossy(path).chars().take(120).collect::<String>();
        let clean = clean(path);
        if clean.last() == Some(&b".wh.".as_slice()) {
            return Err(malformed(&format!("`{}` is a whiteout of nothing", shown())));
        }
        if self.seen.len() >= self.max {
            return Err(Fault::Limit(format!("the tar has more than {} entries", self.max)));
        }
        let mut hash = Sha256::new();
        for part in &clean {
            hash.update(part);
            hash.update(b"/");
        }
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        if self.seen.insert(short) {
            return Ok(());
        }
        Err(malformed(&format!("path `{}` stands twice; a layer has each path once", shown())))
    }

    /// Applies an extended header that was read whole.
    fn extended(&mut self) -> Result<(), Fault> {
        let Stage::Extended { kind, body, .. } = std::mem::replace(&mut self.stage, Stage::Header)
        else {
            return Ok(());
        };
        match kind {
            b'L' => self.next.path = Some(until_nul(&body).to_vec()),
            b'x' => self.pax(&body)?,
            b'g' => {
                // Go ignores these in a global header, GNU tar does not.
                let mut own = Override::default();
                own.read(&body)?;
                if own.path.is_some() || own.size.is_some() {
                    return Err(malformed("a global header sets the path or size of every entry"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pax(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.next.read(body)
    }
}

impl Override {
    /// Reads pax records: `LENGTH KEY=VALUE\n`.
    fn read(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        let bad = || malformed("a pax header is broken");
        let mut sparse = None;
        while !body.is_empty() {
            let space = body.iter().position(|b| *b == b' ').ok_or_else(bad)?;
            let length = body.get(..space).and_then(decimal).ok_or_else(bad)?;
            let length = usize::try_from(length).map_err(|_| bad())?;
            let record = body.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            let (key, value) = record.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" if !value.is_empty() => self.path = Some(value.to_vec()),
                b"size" if !value.is_empty() => self.size = Some(decimal(value).ok_or_else(bad)?),
                b"GNU.sparse.name" => sparse = Some(value.to_vec()),
                _ => {}
            }
            body = body.get(length..).unwrap_or_default();
        }
        self.path = sparse.or(self.path.take());
        Ok(())
    }
}

fn skip(size: u64) -> Result<Stage, Fault> {
    Ok(match padded(size)? {
        0 => Stage::Header,
        both => Stage::Skip { data: size, padding: both - size },
    })
}

fn padded(size: u64) -> Result<u64, Fault> {
    size.checked_next_multiple_of(BLOCK as u64)
        .ok_or_else(|| malformed("the size of an entry is out of range"))
}

/// The sum of the header's bytes, its own field read as spaces; old writers
/// added signed bytes.
fn checksum_holds(block: &[u8]) -> bool {
    let Some(stated) = block.get(148..156).and_then(number) else { return false };
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    i64::try_from(stated).is_ok_and(|stated| stated == unsigned || stated == signed)
}

/// A number field: octal, or big-endian with the first bit set (GNU).
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        if first & 0x40 != 0 {
            return None; // negative
        }
        let mut value = u64::from(first & 0x3f);
        for byte in rest {
            if value >> 55 != 0 {
                return None; // over 2^63 with the next byte
            }
            value = value << 8 | u64::from(*byte);
        }
        return Some(value);
    }
    let text = std::str::from_utf8(until_nul(field)).ok()?.trim_matches(' ');
    match text {
        "" => Some(0),
        text if text.bytes().all(|b| b.is_ascii_digit()) => u64::from_str_radix(text, 8).ok(),
        _ => None,
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn path_of(block: &[u8]) -> Vec<u8> {
    let name = until_nul(block.get(..100).unwrap_or_default());
    let ustar = block.get(257..263) == Some(b"ustar\0".as_slice());
    let star = block.get(508..) == Some(b"tar\0".as_slice());
    let prefix = match (ustar, star) {
        (true, false) => block.get(345..500),
        (true, true) => block.get(345..476),
        (false, _) => None,
    };
    match until_nul(prefix.unwrap_or_default()) {
        [] => name.to_vec(),
        prefix => [prefix, b"/", name].concat(),
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// The components of a path as an extractor resolves them.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("tar: {why}"))
}
