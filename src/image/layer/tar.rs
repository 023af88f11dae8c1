//! A walk over a tar stream in steps, with rules for what is in it.
//!
//! It reads ustar, pax and GNU headers as Go's archive/tar does. What an
//! archive may hold is for its [`Rules`]: a layer's are in `rules`, an ACI's
//! are its own.

use super::unpack::Fault;

const BLOCK: usize = 512;
/// Longest extended header that is read; Go stops there too.
const MAX_EXTENDED: u64 = 1 << 20;

/// What an archive may hold. The first fault ends the walk.
pub(in crate::image) trait Rules {
    /// Whether the archive must end with its two blocks of zeros.
    ///
    /// Go, and so every runtime, lets a layer end without them and without
    /// the last padding; `umoci insert` writes such ones.
    const NEEDS_END: bool = false;

    /// An entry begins.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault>;

    /// The next bytes of the entry's data.
    fn data(&mut self, _bytes: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    /// Bytes behind the end of the archive.
    fn after(&mut self, _bytes: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
}

/// One entry, with what its extended headers say applied.
pub(in crate::image) struct Entry<'b> {
    /// The path, as written.
    pub(in crate::image) path: &'b [u8],
    /// The type flag.
    pub(in crate::image) kind: u8,
    /// Bytes of data that follow.
    pub(in crate::image) size: u64,
    /// What the size field says, whatever follows.
    pub(in crate::image) stated: u64,
    /// What a link leads to, as written.
    pub(in crate::image) link: &'b [u8],
    /// Whether its data is a map of holes and what is between them.
    pub(in crate::image) sparse: bool,
    /// The header's block.
    pub(in crate::image) block: &'b [u8],
    /// Records of its pax header that say neither path, link nor size, as
    /// written.
    pub(in crate::image) pax: &'b [u8],
}

/// The walk. It stops at the first fault; the bytes are hashed elsewhere.
#[derive(Debug)]
pub(in crate::image) struct TarWalk<R> {
    stage: Stage,
    block: Vec<u8>,
    /// What extended headers say about the entry that follows them.
    next: Override,
    rules: R,
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
    link: Option<Vec<u8>>,
    sparse: bool,
    /// Records of no meaning here; of one header, so they are bounded.
    pax: Vec<u8>,
    /// Headers that speak of the next entry were read.
    pending: bool,
}

impl<R: Rules> TarWalk<R> {
    pub(in crate::image) fn new(rules: R) -> Self {
        Self {
            stage: Stage::Header,
            block: Vec::with_capacity(BLOCK),
            next: Override::default(),
            rules,
            fault: None,
        }
    }

    /// Takes the next bytes of the stream.
    pub(in crate::image) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.fault.is_none() {
            match self.step(bytes) {
                Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// What is wrong with the archive, if anything, and the rules with what
    /// they saw.
    pub(in crate::image) fn finish(self) -> (R, Option<Fault>) {
        if self.fault.is_some() {
            return (self.rules, self.fault);
        }
        let whole = match self.stage {
            Stage::Done => true,
            _ if R::NEEDS_END => false,
            Stage::Header => self.block.is_empty() && !self.next.pending,
            Stage::Skip { data, .. } => data == 0,
            Stage::Zero => self.block.is_empty(),
            Stage::Extended { .. } | Stage::Sparse(_) => false,
        };
        (self.rules, (!whole).then(|| malformed("the archive is cut short")))
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.stage {
            Stage::Skip { data, padding } => {
                let is_data = *data > 0;
                let part = if is_data { &mut *data } else { &mut *padding };
                let taken = (bytes.len() as u64).min(*part);
                *part -= taken;
                if is_data {
                    self.rules.data(bytes.get(..taken as usize).unwrap_or_default())?;
                }
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
            Stage::Done => self.rules.after(bytes).map(|()| bytes.len()),
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

    fn entry(&mut self, block: &[u8], kind: u8, stated: u64) -> Result<(), Fault> {
        let next = std::mem::take(&mut self.next);
        let path = next.path.unwrap_or_else(|| path_of(block));
        let directory = kind == 0 && path.last() == Some(&b'/');
        let size = match kind {
            _ if directory => 0,
            // Links, devices, directories and pipes have no data, whatever
            // their size field says.
            b'1'..=b'6' => 0,
            _ => next.size.unwrap_or(stated),
        };
        let link = || until_nul(block.get(157..257).unwrap_or_default()).to_vec();
        self.rules.entry(&Entry {
            path: &path,
            kind: if directory { b'5' } else { kind },
            size,
            stated: next.size.unwrap_or(stated),
            link: &next.link.unwrap_or_else(link),
            sparse: next.sparse || kind == b'S',
            block,
            pax: &next.pax,
        })?;
        self.stage = if kind == b'S' && block.get(482).is_some_and(|more| *more != 0) {
            Stage::Sparse(size)
        } else {
            skip(size)?
        };
        Ok(())
    }

    /// Applies an extended header that was read whole.
    fn extended(&mut self) -> Result<(), Fault> {
        let Stage::Extended { kind, body, .. } = std::mem::replace(&mut self.stage, Stage::Header)
        else {
            return Ok(());
        };
        match kind {
            b'L' => self.next.path = Some(until_nul(&body).to_vec()),
            b'K' => self.next.link = Some(until_nul(&body).to_vec()),
            b'x' => self.next.read(&body)?,
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
}

impl Override {
    /// Reads pax records: `LENGTH KEY=VALUE\n`.
    fn read(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        let bad = || malformed("a pax header is broken");
        let mut sparse = None;
        self.pax.clear();
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
                b"linkpath" if !value.is_empty() => self.link = Some(value.to_vec()),
                b"GNU.sparse.name" => sparse = Some(value.to_vec()),
                b"path" | b"size" | b"linkpath" => {}
                _ => self.pax.extend_from_slice(body.get(..length).unwrap_or_default()),
            }
            self.sparse |= key.starts_with(b"GNU.sparse.");
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
pub(in crate::image) fn number(field: &[u8]) -> Option<u64> {
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

pub(super) fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("tar: {why}"))
}
