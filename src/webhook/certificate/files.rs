//! The certificate as files, for a server outside of Kubernetes.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use jiff::Timestamp;

use super::standing::{Material, Standing};
use super::{CertificateError, Done, Renewal, Terms, issue};

/// Renews `tls.crt`, `tls.key` and `ca.crt` in a directory where that is due.
/// `ca.crt` keeps the authority before, so that those who trust it can be
/// told of the new one while the old one still serves. Says why a new
/// certificate was made.
///
/// # Errors
/// [`CertificateError`]
pub fn refresh(
    directory: &Path,
    names: &[String],
    terms: &Terms,
    renewal: Renewal,
    now: Timestamp,
) -> Result<(Done, String), CertificateError> {
    let read = |name| read(&directory.join(name));
    let material = Material::read(&read("ca.crt")?, &read("tls.crt")?, &read("tls.key")?);
    let later = now + terms.renew_before;
    let (done, why, mut authorities) =
        match (material.standing(names, now), material.standing(names, later)) {
            (Standing::Fails(why), _) => match material.in_use(names, now) {
                Some(authority) => (Done::Rotated, why, vec![authority]),
                None => (Done::Issued, why, Vec::new()),
            },
            (Standing::Holds { authority }, Standing::Fails(why)) => {
                (Done::Rotated, why, vec![authority])
            }
            (Standing::Holds { authority }, Standing::Holds { .. }) => match renewal {
                Renewal::WhenDue => return Ok((Done::Kept, String::new())),
                Renewal::Now => (Done::Rotated, "asked for".to_owned(), vec![authority]),
            },
        };
    let issued = issue(names, terms.valid_for, now)?;
    authorities.push(issued.authority.clone());
    fs::create_dir_all(directory).map_err(|source| failed(directory, "written", source))?;
    // trust first, use later; a server that reads between the last two finds
    // that they do not belong together, and reads again
    for (name, text) in [
        ("ca.crt", authorities.concat()),
        ("tls.key", issued.key.to_string()),
        ("tls.crt", issued.certificate),
    ] {
        write(directory, name, &text)?;
    }
    Ok((done, why))
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(path, "read", source)),
    }
}

/// Writes beside and renames; a temporary file is its owner's alone, and so
/// stays the key.
fn write(directory: &Path, name: &str, text: &str) -> Result<(), CertificateError> {
    let path = directory.join(name);
    let mut file = tempfile::NamedTempFile::new_in(directory)
        .map_err(|source| failed(&path, "written", source))?;
    file.write_all(text.as_bytes()).map_err(|source| failed(&path, "written", source))?;
    #[cfg(unix)]
    if name != "tls.key" {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(|source| failed(&path, "written", source))?;
    }
    file.persist(&path).map_err(|error| failed(&path, "written", error.error))?;
    Ok(())
}

fn failed(path: &Path, did: &'static str, source: std::io::Error) -> CertificateError {
    CertificateError::File { path: path.display().to_string(), did, source }
}
