//! Writing an OCI archive of a layout.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::store::StoreError;
use crate::store::layout::Layout;

/// Writes the layout as a tar to `file`, which appears when it is whole.
///
/// Equal layouts give equal bytes: names sorted, times and owners zero. What
/// is in the layout's folder and no part of a layout is left out.
///
/// # Errors
/// [`StoreError::Io`] with the file that could not be read or written.
pub fn write_archive(layout: &Layout, file: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { what: format!("writing {}", file.display()), source };
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".ocisign-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let mut tar = Builder::new(io::BufWriter::new(temporary));
    for name in names(layout.path()).map_err(failed)? {
        add(&mut tar, layout.path(), &name).map_err(failed)?;
    }
    let temporary = tar.into_inner().map_err(failed)?;
    let temporary = temporary.into_inner().map_err(|e| failed(e.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(file).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The layout's files in order, `oci-layout` and `index.json` first; a folder
/// ends in `/`.
fn names(root: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = ["oci-layout", "index.json", "blobs/"].map(str::to_owned).into();
    for algorithm in ["sha256", "sha512"] {
        let folder = root.join("blobs").join(algorithm);
        if !folder.is_dir() {
            continue;
        }
        names.push(format!("blobs/{algorithm}/"));
        let mut blobs = Vec::new();
        for blob in fs::read_dir(folder)? {
            let blob = blob?;
            let name = format!("{algorithm}:{}", blob.file_name().to_string_lossy());
            if blob.file_type()?.is_file() && name.parse::<crate::image::Digest>().is_ok() {
                blobs.push(format!("blobs/{algorithm}/{}", blob.file_name().to_string_lossy()));
            }
        }
        blobs.sort();
        names.extend(blobs);
    }
    Ok(names)
}

fn add(tar: &mut Builder<impl Write>, root: &Path, name: &str) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    if name.ends_with('/') {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        return tar.append_data(&mut header, name, io::empty());
    }
    let file = File::open(root.join(name))?;
    let len = file.metadata()?.len();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(len);
    tar.append_data(&mut header, name, io::Read::take(file, len))
}
