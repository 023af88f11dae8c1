//! Reading an OCI layout, whether its files lie in a directory or in a tar.
//!
//! Rules L1 to L5 (image-spec, image-layout.md): `oci-layout` names version
//! 1.0.0, `index.json` is an image index, `blobs/ALGORITHM/HEX` are regular
//! files.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde_json::Value;

use super::index::{self, Entry, LayoutIndex};
use crate::image::{Descriptor, Digest};
use crate::limits::Limits;
use crate::store::{Blob, RawManifest, StoreError, Target};

/// The files of a layout by their names in it.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// The place, for messages.
    fn place(&self) -> String;

    /// Opens a regular file; `None` where there is nothing of that name.
    fn open(&self, name: &str) -> Result<Option<Run>, StoreError>;

    /// Whether there is a folder of that name.
    fn has_folder(&self, name: &str) -> Result<bool, StoreError>;
}

/// A run of bytes in a file.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Run {
    /// Its first bytes, `len` at most.
    fn cut(self, len: u64) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// All of its bytes, where they are `max` at most.
    pub(crate) fn read(&self, what: &str, max: u64) -> Result<Vec<u8>, StoreError> {
        let len = match usize::try_from(self.len) {
            Ok(len) if self.len <= max => len,
            _ => return Err(StoreError::TooLarge { what: what.to_owned(), limit: max }),
        };
        let mut bytes = vec![0; len];
        match self.file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => Ok(bytes),
            Err(source) => Err(StoreError::Io { what: format!("reading {what}"), source }),
        }
    }
}

impl From<Run> for Blob {
    fn from(run: Run) -> Self {
        Self::File { file: run.file, offset: run.offset, len: run.len }
    }
}

/// A layout over its files.
#[derive(Debug)]
pub(crate) struct Contents<F> {
    pub(crate) files: F,
    pub(crate) limits: Limits,
}

/// What a manifest says that matters to finding images and referrers.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) subject: Option<String>,
    pub(super) children: Vec<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<Value>,
}

