//! What an archive of Docker v1 may hold: for each image a folder named by
//! its id with `VERSION`, `json` and `layer.tar`, and one file
//! `repositories`. What else lies in it is of no image and is counted.

use std::collections::{BTreeMap, HashMap};

use super::documents::V1Archive;
use super::{V1Layer, is_id};
use crate::image::layer::Fault;
use crate::image::layer::rules::LayerRules;
use crate::image::layer::tar::{Entry, Rules, TarWalk};
use crate::image::{Algorithm, Hasher, Limits};

/// Longest path; no system opens a longer one (PATH_MAX).
const MAX_PATH: usize = 4096;
/// `VERSION` has three bytes, and a line's end in some.
const MAX_VERSION: u64 = 16;

/// The rules, with what the archive had so far.
#[derive(Debug)]
pub(in crate::image) struct V1Rules {
    images: BTreeMap<String, Parts>,
    repositories: Option<Vec<u8>>,
    /// Paths, and whether each is a folder.
    seen: HashMap<String, bool>,
    strangers: u64,
    now: Now,
    contents: bool,
    /// Bytes of documents that may still be kept.
    budget: u64,
    max_entries: usize,
    max_tar_entries: usize,
    max_document: u64,
}

/// The files of one image.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) version: Option<Vec<u8>>,
    pub(super) json: Option<Vec<u8>>,
    pub(super) layer: Option<V1Layer>,
}

/// The entry whose data comes now.
#[derive(Debug)]
enum Now {
    Nothing,
    Repositories,
    Version(String),
    Json(String),
    /// A layer whose contents are read.
    Layer(String, Box<(Hasher, TarWalk<LayerRules>)>),
}

impl V1Rules {
    pub(super) fn new(contents: bool, limits: &Limits) -> Self {
        Self {
            images: BTreeMap::new(),
            repositories: None,
            seen: HashMap::new(),
            strangers: 0,
            now: Now::Nothing,
            contents,
            budget: limits.tree_json_bytes,
            max_entries: limits.archive_entries,
            max_tar_entries: limits.tar_entries,
            max_document: limits.config_bytes,
        }
    }

    /// What is in the archive, where it all fits together.
    pub(super) fn finish(mut self, limits: &Limits) -> Result<V1Archive, Fault> {
        self.end_entry();
        V1Archive::new(self.images, self.repositories.as_deref(), self.strangers, limits)
    }

    /// A layer ends with the entry after it, or with the archive.
    fn end_entry(&mut self) {
        let Now::Layer(id, reading) = std::mem::replace(&mut self.now, Now::Nothing) else {
            return;
        };
        let (hasher, walk) = *reading;
        if let Some(layer) = self.images.get_mut(&id).and_then(|parts| parts.layer.as_mut()) {
            layer.digest = Some(hasher.finish());
            layer.fault = walk.finish().1;
        }
    }

    fn see(&mut self, path: &str, folder: bool) -> Result<(), Fault> {
        if self.seen.len() >= self.max_entries {
            return Err(Fault::Limit(format!(
                "the tar has more than {} entries",
                self.max_entries
            )));
        }
        match self.seen.insert(path.to_owned(), folder) {
            Some(before) if !(before && folder) => Err(at(path, "stands twice")),
            _ => Ok(()),
        }
    }

    /// Takes the room for a document, before it is read.
    fn document(&mut self, path: &str, size: u64, most: u64) -> Result<(), Fault> {
        if size > most {
            return Err(Fault::Limit(format!("`{path}` has more than {most} bytes")));
        }
        let left = self.budget.checked_sub(size);
        self.budget = left.ok_or_else(|| {
            Fault::Limit("its documents take more memory than the limit".to_owned())
        })?;
        Ok(())
    }

