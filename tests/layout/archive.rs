//! Archives: a layout in a tar, read where it lies.

use std::fs;
use std::io::Read;

use ocisign::store::{Archive, Blob, StoreError, write_archive};
use tar::{Builder, EntryType, Header};

use super::*;

/// A tar that a test builds entry by entry.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn demo() -> Self {
        let mut tar = Self(Builder::new(Vec::new()));
        tar.0.append_dir_all("blobs", data("demo/blobs")).unwrap();
        for name in ["oci-layout", "index.json"] {
            tar.0.append_path_with_name(data("unsigned").join(name), name).unwrap();
        }
        tar
    }

    /// Adds an entry whose header says exactly this, sound or not.
    fn raw(&mut self, kind: EntryType, name: &str, link: &str, bytes: &[u8]) -> &mut Self {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.raw(EntryType::Regular, name, "", bytes)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn open_bytes(bytes: &[u8]) -> Result<Archive, StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    fs::write(&file, bytes).unwrap();
    Archive::open(&file, Limits::default())
}

#[track_caller]
fn refused(tar: Tar, says: &str) {
    match open_bytes(&tar.bytes()) {
        Err(error @ StoreError::Protocol { .. }) => {
            assert!(error.to_string().contains(says), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_archive_holds_what_its_layout_holds() {
    let folder = copy_of("unsigned");
    let layout = open(folder.path());
    let image = root(&layout, &tag("v1")).await;
    let signature = attach(&layout, &image, "one").await;
    let file = folder.path().join("demo.tar");
    write_archive(&layout, &file).unwrap();
    let archive = Archive::open(&file, Limits::default()).unwrap();
    assert_eq!(root(&archive, &tag("v1")).await, image);
    assert_eq!(root(&archive, &Target::Only).await, image);
    assert_eq!(archive.referrers(&image.digest).await.unwrap().entries[0].digest, signature.digest);
    assert!(archive.has_blob(&image.digest, image.size).await.unwrap());
    match archive.blob(&image.digest, image.size).await.unwrap() {
        Blob::File { offset, len, .. } => assert!(offset > 0 && len == image.size),
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_layouts_give_equal_archives() {
    let folder = copy_of("unsigned");
    let files = [folder.path().join("a.tar"), folder.path().join("b.tar")];
    write_archive(&open(&data("unsigned")), &files[0]).unwrap();
    write_archive(&open(folder.path()), &files[1]).unwrap();
    assert_eq!(fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
}

#[tokio::test]
async fn an_archive_is_not_written_in_place() {
    let archive = open_bytes(&Tar::demo().bytes()).unwrap();
    let image = root(&archive, &tag("v1")).await;
    let error = archive.push_manifest(&image, b"", Some("v2")).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("oci:DIR"), "{error}");
}

/// As `tar -cf a.tar -C layout .` writes it.
#[tokio::test]
async fn names_may_begin_with_a_dot() {
    let folder = copy_of("unsigned");
    let file = folder.path().join("../dotted.tar");
    let made = std::process::Command::new("tar")
        .args(["-cf".as_ref(), file.as_os_str(), "-C".as_ref(), folder.path().as_os_str()])
        .arg(".")
        .status()
        .unwrap();
    assert!(made.success());
    let archive = Archive::open(&file, Limits::default());
    fs::remove_file(&file).unwrap();
    root(&archive.unwrap(), &tag("v1")).await;
}

/// 128 hexadecimal digits do not fit a plain header.
#[tokio::test]
async fn long_names_are_read_in_both_forms() {
    let digest = Digest::of(ocisign::image::Algorithm::Sha512, b"{}");
    let name = format!("blobs/sha512/{}", digest.hex());
    let mut gnu = Tar::demo();
    gnu.raw(EntryType::GNULongName, "././@LongLink", "", format!("{name}\0").as_bytes());
    gnu.file("short", b"{}");
    let mut pax = Tar::demo();
    pax.0.append_pax_extensions([("path", name.as_bytes())]).unwrap();
    pax.file("short", b"{}");
    for tar in [gnu, pax] {
        let archive = open_bytes(&tar.bytes()).unwrap();
        assert!(archive.has_blob(&digest, 2).await.unwrap());
    }
}

#[test]
fn a_name_twice_is_refused() {
    for (first, second) in [("index.json", "index.json"), ("a", "./a"), ("a", "b/.././a")] {
        let mut tar = Tar::demo();
        tar.file(first, b"{}").file(second, b"{}");
        let says = if second.contains("..") { "leads out" } else { "twice" };
        refused(tar, says);
    }
    let mut tar = Tar::demo();
    tar.raw(EntryType::Directory, "index.json/", "", b"");
    refused(tar, "twice");
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "/etc/passwd", "blobs/../../x", "blobs/.."] {
        let mut tar = Tar::demo();
        tar.file(name, b"x");
        refused(tar, "leads out");
    }
}

#[test]
fn a_link_in_place_of_a_blob_is_refused_and_elsewhere_ignored() {
    let name = format!("blobs/sha256/{}", "0".repeat(64));
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
        let mut tar = Tar::demo();
        tar.raw(kind, &name, "../../index.json", b"");
        refused(tar, "no regular file");
        let mut tar = Tar::demo();
        tar.raw(kind, "elsewhere", "index.json", b"");
        open_bytes(&tar.bytes()).unwrap();
    }
}

#[test]
fn sparse_files_and_two_sizes_or_names_are_refused() {
    let mut tar = Tar::demo();
    tar.raw(EntryType::GNUSparse, "sparse", "", b"x");
    refused(tar, "differ");
    for (key, value, says) in [
        ("GNU.sparse.major", "1", "sparse"),
        ("size", "1", "two sizes"),
        ("size", "+2", "cannot be read"),
        ("path", "../x", "leads out"),
    ] {
        let mut tar = Tar::demo();
        tar.0.append_pax_extensions([(key, value.as_bytes())]).unwrap();
        tar.file("x", b"{}");
        refused(tar, says);
    }
    let mut tar = Tar::demo();
    tar.0.append_pax_extensions([("path", b"a".as_slice()), ("path", b"b")]).unwrap();
    tar.file("x", b"{}");
    refused(tar, "twice");
    let mut tar = Tar::demo();
    tar.raw(EntryType::XGlobalHeader, "g", "", b"10 path=a\n").file("x", b"{}");
    refused(tar, "global");
}

/// However long the file is said to be, only what is bounded is read.
#[test]
fn a_huge_extended_header_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        fs::write(&path, header.as_bytes()).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 41).unwrap();
        let error = Archive::open(&path, Limits::default()).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
    }
}

#[test]
fn too_many_entries_are_too_many() {
    let mut tar = Tar::demo();
    for n in 0..20 {
        tar.file(&format!("f{n}"), b"");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    fs::write(&file, tar.bytes()).unwrap();
    let limits = Limits { archive_entries: 20, ..Limits::default() };
    let error = Archive::open(&file, limits).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit: 20, .. }), "{error:?}");
}

