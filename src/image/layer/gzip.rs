//! gzip framing (RFC 1952) around a raw inflate, for any number of members.
//!
//! Go reads all members, so a decoder that stops after one computes another
//! diff id. One inflate state serves all members: a blob of a million tiny
//! members costs no million allocations.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::tar::Rules;
use super::unpack::{Fault, Sink};

/// Longest name or comment in a header; Go refuses longer ones too.
const MAX_TEXT: usize = 512;

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

pub(in crate::image) struct Gzip {
    stage: Stage,
    inflate: Decompress,
    crc: Crc,
    members: u64,
}

enum Stage {
    Header(Header),
    Body,
    Trailer { bytes: [u8; 8], filled: usize },
}

impl Gzip {
    pub(in crate::image) fn new() -> Self {
        Self {
            stage: Stage::Header(Header::new()),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            members: 0,
        }
    }

    pub(in crate::image) fn update<R: Rules>(
        &mut self,
        mut input: &[u8],
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<(), Fault> {
        while let Some((first, rest)) = input.split_first() {
            match &mut self.stage {
                Stage::Header(header) => {
                    input = rest;
                    if header.take(*first)? {
                        self.stage = Stage::Body;
                    }
                }
                Stage::Body => input = self.body(input, out, sink)?,
                Stage::Trailer { bytes, filled } => {
                    input = rest;
                    if let Some(slot) = bytes.get_mut(*filled) {
                        *slot = *first;
                    }
                    *filled += 1;
                    if *filled == bytes.len() {
                        let trailer = *bytes;
                        self.next_member(trailer)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Inflates until the input or the member ends; gives what is left.
    fn body<'i, R: Rules>(
        &mut self,
        mut input: &'i [u8],
        out: &mut [u8],
        sink: &mut Sink<R>,
    ) -> Result<&'i [u8], Fault> {
        loop {
            let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, out, FlushDecompress::None)
                .map_err(|_| malformed("the deflate stream is broken"))?;
            let taken = (self.inflate.total_in() - taken) as usize;
            let given = (self.inflate.total_out() - given) as usize;
            input = input.get(taken..).unwrap_or_default();
            let bytes = out.get(..given).unwrap_or_default();
            self.crc.update(bytes);
            sink.write(bytes)?;
            if status == Status::StreamEnd {
                self.stage = Stage::Trailer { bytes: [0; 8], filled: 0 };
                return Ok(input);
            }
            if input.is_empty() && given < out.len() {
                return Ok(input);
            }
            if taken == 0 && given == 0 {
                return Err(malformed("the deflate stream does not go on"));
            }
        }
    }

    /// Checks the trailer; what follows it must be another member.
    fn next_member(&mut self, trailer: [u8; 8]) -> Result<(), Fault> {
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(malformed("the checksum is wrong"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
            return Err(malformed("the length in the trailer is wrong"));
        }
        self.members = self.members.saturating_add(1);
        self.crc.reset();
        self.inflate.reset(false);
        self.stage = Stage::Header(Header::new());
        Ok(())
    }

    /// Whether the input ended where a member ended.
    pub(in crate::image) fn end(&self) -> Result<(), Fault> {
        match &self.stage {
            Stage::Header(header) if header.at == 0 && self.members > 0 => Ok(()),
            Stage::Header(_) if self.members > 0 => {
                Err(malformed("bytes follow the last member; remove them"))
            }
            _ => Err(malformed("the stream is cut short")),
        }
    }
}

/// A member's header, byte by byte.
struct Header {
    part: Part,
    /// Bytes taken in all.
    at: usize,
    flags: u8,
    /// Bytes taken of the part, or left of it for the extra field.
    count: usize,
    crc: Crc,
    /// The two bytes of a length or checksum.
    word: u16,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Fixed,
    ExtraLength,
    Extra,
    Name,
    Comment,
    Checksum,
    Done,
}

impl Header {
    fn new() -> Self {
        Self { part: Part::Fixed, at: 0, flags: 0, count: 0, crc: Crc::new(), word: 0 }
    }

    /// Takes a byte; true when it was the last.
    fn take(&mut self, byte: u8) -> Result<bool, Fault> {
        self.at += 1;
        if self.part != Part::Checksum {
            self.crc.update(&[byte]);
        }
        match self.part {
            Part::Fixed => self.fixed(byte)?,
            Part::ExtraLength => {
                self.word |= u16::from(byte) << (8 * self.count);
                self.count += 1;
                if self.count == 2 {
                    match usize::from(self.word) {
                        0 => self.go_on(Part::Extra),
                        length => (self.part, self.count) = (Part::Extra, length),
                    }
                }
            }
            Part::Extra => {
                self.count -= 1;
                if self.count == 0 {
                    self.go_on(Part::Extra);
                }
            }
            Part::Name | Part::Comment => {
                self.count += 1;
                if byte == 0 {
                    self.go_on(self.part);
                } else if self.count >= MAX_TEXT {
                    return Err(malformed("a text in the header is too long"));
                }
            }
            Part::Checksum => {
                self.word |= u16::from(byte) << (8 * self.count);
                self.count += 1;
                if self.count == 2 {
                    if u32::from(self.word) != self.crc.sum() & 0xffff {
                        return Err(malformed("the header's checksum is wrong"));
                    }
                    self.part = Part::Done;
                }
            }
            Part::Done => {}
        }
        Ok(self.part == Part::Done)
    }

    fn fixed(&mut self, byte: u8) -> Result<(), Fault> {
        let right = match self.at {
            1 => byte == 0x1f,
            2 => byte == 0x8b,
            3 => byte == 8,
            4 => {
                self.flags = byte;
                byte & RESERVED == 0
            }
            _ => true,
        };
        if !right {
            return Err(malformed("a member must begin here, and none does"));
        }
        if self.at == 10 {
            self.go_on(Part::Fixed);
        }
        Ok(())
    }

    /// Goes to the next part that the flags announce.
    fn go_on(&mut self, after: Part) {
        let has = |flag: u8| self.flags & flag != 0;
        self.part = match after {
            Part::Fixed if has(FEXTRA) => Part::ExtraLength,
            Part::Fixed | Part::ExtraLength | Part::Extra if has(FNAME) => Part::Name,
            Part::Fixed | Part::ExtraLength | Part::Extra | Part::Name if has(FCOMMENT) => {
                Part::Comment
            }
            Part::Checksum | Part::Done => Part::Done,
            _ if has(FHCRC) => Part::Checksum,
            _ => Part::Done,
        };
        (self.count, self.word) = (0, 0);
    }
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("gzip: {why}"))
}
