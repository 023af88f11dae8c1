//! One walk over a tar's headers: which name lies where.
//!
//! The headers are read here and not by a tar library, because programs
//! disagree about odd tars (two entries of one name, two sizes of one entry)
//! and because an extended header must not decide how much memory is taken.
//! Format: POSIX.1-2017 pax, "ustar Interchange Format", and GNU long names.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header, PaxExtensions};

use crate::limits::Limits;
use crate::store::StoreError;

const BLOCK: u64 = 512;

/// What a name of the tar is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Position {
    /// A regular file: a run of bytes of the tar.
    File { offset: u64, len: u64 },
    /// A folder.
    Folder,
    /// A link, by the name in the tar that it leads to.
    Link(String),
}

/// Every name of the tar and where it lies.
pub(in crate::store) fn scan(
    file: &File,
    place: &str,
    limits: &Limits,
) -> Result<HashMap<String, Position>, StoreError> {
    let end = file
        .metadata()
        .map_err(|source| StoreError::Io { what: format!("opening {place}"), source })?
        .len();
    let mut scan = Scan { file, place, limits, end, at: 0, names: HashMap::new() };
    scan.refuse_compressed()?;
    let mut extended = Extended::default();
    while let Some(header) = scan.header()? {
        extended = scan.entry(&header, extended)?;
    }
    match extended.is_empty() {
        true => Ok(scan.names),
        false => Err(scan.broken("an extended header has no entry after it")),
    }
}

struct Scan<'a> {
    file: &'a File,
    place: &'a str,
    limits: &'a Limits,
    end: u64,
    at: u64,
    names: HashMap<String, Position>,
}

/// What headers before an entry say about it.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.size.is_none() && self.link.is_none()
    }
}

