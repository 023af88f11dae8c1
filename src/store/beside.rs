//! Signatures beside a file: `FILE.asc`, `FILE.sigstore.json`,
//! `FILE.2.sigstore.json` and so on.
//!
//! Whoever can write the file's folder can put anything there, and take
//! anything away: what is found is a hint, as a registry's referrers are.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{Beside, Loose, LooseKind, StoreError};
use crate::limits::Limits;

/// Reads what lies beside `file` of one kind.
pub(super) fn read(file: &Path, kind: LooseKind, limits: &Limits) -> Beside {
    let mut read = Numbered { kind, most: limits.beside, beside: Beside::default() };
    // a second detached signature stands in the same file
    let last = if kind == LooseKind::Detached { 1 } else { limits.beside + 1 };
    for number in 1..=last {
        let path = place(file, kind, number);
        if !read.take(number, &path.display().to_string(), read_one(&path, limits.envelope_bytes)) {
            break;
        }
    }
    read.beside
}

/// Files that are numbered from 1, and end with the first that is not there.
pub(super) struct Numbered {
    pub(super) kind: LooseKind,
    /// How many are read.
    pub(super) most: usize,
    pub(super) beside: Beside,
}

impl Numbered {
    /// Takes the next; false after the last.
    pub(super) fn take(
        &mut self,
        number: usize,
        item: &str,
        read: Result<Option<Vec<u8>>, StoreError>,
    ) -> bool {
        match read {
            Ok(None) => return false,
            _ if number > self.most => {
                let most = self.most;
                self.beside.cut = Some(format!("there are more signatures than {most}: {item}"));
                return false;
            }
            Ok(Some(bytes)) => {
                self.beside.found.push(Loose { item: item.to_owned(), kind: self.kind, bytes });
            }
            Err(error) => self.beside.failed.push((item.to_owned(), error)),
        }
        true
    }
}

/// Puts a signature beside `file`; gives where it is. What lies there stays:
/// a bundle takes the next free name, a detached signature is added to the
/// file of those.
///
/// # Errors
/// [`StoreError::Io`] where it cannot be written, [`StoreError::ReadOnly`]
/// for a kind that does not lie beside files.
pub(super) fn push(file: &Path, loose: &Loose, limits: &Limits) -> Result<String, StoreError> {
    match loose.kind {
        LooseKind::Bundle => {
            for number in 1..=limits.beside {
                let path = place(file, loose.kind, number);
                match File::create_new(&path) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    other => return write(other, &path, &loose.bytes),
                }
            }
            let what = format!("signatures beside {}", file.display());
            Err(StoreError::TooLarge { what, limit: limits.beside as u64 })
        }
        LooseKind::Detached => push_detached(&place(file, loose.kind, 1), &loose.bytes, limits),
        LooseKind::Simple => Err(StoreError::ReadOnly {
            place: file.display().to_string(),
            reason: "simple signing is not kept beside files; name a `--lookaside`".to_owned(),
        }),
    }
}

/// Armoured blocks may follow each other, and gpg reads them all; a binary
/// signature has no armour to be followed by, so it is left alone.
fn push_detached(path: &Path, bytes: &[u8], limits: &Limits) -> Result<String, StoreError> {
    let Some(mut all) = read_one(path, limits.envelope_bytes)? else {
        return write(File::create_new(path), path, bytes);
    };
    if !all.starts_with(b"-----BEGIN PGP SIGNATURE-----") {
        return Err(StoreError::ReadOnly {
            place: path.display().to_string(),
            reason: "it holds something that is no armoured signature; move it away".to_owned(),
        });
    }
    if all.last() != Some(&b'\n') {
        all.push(b'\n');
    }
    all.extend_from_slice(bytes);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replace = || {
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
        new.write_all(&all)?;
        new.as_file().sync_all()?;
        new.persist(path).map_err(|error| error.error)
    };
    replace().map_err(|source| failed("writing", path, source))?;
    Ok(path.display().to_string())
}

fn write(file: std::io::Result<File>, path: &Path, bytes: &[u8]) -> Result<String, StoreError> {
    let wrote = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    wrote.map_err(|source| failed("writing", path, source))?;
    Ok(path.display().to_string())
}

/// The `number`th place of a kind, counted from one.
fn place(file: &Path, kind: LooseKind, number: usize) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    match (kind, number) {
        (LooseKind::Detached | LooseKind::Simple, _) => name.push(".asc"),
        (LooseKind::Bundle, 1) => name.push(".sigstore.json"),
        (LooseKind::Bundle, number) => name.push(format!(".{number}.sigstore.json")),
    }
    PathBuf::from(name)
}

fn read_one(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    // opening a pipe would wait for a writer
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("reading", path, source)),
        Ok(meta) if meta.is_file() => {}
        Ok(_) => {
            let reason = "it is no regular file; move it away".to_owned();
            return Err(StoreError::Protocol { place: path.display().to_string(), reason });
        }
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|source| failed("reading", path, source))?;
    if bytes.len() as u64 > max {
        return Err(StoreError::TooLarge { what: path.display().to_string(), limit: max });
    }
    Ok(Some(bytes))
}

fn failed(what: &str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { what: format!("{what} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(kind: LooseKind, bytes: &str) -> Loose {
        Loose { item: String::new(), kind, bytes: bytes.into() }
    }

    #[test]
    fn nothing_that_lies_there_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (file, limits) = (folder.path().join("a.aci"), Limits::default());
        let all = [LooseKind::Bundle, LooseKind::Detached];
        let found = || all.iter().flat_map(|kind| read(&file, *kind, &limits).found);
        assert_eq!(found().count(), 0);
        for text in ["one", "two"] {
            push(&file, &loose(LooseKind::Bundle, text), &limits).unwrap();
        }
        let armour = |n| format!("-----BEGIN PGP SIGNATURE-----\n{n}\n");
        for n in [1, 2] {
            push(&file, &loose(LooseKind::Detached, &armour(n)), &limits).unwrap();
        }
        let texts: Vec<_> = found().map(|l| String::from_utf8(l.bytes).unwrap()).collect();
        assert_eq!(texts, ["one".into(), "two".into(), armour(1) + &armour(2)]);
        std::fs::write(folder.path().join("b.aci.asc"), [0x89, 1]).unwrap();
        let binary =
            push(&folder.path().join("b.aci"), &loose(LooseKind::Detached, &armour(1)), &limits);
        assert!(matches!(binary, Err(StoreError::ReadOnly { .. })));
    }

    #[test]
    fn what_cannot_be_read_is_not_absent_and_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.aci");
        std::fs::create_dir(folder.path().join("a.aci.asc")).unwrap();
        let found = read(&file, LooseKind::Detached, &Limits::default());
        assert!(matches!(found.failed.as_slice(), [(_, StoreError::Protocol { .. })]));
        let limits = Limits { envelope_bytes: 3, beside: 2, ..Limits::default() };
        std::fs::write(folder.path().join("a.aci.sigstore.json"), "four").unwrap();
        std::fs::write(folder.path().join("a.aci.2.sigstore.json"), "two").unwrap();
        let found = read(&file, LooseKind::Bundle, &limits);
        assert!(matches!(found.failed.as_slice(), [(_, StoreError::TooLarge { .. })]));
        assert_eq!((found.found.len(), found.cut), (1, None));
        std::fs::write(folder.path().join("a.aci.3.sigstore.json"), "3").unwrap();
        assert!(read(&file, LooseKind::Bundle, &limits).cut.is_some());
    }
}