    fn file_of(&mut self, id: &str, file: &str, size: u64) -> Result<Now, Fault> {
        let path = format!("{id}/{file}");
        let most = if file == "VERSION" { MAX_VERSION } else { self.max_document };
        if file != "layer.tar" {
            self.document(&path, size, most)?;
        }
        let parts = self.images.entry(id.to_owned()).or_default();
        Ok(match file {
            "VERSION" => {
                parts.version = Some(Vec::new());
                Now::Version(id.to_owned())
            }
            "json" => {
                parts.json = Some(Vec::new());
                Now::Json(id.to_owned())
            }
            _ => {
                parts.layer = Some(V1Layer { size, digest: None, fault: None });
                let walk = TarWalk::new(LayerRules::new(self.max_tar_entries));
                match self.contents {
                    true => {
                        let hasher = Hasher::new(Algorithm::Sha256);
                        Now::Layer(id.to_owned(), Box::new((hasher, walk)))
                    }
                    false => Now::Nothing,
                }
            }
        })
    }
}

impl Rules for V1Rules {
    const NEEDS_END: bool = true;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        self.end_entry();
        let Some((path, folder)) = path_of(entry)? else { return Ok(()) };
        self.see(&path, folder)?;
        let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
        let ours = match (first, rest) {
            ("repositories", "") => true,
            ("manifest.json", "") => {
                return Err(at("manifest.json", "stands in it, which is of a later Docker"));
            }
            (_, "VERSION" | "json" | "layer.tar") if !is_id(first) => {
                return Err(at(&path, "is in a folder that is not named by an id"));
            }
            (_, "VERSION" | "json" | "layer.tar") => true,
            (id, "") if folder && is_id(id) => {
                self.images.entry(id.to_owned()).or_default();
                return Ok(());
            }
            _ => {
                self.strangers += 1;
                return Ok(());
            }
        };
        if ours && (!matches!(entry.kind, 0 | b'0') || entry.sparse || entry.stated != entry.size) {
            return Err(at(&path, "is no regular file"));
        }
        self.now = match first {
            "repositories" => {
                self.document(first, entry.size, self.max_document)?;
                self.repositories = Some(Vec::new());
                Now::Repositories
            }
            id => self.file_of(id, rest, entry.size)?,
        };
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let images = &mut self.images;
        let into = match &mut self.now {
            Now::Nothing => None,
            Now::Repositories => self.repositories.as_mut(),
            Now::Version(id) => images.get_mut(id).and_then(|parts| parts.version.as_mut()),
            Now::Json(id) => images.get_mut(id).and_then(|parts| parts.json.as_mut()),
            Now::Layer(_, reading) => {
                reading.0.update(bytes);
                reading.1.update(bytes);
                None
            }
        };
        if let Some(into) = into {
            into.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn after(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match bytes.iter().any(|b| *b != 0) {
            true => Err(malformed("bytes follow the end of the tar; remove them")),
            false => Ok(()),
        }
    }
}

/// The path in its one form, and whether it is a folder; `None` for `./`.
fn path_of(entry: &Entry<'_>) -> Result<Option<(String, bool)>, Fault> {
    let shown = || String::from_utf8_lossy(entry.path).chars().take(120).collect::<String>();
    let wrong = |why: &str| at(&shown(), why);
    let path = std::str::from_utf8(entry.path).map_err(|_| wrong("is a path that is no UTF-8"))?;
    if path.len() > MAX_PATH {
        return Err(wrong("is a path of more than 4096 bytes"));
    }
    if path.starts_with('/') {
        return Err(wrong("is an absolute path"));
    }
    let folder = entry.kind == b'5';
    if path.ends_with('/') && !folder {
        return Err(wrong("ends in a slash and is no directory"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || path.contains('\0') {
        return Err(wrong("leads out of the archive"));
    }
    match (parts.is_empty(), folder) {
        (true, true) => Ok(None),
        (true, false) => Err(wrong("has no name")),
        (false, _) => Ok(Some((parts.join("/"), folder))),
    }
}

pub(super) fn at(path: &str, why: &str) -> Fault {
    let path: String = path.chars().take(120).collect();
    malformed(&format!("`{path}` {why}"))
}

pub(super) fn malformed(why: &str) -> Fault {
    Fault::Malformed(why.to_owned())
}
