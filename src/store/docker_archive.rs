//! What `docker save` and `podman save` write: `docker-archive:FILE` (moby,
//! image/spec/v1.2.md, and tarexport/save.go since 25.0).
//!
//! `manifest.json` names the files of each image. Before Docker 25 there is
//! no manifest with a digest in it, so one is derived by stated rules; since
//! then an OCI layout lies in the same tar, and its manifest is taken where
//! both say the same. Signatures lie beside the file.

mod derive;
mod saved;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use self::derive::Derived;
use self::saved::Saved;
use super::archive::scan::{self, Position};
use super::chunks::blocking;
use super::layout::contents::{Run, blob_name};
use super::layout::index::is_companion_tag;
use super::{
    Beside, Blob, Loose, LooseKind, RawManifest, Referrers, Store, StoreError, Target, Whole,
    WholeFormat, beside,
};
use crate::image::Digest;
use crate::limits::Limits;

/// An archive of `docker save`, read where it lies. It is read-only.
#[derive(Debug, Clone)]
pub struct DockerArchive {
    tar: Arc<Tar>,
}

/// The files of the tar by name, and what was found about them.
#[derive(Debug)]
struct Tar {
    path: PathBuf,
    file: Arc<File>,
    names: HashMap<String, Position>,
    images: Vec<Saved>,
    /// Its length in bytes, where it is of Docker v1 and has no manifest.
    v1: Option<u64>,
    limits: Limits,
    /// Where the blobs of the manifests lie that were given out.
    blobs: Mutex<HashMap<Digest, String>>,
}

impl DockerArchive {
    /// Opens the archive `file`.
    ///
    /// # Errors
    /// [`StoreError::Protocol`] where it is no such archive, is compressed,
    /// was cut, or has names that programs read in different ways.
    pub fn open(file: &Path, limits: Limits) -> Result<Self, StoreError> {
        let failed =
            |source| StoreError::Io { what: format!("opening {}", file.display()), source };
        let place = format!("docker-archive:{}", file.display());
        // opening a pipe would wait for a writer, so the kind is known first
        if !std::fs::metadata(file).map_err(failed)?.is_file() {
            let reason = "it is no regular file; name what `docker save` wrote".to_owned();
            return Err(StoreError::Protocol { place, reason });
        }
        let opened = Arc::new(File::open(file).map_err(failed)?);
        let names = scan::scan(&opened, &place, &limits)?;
        let mut tar = Tar {
            path: file.to_owned(),
            file: opened,
            names,
            images: Vec::new(),
            v1: None,
            limits,
            blobs: Mutex::default(),
        };
        match tar.is_v1() {
            true => tar.v1 = Some(tar.file.metadata().map_err(failed)?.len()),
            false => tar.images = tar.read_images()?,
        }
        Ok(Self { tar: Arc::new(tar) })
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.tar.file
    }

    /// Says that the blob of this digest is the file `name` of the tar.
    /// Nothing is believed of it: whoever reads the blob hashes it.
    pub(crate) fn locate(&self, digest: &Digest, name: String) {
        let mut blobs = self.tar.blobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        blobs.insert(digest.clone(), name);
    }

    /// The names of the images in it, in their order.
    pub fn names(&self) -> Vec<String> {
        self.tar.images.iter().flat_map(|image| image.names.clone()).collect()
    }
}

impl Tar {
    fn place(&self) -> String {
        format!("docker-archive:{}", self.path.display())
    }

    fn broken(&self, reason: String) -> StoreError {
        StoreError::Protocol { place: self.place(), reason }
    }

    fn absent(&self, what: &str) -> StoreError {
        StoreError::Absent { what: what.to_owned(), place: self.place() }
    }

    /// A file of the tar. Layers that two images share are links.
    fn run(&self, name: &str) -> Result<Option<Run>, StoreError> {
        let position = match self.names.get(name) {
            Some(Position::Link(target)) => self.names.get(target),
            other => other,
        };
        match position {
            Some(Position::File { offset, len }) => {
                Ok(Some(Run { file: self.file.clone(), offset: *offset, len: *len }))
            }
            None if !self.names.contains_key(name) => Ok(None),
            _ => {
                let shown: String = name.chars().take(100).collect();
                Err(self.broken(format!("`{shown}` is no regular file, nor a link to one in it")))
            }
        }
    }

    fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(run) = self.run(name)? else { return Ok(None) };
        run.read(&format!("`{name}` of {}", self.place()), max).map(Some)
    }

    /// Whether it is what Docker wrote before 1.10: no manifest, and folders
    /// with a layer each. Whoever reads it says what is wrong with those.
    fn is_v1(&self) -> bool {
        let of_image = |name: &String| name.ends_with("/layer.tar") || name.ends_with("/json");
        !self.names.contains_key("manifest.json") && self.names.keys().any(of_image)
    }

    fn read_images(&self) -> Result<Vec<Saved>, StoreError> {
        let bytes = self.read("manifest.json", self.limits.manifest_bytes)?.ok_or_else(|| {
            self.broken("there is no manifest.json; name what `docker save` wrote".to_owned())
        })?;
        saved::parse(&bytes, &self.limits)
            .map_err(|why| self.broken(format!("manifest.json: {why}; save the image again")))
    }

    /// The manifest of one of the images, and where its blobs lie.
    fn derive(&self, image: &Saved) -> Result<Derived, StoreError> {
        let derived = self.manifest_of(image)?;
        let mut blobs = self.blobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        blobs.extend(derived.blobs.iter().cloned());
        drop(blobs);
        Ok(derived)
    }

    fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        if self.v1.is_some() {
            // no signature hangs on a manifest that is none
            if let Target::Tag(tag) = target
                && is_companion_tag(tag)
            {
                return Err(self.absent(&format!("tag `{tag}`")));
            }
            return Err(self.broken(
                "it is of Docker v1 and has no manifest; make an image with one of it: \
                 `ocisign convert docker-archive:FILE oci:DIR`"
                    .to_owned(),
            ));
        }
        let derived = match target {
            Target::Only => self.derive(self.only()?)?,
            Target::Tag(name) => {
                let image = self.images.iter().find(|image| image.is_named(name));
                self.derive(image.ok_or_else(|| self.absent(&format!("the image `{name}`")))?)?
            }
            Target::Digest(digest) => self.by_digest(digest)?,
        };
        if derived.bytes.len() as u64 > max {
            let what = format!("a manifest of {}", self.place());
            return Err(StoreError::TooLarge { what, limit: max });
        }
        Ok(RawManifest {
            bytes: derived.bytes,
            media_type: Some(derived.media_type),
            claimed: derived.claimed,
        })
    }

    fn only(&self) -> Result<&Saved, StoreError> {
        match self.images.as_slice() {
            [one] => Ok(one),
            [] => Err(self.absent("an image")),
            all => {
                let names: Vec<_> = all.iter().flat_map(|image| &image.names).take(20).collect();
                let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
                Err(self.broken(format!(
                    "it holds {} images; write `:NAME:TAG` behind the file: there are {}",
                    all.len(),
                    names.join(", ")
                )))
            }
        }
    }

    fn by_digest(&self, digest: &Digest) -> Result<Derived, StoreError> {
        for image in &self.images {
            let derived = self.derive(image)?;
            if self.digest(digest.algorithm(), &derived.bytes) == *digest {
                return Ok(derived);
            }
        }
        Err(self.absent(&format!("manifest {digest}")))
    }

    fn blob(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let blobs = self.blobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = blobs.get(digest).cloned().unwrap_or_else(|| blob_name(digest));
        drop(blobs);
        let run = self.run(&name)?.ok_or_else(|| self.absent(&format!("blob {digest}")))?;
        Ok(run.into())
    }
}

#[async_trait]
impl Store for DockerArchive {
    fn place(&self) -> String {
        self.tar.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let (tar, target) = (self.tar.clone(), target.clone());
        blocking(move || tar.manifest(&target, max)).await
    }

    async fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, StoreError> {
        self.tar.blob(digest)
    }

    async fn referrers(&self, _: &Digest) -> Result<Referrers, StoreError> {
        Ok(Referrers::default())
    }

    fn whole(&self) -> Option<Whole> {
        let (len, file) = (self.tar.v1?, self.tar.file.clone());
        Some(Whole { format: WholeFormat::DockerV1, file, len })
    }

    fn keeps_beside(&self) -> bool {
        true
    }

    async fn beside(&self, _: &Digest, _: bool) -> Result<Beside, StoreError> {
        let tar = self.tar.clone();
        blocking(move || Ok(beside::read(&tar.path, LooseKind::Bundle, &tar.limits))).await
    }

    async fn push_beside(&self, _: &Digest, loose: &Loose) -> Result<String, StoreError> {
        let (tar, loose) = (self.tar.clone(), loose.clone());
        blocking(move || beside::push(&tar.path, &loose, &tar.limits)).await
    }
}
