//! ACIs.

use super::Tar;

/// A manifest of an ACI with more members.
pub(crate) fn document(more: &str) -> String {
    format!(r#"{{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app"{more}}}"#)
}

pub(crate) const LABELS: &str = r#","labels":[{"name":"os","value":"linux"},{"name":"arch","value":"aarch64"},{"name":"version","value":"1.2"}]"#;

/// The tar of an ACI.
pub(crate) fn aci(document: &str) -> Tar {
    let long = format!("rootfs/{}", "d".repeat(90));
    let mut tar = Tar::default();
    tar.file("manifest", document.as_bytes())
        .entry("rootfs", tar::EntryType::Directory, "", b"")
        .entry("rootfs/etc", tar::EntryType::Directory, "", b"")
        .file("rootfs/etc/a", b"content")
        .link("rootfs/etc/b", "../etc/a")
        .entry("rootfs/etc/c", tar::EntryType::Link, "rootfs/etc/a", b"")
        .entry(&long, tar::EntryType::Directory, "", b"");
    tar
}
