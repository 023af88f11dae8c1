//! Signatures beside a file: `FILE.asc`, `FILE.sigstore.json`,
//! `FILE.2.sigstore.json` and so on.
//!
//! Whoever can write the file's folder can put anything there, and take
//! anything away: what is found is a hint, as a registry's referrers are.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{Loose, LooseKind, StoreError};
use crate::limits::Limits;

/// Reads what lies beside `file` of the kinds that are asked for.
///
/// # Errors
/// [`StoreError`] where something lies there and cannot be read, or is over
/// a limit.
pub(super) fn read(
    file: &Path,
    kinds: &[LooseKind],
    limits: &Limits,
) -> Result<Vec<Loose>, StoreError> {
    let mut found = Vec::new();
    for kind in kinds {
        for number in 1_usize.. {
            let path = place(file, *kind, number);
            let Some(bytes) = read_one(&path, limits.envelope_bytes)? else { break };
            if number > limits.beside {
                let what = format!("signatures beside {}", file.display());
                return Err(StoreError::TooLarge { what, limit: limits.beside as u64 });
            }
            found.push(Loose { item: path.display().to_string(), kind: *kind, bytes });
            // a second detached signature stands in the same file
            if *kind == LooseKind::Detached {
                break;
            }
        }
    }
    Ok(found)
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
        assert_eq!(read(&file, &all, &limits).unwrap(), []);
        for text in ["one", "two"] {
            push(&file, &loose(LooseKind::Bundle, text), &limits).unwrap();
        }
        let armour = |n| format!("-----BEGIN PGP SIGNATURE-----\n{n}\n");
        for n in [1, 2] {
            push(&file, &loose(LooseKind::Detached, &armour(n)), &limits).unwrap();
        }
        let found = read(&file, &all, &limits).unwrap();
        let texts: Vec<_> = found.iter().map(|l| String::from_utf8_lossy(&l.bytes)).collect();
        assert_eq!(texts, ["one".into(), "two".into(), armour(1) + &armour(2)]);
        std::fs::write(folder.path().join("b.aci.asc"), [0x89, 1]).unwrap();
        let binary =
            push(&folder.path().join("b.aci"), &loose(LooseKind::Detached, &armour(1)), &limits);
        assert!(matches!(binary, Err(StoreError::ReadOnly { .. })));
    }

    #[test]
    fn what_cannot_be_read_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.aci");
        std::fs::create_dir(folder.path().join("a.aci.asc")).unwrap();
        let found = read(&file, &[LooseKind::Detached], &Limits::default());
        assert!(matches!(found, Err(StoreError::Protocol { .. })));
        let limits = Limits { envelope_bytes: 3, ..Limits::default() };
        std::fs::write(folder.path().join("a.aci.sigstore.json"), "four").unwrap();
        let found = read(&file, &[LooseKind::Bundle], &limits);
        assert!(matches!(found, Err(StoreError::TooLarge { .. })));
    }
}
