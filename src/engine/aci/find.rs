//! Where the images are that an ACI depends on: files in directories, or a
//! store of rkt. A name is a hint where to look first; what counts is the
//! image ID, recomputed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::engine::whole::CHUNK;
use crate::image::Digest;
use crate::image::aci::{AciCheck, AciReader, AciWant};
use crate::limits::Limits;

/// The directories, with what was read of them.
pub(super) struct Shelf {
    directories: Vec<PathBuf>,
    limits: Limits,
    /// Image IDs of files that were read; `None` for what is no ACI.
    known: Mutex<HashMap<PathBuf, Option<Digest>>>,
}

impl Shelf {
    pub(super) fn new(directories: Vec<PathBuf>, limits: Limits) -> Self {
        Self { directories, limits, known: Mutex::new(HashMap::new()) }
    }

    /// The image that is wanted, with the bytes of its file; `None` where no
    /// file is it.
    pub(super) fn find(&self, want: &AciWant) -> io::Result<Option<(AciCheck, u64)>> {
        for path in self.candidates(want)? {
            if self.known(&path).is_some_and(|id| !id.is_some_and(|id| want.id.fits(&id))) {
                continue;
            }
            let (check, bytes) = read(&path, &self.limits)?;
            let fits = check.id().is_some_and(|id| want.id.fits(id));
            self.note(path, check.id().cloned());
            if fits {
                return Ok(Some((check, bytes)));
            }
        }
        Ok(None)
    }

    fn known(&self, path: &Path) -> Option<Option<Digest>> {
        self.known.lock().ok()?.get(path).cloned()
    }

    fn note(&self, path: PathBuf, id: Option<Digest>) {
        if let Ok(mut known) = self.known.lock() {
            known.insert(path, id);
        }
    }

    /// The files, the likeliest first: that which a store of rkt has under
    /// the ID, those named by it, those named as the image, the others.
    fn candidates(&self, want: &AciWant) -> io::Result<Vec<PathBuf>> {
        let key = want.id.key();
        let last = want.name.name().rsplit('/').next().unwrap_or_default();
        let mut found = Vec::new();
        for directory in &self.directories {
            let folder = key.get(..2).unwrap_or_default();
            let kept = directory.join("blob/sha512").join(folder).join(format!("sha512-{key}"));
            if kept.is_file() {
                found.push((0, kept));
            }
            let failed = |error: io::Error| {
                let what = format!("reading the directory `{}`: {error}", directory.display());
                io::Error::new(error.kind(), what)
            };
            for entry in std::fs::read_dir(directory).map_err(failed)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.ends_with(".aci") || !entry.path().is_file() {
                    continue;
                }
                let rank = match name {
                    name if name.contains(key) => 1,
                    name if name.starts_with(last) => 2,
                    _ => 3,
                };
                found.push((rank, entry.path()));
                if found.len() > self.limits.aci_dependency_files {
                    let most = self.limits.aci_dependency_files;
                    let what = format!(
                        "limit exceeded: over {most} ACIs to look through; \
                                        name a smaller directory"
                    );
                    return Err(io::Error::other(what));
                }
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

fn read(path: &Path, limits: &Limits) -> io::Result<(AciCheck, u64)> {
    let mut file = File::open(path)?;
    let mut reader = AciReader::new(limits);
    let (mut buffer, mut bytes) = (vec![0; CHUNK], 0_u64);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((reader.finish(), bytes)),
            Ok(n) => {
                bytes += n as u64;
                if !reader.update(buffer.get(..n).unwrap_or_default()) {
                    return Ok((reader.finish(), bytes));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