/// Cut anywhere, it is refused, and never read as a smaller archive.
#[test]
fn a_cut_archive_is_refused() {
    let whole = Tar::demo().bytes();
    open_bytes(&whole).unwrap();
    let end = whole.len() - 1024;
    for cut in (0..=end + 512).step_by(256).chain([1, 511, 513, end - 1, end + 1]) {
        let error = open_bytes(&whole[..cut]).unwrap_err();
        assert!(matches!(error, StoreError::Protocol { .. }), "{cut}: {error:?}");
    }
}

#[test]
fn a_flipped_header_is_refused() {
    let whole = Tar::demo().bytes();
    for at in (0..512).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        assert!(open_bytes(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_compressed_or_no_tar_is_refused_with_a_hint() {
    let mut packed = Vec::new();
    let whole = Tar::demo().bytes();
    flate2::read::GzEncoder::new(whole.as_slice(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    assert!(open_bytes(&packed).unwrap_err().to_string().contains("gzip -d"));
    assert!(open_bytes(&[b'x'; 4096]).is_err());
    assert!(open_bytes(b"").is_err());
    assert!(Archive::open(&data("unsigned"), Limits::default()).is_err(), "a folder");
    let refused = refused_layout();
    assert!(refused.contains("oci-layout"), "{refused}");
}

/// A tar that is no layout, as `docker save` made before version 25.
fn refused_layout() -> String {
    let mut tar = Tar(Builder::new(Vec::new()));
    tar.file("manifest.json", b"[]");
    open_bytes(&tar.bytes()).unwrap_err().to_string()
}