impl<F: Files> Contents<F> {
    /// Checks that this is a layout before anything else is read.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let bytes = self.required("oci-layout", 64 << 10)?;
        let marker = index::object(&bytes, self.limits.json_depth)
            .map_err(|e| self.broken(format!("oci-layout is no JSON object: {e}")))?;
        match marker.get("imageLayoutVersion").and_then(Value::as_str) {
            Some("1.0.0") => {}
            Some(other) => {
                let other = other.chars().take(40).collect::<String>();
                let why = "is not the layout version 1.0.0 that ocisign reads; convert it";
                return Err(self.broken(format!("`{other}` {why}")));
            }
            None => return Err(self.broken("oci-layout has no imageLayoutVersion".to_owned())),
        }
        if !self.files.has_folder("blobs")? {
            return Err(self.broken("there is no folder blobs; make the layout again".to_owned()));
        }
        self.index().map(|_| ())
    }

    /// The entries of `index.json` as they are now.
    pub(crate) fn index(&self) -> Result<LayoutIndex, StoreError> {
        let bytes = self.required("index.json", self.limits.manifest_bytes)?;
        LayoutIndex::parse(&bytes, self.limits.json_depth)
            .map_err(|why| self.broken(format!("index.json is no image index: {why}")))
    }

    /// See [`crate::store::Store::manifest`].
    pub(crate) fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let index = self.index()?;
        let found: Vec<&Entry> = match target {
            Target::Tag(tag) => self.tagged(&index, tag)?,
            Target::Only => self.only(&index)?,
            Target::Digest(digest) => index
                .entries()
                .iter()
                .filter(|e| matches!(&e.descriptor, Ok(d) if d.digest == *digest))
                .collect(),
        };
        let claimed = self.agreed(&found)?;
        let digest = match (target, &claimed) {
            (Target::Digest(digest), _) => digest,
            (_, Some(claimed)) => &claimed.digest,
            (_, None) => return Err(self.absent("an image")),
        };
        let run = self.open_blob(digest)?.ok_or_else(|| self.absent(&format!("{digest}")))?;
        // one byte more than the index says is enough to see that it is longer
        let run = match &claimed {
            Some(claimed) => run.cut(claimed.size.saturating_add(1)),
            None => run,
        };
        let bytes = run.read(&format!("manifest {digest}"), max)?;
        Ok(RawManifest {
            bytes,
            media_type: claimed.as_ref().map(|c| c.media_type.clone()),
            claimed,
        })
    }

    /// See [`crate::store::Store::blob`].
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.open_blob(digest)? {
            Some(run) => Ok(run.into()),
            None => Err(self.absent(&format!("blob {digest}"))),
        }
    }

    /// The blob's bytes, or `None` where the layout does not have it.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<Run>, StoreError> {
        self.files.open(&blob_name(digest))
    }

    fn tagged<'i>(&self, index: &'i LayoutIndex, tag: &str) -> Result<Vec<&'i Entry>, StoreError> {
        let found: Vec<&Entry> =
            index.entries().iter().filter(|e| e.tag.as_deref() == Some(tag)).collect();
        match found.is_empty() {
            false => Ok(found),
            true => Err(self.absent(&format!("tag `{tag}` (there {})", tag_list(index)))),
        }
    }

    /// The entries of the one image. Not images: referrers, tags that tools
    /// derive from digests, and children of an index that is listed too
    /// (oras lists each).
    fn only<'i>(&self, index: &'i LayoutIndex) -> Result<Vec<&'i Entry>, StoreError> {
        let mut children = HashSet::new();
        let mut images = Vec::new();
        for entry in index.entries() {
            let links = match &entry.descriptor {
                Ok(descriptor) => self.listed_links(descriptor).unwrap_or_default(),
                Err(_) => Links::default(),
            };
            children.extend(links.children);
            let derived = entry.tag.as_deref().is_some_and(index::is_companion_tag);
            if !derived && links.subject.is_none() {
                images.push(entry);
            }
        }
        let is_child = |e: &Entry| {
            e.tag.is_none()
                && matches!(&e.descriptor, Ok(d) if children.contains(&d.digest.to_string()))
        };
        images.retain(|e| !is_child(e));
        let artifact = |e: &&'i Entry| {
            e.tag.is_none() && matches!(&e.descriptor, Ok(d) if d.artifact_type.is_some())
        };
        if !images.iter().all(artifact) {
            images.retain(|e| !artifact(e));
        }
        let digest = |e: &&Entry| e.descriptor.as_ref().ok().map(|d| d.digest.clone());
        match images.first() {
            None => Err(self.absent("an image")),
            Some(first) if images.iter().all(|e| digest(e) == digest(first)) => Ok(images),
            Some(_) => Err(self.broken(format!(
                "it holds {} images; name one by tag or digest: there {}",
                images.len(),
                tag_list(index)
            ))),
        }
    }

    /// The one descriptor that all of `entries` are; `None` for no entry.
    fn agreed(&self, entries: &[&Entry]) -> Result<Option<Descriptor>, StoreError> {
        let mut agreed: Option<&Descriptor> = None;
        for entry in entries {
            let descriptor = entry.descriptor.as_ref().map_err(|why| {
                self.broken(format!("the entry of index.json cannot be read: {why}"))
            })?;
            match agreed {
                None => agreed = Some(descriptor),
                Some(first) if same(first, descriptor) => {}
                Some(first) => {
                    let (a, b) = (&first.digest, &descriptor.digest);
                    let name = entry.tag.as_deref().unwrap_or("an untagged image");
                    let why = "in index.json with different contents; remove all but one";
                    return Err(self.broken(format!("`{name}` stands twice ({a}, {b}) {why}")));
                }
            }
        }
        Ok(agreed.cloned())
    }

    /// The links of a manifest; `None` where the text is no manifest.
    pub(super) fn links(&self, bytes: &[u8]) -> Option<Links> {
        let document = index::object(bytes, self.limits.json_depth).ok()?;
        let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
        let config = document.get("config").and_then(|c| c.get("mediaType"));
        let children = document.get("manifests").and_then(Value::as_array);
        Some(Links {
            subject: text(document.get("subject").and_then(|s| s.get("digest"))),
            children: children
                .into_iter()
                .flatten()
                .filter_map(|child| text(child.get("digest")))
                .collect(),
            artifact_type: text(document.get("artifactType")).or_else(|| text(config)),
            annotations: document.get("annotations").cloned(),
        })
    }

    pub(super) fn listed_links(&self, descriptor: &Descriptor) -> Option<Links> {
        self.read(&descriptor.digest).ok().and_then(|bytes| self.links(&bytes))
    }

    pub(super) fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let what = format!("manifest {digest}");
        let run = self.open_blob(digest)?.ok_or_else(|| self.absent(&what))?;
        run.read(&what, self.limits.manifest_bytes)
    }

    fn required(&self, name: &str, max: u64) -> Result<Vec<u8>, StoreError> {
        match self.files.open(name)? {
            Some(run) => run.read(&format!("{name} of {}", self.files.place()), max),
            None => Err(self.broken(format!(
                "there is no `{name}`; name the folder or archive of an OCI layout"
            ))),
        }
    }

    pub(super) fn absent(&self, what: &str) -> StoreError {
        StoreError::Absent { what: what.to_owned(), place: self.files.place() }
    }

    pub(super) fn broken(&self, reason: String) -> StoreError {
        StoreError::Protocol { place: self.files.place(), reason }
    }
}

/// Where a blob lies in a layout. Safe to join: a digest has no `/` or `..`.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn same(a: &Descriptor, b: &Descriptor) -> bool {
    a.digest == b.digest && a.size == b.size && a.media_type == b.media_type
}

fn tag_list(index: &LayoutIndex) -> String {
    let tags = index.tags();
    let shown: Vec<String> = tags
        .iter()
        .take(20)
        .map(|t| format!("`{}`", t.chars().take(80).collect::<String>()))
        .collect();
    match (shown.len(), tags.len()) {
        (0, _) => "is no tag".to_owned(),
        (1, 1) => format!("is {}", shown.join("")),
        (a, b) if a == b => format!("are {}", shown.join(", ")),
        (a, b) => format!("are {} and {} more", shown.join(", "), b - a),
    }
}
