//! What an ACI's tar may hold (aci.md, "Image Layout" and "Image Archives"),
//! and more strictly than actool asks: one name for each entry, nothing
//! below what is no directory, no link out of the root file system.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use sha2::{Digest as _, Sha256};

use super::layer::LayerWriter;
use crate::image::Limits;
use crate::image::layer::Fault;
use crate::image::layer::tar::{Entry, Rules};

/// Longest path; no system opens a longer one (PATH_MAX).
const MAX_PATH: usize = 4096;

/// The rules, with what the archive had so far. Of each path 16 bytes of a
/// hash are kept.
#[derive(Debug)]
pub(in crate::image) struct AciRules {
    seen: HashMap<[u8; 16], Kind>,
    max: usize,
    manifest: Option<Vec<u8>>,
    manifest_max: u64,
    in_manifest: bool,
    rootfs: bool,
    devices: u64,
    layer: Option<Box<LayerWriter>>,
}

/// What a whole archive had.
pub(super) struct Found {
    pub(super) manifest: Vec<u8>,
    pub(super) devices: u64,
    pub(super) layer: Option<Box<LayerWriter>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has an entry of its own.
    Folder,
    /// Something below it has one.
    Implied,
    Other,
}

impl AciRules {
    /// The rules; what keeps them is written into `layer` too.
    pub(super) fn new(limits: &Limits, layer: Option<Box<LayerWriter>>) -> Self {
        Self {
            seen: HashMap::new(),
            max: limits.aci_entries,
            manifest: None,
            manifest_max: limits.manifest_bytes,
            in_manifest: false,
            rootfs: false,
            devices: 0,
            layer,
        }
    }

    /// The bytes of the manifest, how many devices there are, and the layer.
    pub(super) fn finish(self) -> Result<Found, Fault> {
        if !self.rootfs {
            return Err(malformed("no directory `rootfs` in it; build the image again"));
        }
        let manifest = self.manifest.ok_or_else(|| malformed("no file `manifest` in it"))?;
        Ok(Found { manifest, devices: self.devices, layer: self.layer })
    }

    fn begin_manifest(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        if self.manifest.is_some() {
            return Err(malformed("`manifest` stands twice"));
        }
        if !is_file(entry.kind) {
            return Err(malformed("`manifest` is no regular file"));
        }
        if entry.size > self.manifest_max {
            let most = self.manifest_max;
            return Err(Fault::Limit(format!("the manifest has more than {most} bytes")));
        }
        self.manifest = Some(Vec::new());
        self.in_manifest = true;
        Ok(())
    }

    /// Notes a path and the folders above it.
    fn see(&mut self, path: &str, kind: Kind) -> Result<(), Fault> {
        let mut hash = Sha256::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            hash.update(part);
            hash.update(b"/");
            let last = parts.peek().is_none();
            let kind = if last { kind } else { Kind::Implied };
            if self.seen.len() >= self.max {
                return Err(Fault::Limit(format!("the tar has more than {} entries", self.max)));
            }
            match (self.seen.entry(short(hash.clone())), last) {
                (Slot::Vacant(slot), _) => {
                    slot.insert(kind);
                }
                (Slot::Occupied(slot), false) if *slot.get() == Kind::Other => {
                    return Err(at(path, "stands below something that is no directory"));
                }
                (Slot::Occupied(_), false) => {}
                (Slot::Occupied(mut slot), true) if *slot.get() == Kind::Implied => {
                    if kind != Kind::Folder {
                        return Err(at(path, "is no directory, and something stands below it"));
                    }
                    slot.insert(kind);
                }
                (Slot::Occupied(_), true) => return Err(at(path, "stands twice")),
            }
        }
        Ok(())
    }

    /// A hard link leads to a file that came before it.
    fn hard_link(&self, path: &str, link: &[u8]) -> Result<(), Fault> {
        let target = std::str::from_utf8(link).ok().filter(|link| is_plain(link));
        let below = target.filter(|target| target.starts_with("rootfs/"));
        let Some(target) = below else { return Err(at(path, "is a hard link out of `rootfs`")) };
        let mut hash = Sha256::new();
        target.split('/').for_each(|part| {
            hash.update(part);
            hash.update(b"/");
        });
        match self.seen.get(&short(hash)) {
            Some(Kind::Other) => Ok(()),
            Some(Kind::Folder | Kind::Implied) => Err(at(path, "is a hard link to a directory")),
            None => Err(at(path, "is a hard link to nothing that came before it")),
        }
    }
}

