//! Whether a file is one that only its owner can change.
//!
//! Whoever can write the policy, its keys or the plugin decides what may run,
//! so none of them is used where others could have written it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::policy::{Blob, Document};

/// Write permission of the group and of all others.
const OTHERS: u32 = 0o022;

/// On a directory: only the owner of an entry can replace it.
const STICKY: u32 = 0o1000;

/// Says what is wrong with a file, or with the directory that it lies in.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    // where links lead is what is read
    let real = path.canonicalize().map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    one(&real, false)?;
    match real.parent() {
        Some(directory) => one(directory, true),
        None => Ok(()),
    }
}

/// The same for the key files that a policy names.
pub(super) fn check_keys(document: &Document, directory: &Path) -> Result<(), String> {
    for (_, source) in document.signers.values().flat_map(|signer| signer.sources()) {
        match source {
            // its content is pinned: nobody can change it unseen
            Blob::File { sha256: Some(_), .. } | Blob::Pem(_) => {}
            Blob::File { path, sha256: None } => check(&directory.join(path))?,
        }
    }
    Ok(())
}

fn one(path: &Path, directory: bool) -> Result<(), String> {
    let shown = path.display();
    let found = path.metadata().map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    if !owner_is_trusted(&found) {
        let uid = found.uid();
        return Err(format!("`{shown}` belongs to user {uid}; give it to root (chown root)"));
    }
    let sticky = directory && found.mode() & STICKY != 0;
    if found.mode() & OTHERS != 0 && !sticky {
        return Err(format!("`{shown}` can be written by others; run chmod go-w `{shown}`"));
    }
    Ok(())
}

/// root, or whoever runs this: a containerd without root has files of its own.
fn owner_is_trusted(found: &Metadata) -> bool {
    found.uid() == 0 || Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == found.uid())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        write(&file, "{}").unwrap();
        let with = |mode: u32, folder_mode: u32| {
            set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
            check(&file)
        };
        assert_eq!(with(0o644, 0o755), Ok(()));
        assert_eq!(with(0o600, 0o1777), Ok(()), "nobody else can replace it there");
        for (mode, folder_mode) in [(0o666, 0o755), (0o664, 0o755), (0o644, 0o777)] {
            let refused = with(mode, folder_mode).unwrap_err();
            assert!(refused.contains("chmod go-w"), "{refused}");
        }
        assert!(check(&folder.path().join("none")).unwrap_err().contains("cannot read"));
    }
}