impl Scan<'_> {
    /// The next header, or `None` at the two zero blocks that end a tar.
    fn header(&mut self) -> Result<Option<Header>, StoreError> {
        let mut block = [0; BLOCK as usize];
        self.read(&mut block)?;
        if block.iter().all(|b| *b == 0) {
            self.read(&mut block)?;
            return match block.iter().all(|b| *b == 0) {
                true => Ok(None),
                false => Err(self.broken("a header follows a block of zeros")),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        match header.cksum() {
            Ok(sum) if sum == checksum(&block) => Ok(Some(header)),
            _ => Err(self.broken("a header has a wrong checksum, or it is no tar")),
        }
    }

    /// Takes one entry. Returns what it says about the next.
    fn entry(&mut self, header: &Header, extended: Extended) -> Result<Extended, StoreError> {
        let size = self.size(header, extended.size)?;
        let kind = header.entry_type();
        match kind {
            EntryType::XHeader => {
                let text = self.extension(size)?;
                return self.pax(&text, extended);
            }
            EntryType::XGlobalHeader => {
                let text = self.extension(size)?;
                return match self.pax(&text, Extended::default())?.is_empty() {
                    true => Ok(extended),
                    false => Err(self.broken("a global header names or sizes every entry")),
                };
            }
            EntryType::GNULongName => {
                let mut name = self.extension(size)?;
                while name.last() == Some(&0) {
                    name.pop();
                }
                return self.named(name, extended);
            }
            EntryType::GNULongLink => {
                let mut link = self.extension(size)?;
                while link.last() == Some(&0) {
                    link.pop();
                }
                return self.linked(link, extended);
            }
            _ => {}
        }
        let name = match extended.name {
            Some(name) => name,
            None => header.path_bytes().into_owned(),
        };
        let (name, slash) = self.clean(&name)?;
        let folder = kind == EntryType::Directory || slash;
        let link = match extended.link {
            Some(link) => link,
            None => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        self.keep(name, kind, folder, size, &link)?;
        self.skip(if kind == EntryType::Directory { 0 } else { size })?;
        Ok(Extended::default())
    }

    /// Notes where a name lies. Devices count for nothing; they and links are
    /// refused where a layout's own files belong.
    fn keep(
        &mut self,
        name: String,
        kind: EntryType,
        folder: bool,
        len: u64,
        link: &[u8],
    ) -> Result<(), StoreError> {
        let position = match kind {
            _ if folder => Position::Folder,
            EntryType::Regular | EntryType::Continuous => Position::File { offset: self.at, len },
            _ if is_ours(&name) => {
                return Err(self.broken(&format!("`{name}` is no regular file")));
            }
            EntryType::Symlink => Position::Link(self.leads_to(&name, link)?),
            EntryType::Link => Position::Link(self.leads_to("", link)?),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Ok(()),
            _ => return Err(self.broken(&format!("`{name}` is of a kind that tars differ in"))),
        };
        if name.is_empty() && folder {
            return Ok(()); // `./`
        }
        if self.names.len() >= self.limits.archive_entries {
            let limit = self.limits.archive_entries as u64;
            let what = format!("the number of files in {}", self.place);
            return Err(StoreError::TooLarge { what, limit });
        }
        match self.names.insert(name.clone(), position) {
            Some(before) if !(folder && before == Position::Folder) => {
                Err(self.broken(&format!("`{name}` stands in it twice")))
            }
            _ => Ok(()),
        }
    }

    /// The size of an entry, when the header and the pax header before it
    /// do not contradict each other. A size of 8 GiB or more does not fit the
    /// header, which then says 0.
    fn size(&self, header: &Header, extended: Option<u64>) -> Result<u64, StoreError> {
        let plain = header.entry_size().map_err(|_| self.broken("a header has no size"))?;
        match extended {
            None => Ok(plain),
            Some(size) if plain == 0 || plain == size => Ok(size),
            Some(_) => Err(self.broken("an entry has two sizes")),
        }
    }

    fn pax(&self, text: &[u8], mut extended: Extended) -> Result<Extended, StoreError> {
        let bad = || self.broken("an extended header cannot be read");
        let mut seen = Vec::new();
        for record in PaxExtensions::new(text) {
            let record = record.map_err(|_| bad())?;
            let (key, value) = (record.key().map_err(|_| bad())?, record.value_bytes());
            if seen.contains(&key) {
                return Err(self.broken("an extended header has a key twice"));
            }
            seen.push(key);
            match key {
                "path" => extended = self.named(value.to_vec(), extended)?,
                "linkpath" => extended = self.linked(value.to_vec(), extended)?,
                "size" => {
                    let size = record.value().ok().and_then(decimal).ok_or_else(bad)?;
                    extended.size = Some(size);
                }
                key if key.starts_with("GNU.sparse") => {
                    return Err(self.broken("it has sparse files"));
                }
                _ => {}
            }
        }
        Ok(extended)
    }

    fn named(&self, name: Vec<u8>, extended: Extended) -> Result<Extended, StoreError> {
        match extended.name {
            None => Ok(Extended { name: Some(name), ..extended }),
            Some(_) => Err(self.broken("an entry has two names")),
        }
    }

    fn linked(&self, link: Vec<u8>, extended: Extended) -> Result<Extended, StoreError> {
        match extended.link {
            None => Ok(Extended { link: Some(link), ..extended }),
            Some(_) => Err(self.broken("a link leads to two places")),
        }
    }

    /// The name in the tar that a link of `name` leads to. One that leads out
    /// of it is kept as leading nowhere: who asks for it is told.
    fn leads_to(&self, name: &str, link: &[u8]) -> Result<String, StoreError> {
        let link = std::str::from_utf8(link).map_err(|_| self.broken("a link is not UTF-8"))?;
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in link.split('/') {
            match part {
                "" if link.starts_with('/') => return Ok(String::new()),
                "" | "." => {}
                ".." if parts.pop().is_none() => return Ok(String::new()),
                ".." => {}
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    /// A name without `./` in front and `/` behind, and whether it had the
    /// latter.
    fn clean(&self, name: &[u8]) -> Result<(String, bool), StoreError> {
        let name = std::str::from_utf8(name).map_err(|_| self.broken("a name is not UTF-8"))?;
        let shown: String = name.chars().take(80).collect();
        if name.starts_with('/') || name.contains('\0') || name.split('/').any(|p| p == "..") {
            return Err(self.broken(&format!("`{shown}` leads out of it")));
        }
        let slash = name.ends_with('/') || name == ".";
        let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        match parts.is_empty() && !slash {
            true => Err(self.broken("an entry has no name")),
            false => Ok((parts.join("/"), slash)),
        }
    }

    /// The data of an extended header, bounded.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, StoreError> {
        let limit = self.limits.archive_header_bytes;
        let len = match usize::try_from(size) {
            Ok(len) if size <= limit => len,
            _ => {
                let what = format!("an extended header of {}", self.place);
                return Err(StoreError::TooLarge { what, limit });
            }
        };
        let mut bytes = vec![0; len];
        let at = self.at;
        self.skip(size)?;
        self.read_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Passes over an entry's data and its padding.
    fn skip(&mut self, size: u64) -> Result<(), StoreError> {
        let padded = size.checked_next_multiple_of(BLOCK);
        match padded.and_then(|padded| self.at.checked_add(padded)) {
            Some(next) if next <= self.end => {
                self.at = next;
                Ok(())
            }
            _ => Err(self.broken("it ends within an entry; it was cut")),
        }
    }

    fn read(&mut self, block: &mut [u8]) -> Result<(), StoreError> {
        self.read_at(block, self.at)?;
        self.at += block.len() as u64;
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, at).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => self.broken("it ends without its end marker; it was cut"),
            _ => StoreError::Io { what: format!("reading {}", self.place), source },
        })
    }

    fn refuse_compressed(&self) -> Result<(), StoreError> {
        let mut magic = [0; 4];
        self.read_at(&mut magic, 0)?;
        let tool = match magic {
            [0x1f, 0x8b, ..] => "gzip -d",
            [0x28, 0xb5, 0x2f, 0xfd] => "zstd -d",
            _ => return Ok(()),
        };
        let reason = format!("it is compressed; unpack it with `{tool}` to a plain tar");
        Err(StoreError::Protocol { place: self.place.to_owned(), reason })
    }

    fn broken(&self, what: &str) -> StoreError {
        let reason = format!("{what}; make the archive again");
        StoreError::Protocol { place: self.place.to_owned(), reason }
    }
}

/// The files that make a layout; anything else in the tar is not looked at.
fn is_ours(name: &str) -> bool {
    matches!(name, "oci-layout" | "index.json" | "blobs") || name.starts_with("blobs/")
}

/// Sum of the bytes with the checksum's own eight as spaces.
fn checksum(block: &[u8; BLOCK as usize]) -> u32 {
    let byte = |(at, b): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*b) };
    block.iter().enumerate().map(byte).sum()
}

/// Digits only: no sign, which Rust's own parser would take.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