impl Rules for AciRules {
    const NEEDS_END: bool = true;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        self.in_manifest = false;
        let path = path_of(entry)?;
        if entry.sparse {
            return Err(at(path, "is sparse; build the image without holes"));
        }
        if entry.block.get(257..262) != Some(b"ustar") {
            return Err(at(path, "has a header that is no ustar"));
        }
        if entry.stated != entry.size {
            return Err(at(path, "has a size, and its type has no data"));
        }
        let kind = match entry.kind {
            b'5' => Kind::Folder,
            b'1' => {
                self.hard_link(path, entry.link)?;
                Kind::Other
            }
            b'2' => {
                symlink(path, entry.link)?;
                Kind::Other
            }
            b'3' | b'4' => {
                self.devices += 1;
                Kind::Other
            }
            b'6' => Kind::Other,
            other if is_file(other) => Kind::Other,
            _ => return Err(at(path, "is of a type that extractors disagree about")),
        };
        match path {
            "manifest" => self.begin_manifest(entry)?,
            "rootfs" if kind != Kind::Folder => {
                return Err(malformed("`rootfs` is no directory"));
            }
            "rootfs" => self.rootfs = true,
            _ => {}
        }
        self.see(path, kind)?;
        self.layer.as_mut().map_or(Ok(()), |layer| layer.entry(entry, path))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let (true, Some(manifest)) = (self.in_manifest, &mut self.manifest) {
            manifest.extend_from_slice(bytes);
        }
        if let Some(layer) = &mut self.layer {
            layer.data(bytes);
        }
        Ok(())
    }

    fn after(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.iter().any(|b| *b != 0) {
            return Err(malformed("bytes follow the end of the tar; remove them"));
        }
        Ok(())
    }
}

/// The path without the slash behind a directory; it is written in the one
/// way that all extractors read alike.
fn path_of<'b>(entry: &Entry<'b>) -> Result<&'b str, Fault> {
    let shown = || String::from_utf8_lossy(entry.path).chars().take(120).collect::<String>();
    let wrong = |why: &str| at(&shown(), why);
    let path = std::str::from_utf8(entry.path).map_err(|_| wrong("is a path that is no UTF-8"))?;
    let path = match path.strip_suffix('/') {
        Some(path) if entry.kind == b'5' => path,
        Some(_) => return Err(wrong("ends in a slash and is no directory")),
        None => path,
    };
    if path.len() > MAX_PATH {
        return Err(wrong("is a path of more than 4096 bytes"));
    }
    if path.starts_with('/') {
        return Err(wrong("is an absolute path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(wrong("is a path with `..`"));
    }
    if !is_plain(path) {
        return Err(wrong("is no plain path; build the image with actool"));
    }
    if path != "manifest" && path != "rootfs" && !path.starts_with("rootfs/") {
        return Err(wrong("is neither `manifest` nor in `rootfs`"));
    }
    Ok(path)
}

fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}

/// A symbolic link must not climb above `rootfs`. An absolute one begins at
/// `rootfs` for whoever runs the image.
fn symlink(path: &str, link: &[u8]) -> Result<(), Fault> {
    if link.is_empty() {
        return Err(at(path, "is a link to nothing"));
    }
    // folders below `rootfs` in which the link stands
    let mut depth = path.split('/').count().saturating_sub(2);
    if link.first() == Some(&b'/') {
        depth = 0;
    }
    for part in link.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| at(path, "is a link that leads out of `rootfs`"))?;
            }
            _ => depth += 1,
        }
    }
    Ok(())
}

fn is_file(kind: u8) -> bool {
    matches!(kind, 0 | b'0')
}

fn short(hash: Sha256) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    short
}

pub(super) fn at(path: &str, why: &str) -> Fault {
    let path: String = path.chars().take(120).collect();
    malformed(&format!("`{path}` {why}"))
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(format!("tar: {why}"))
}
