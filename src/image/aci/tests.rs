//! What is an ACI and what is none, of archives made here.

use std::io::Write as _;

use super::*;

const MANIFEST: &str = r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app",
  "labels":[{"name":"version","value":"1.0"},{"name":"os","value":"linux"}]}"#;

/// Path, type, link, data.
type Item<'a> = (&'a str, u8, &'a str, &'a [u8]);

fn sound<'a>() -> Vec<Item<'a>> {
    vec![
        ("rootfs", b'5', "", b""),
        ("rootfs/etc", b'5', "", b""),
        ("rootfs/etc/a", b'0', "", b"content"),
        ("rootfs/etc/b", b'2', "../etc/a", b""),
        ("rootfs/etc/c", b'1', "rootfs/etc/a", b""),
        ("manifest", b'0', "", MANIFEST.as_bytes()),
    ]
}

fn with(items: &[(usize, Item<'static>)]) -> Vec<u8> {
    let mut all = sound();
    for (at, item) in items {
        all.insert(*at, *item);
    }
    tar(&all)
}

fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, kind, link, data) in items {
        let mut header = tar::Header::new_ustar();
        // by hand: the crate refuses the paths that matter here
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn check(bytes: &[u8]) -> AciCheck {
    let mut reader = AciReader::new(&Limits::default());
    // odd pieces, so that every state is entered in its middle
    for piece in bytes.chunks(37) {
        reader.update(piece);
    }
    reader.finish()
}

#[track_caller]
fn refused(bytes: &[u8], why: &str) {
    let fault = check(bytes).fault().unwrap_or_default();
    assert!(fault.contains(why), "`{why}` is not in `{fault}`");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_id_is_of_the_tar_whatever_compresses_it() {
    let tar = tar(&sound());
    let id = Digest::of(crate::image::Algorithm::Sha512, &tar);
    let (a, b) = tar.split_at(700);
    for (file, compression) in [
        (tar.clone(), AciCompression::Tar),
        (gzip(&tar), AciCompression::Gzip),
        ([gzip(a), gzip(b)].concat(), AciCompression::Gzip),
        (bzip2(&tar), AciCompression::Bzip2),
        ([bzip2(a), bzip2(b)].concat(), AciCompression::Bzip2),
        (xz(&tar), AciCompression::Xz),
        ([xz(a), vec![0; 8], xz(b)].concat(), AciCompression::Xz),
    ] {
        let check = check(&file);
        assert_eq!(check.fault(), None, "{compression}");
        assert_eq!((check.id(), check.compression()), (Some(&id), Some(compression)));
        assert_eq!(check.size(), tar.len() as u64);
        assert_eq!(check.manifest().unwrap().title(), "example.com/app,version=1.0,os=linux");
    }
}

#[test]
fn what_is_cut_or_followed_by_junk_is_none() {
    let tar = tar(&sound());
    for compress in [gzip, bzip2, xz, <[u8]>::to_vec] {
        let file = compress(&tar);
        let cut = file.len() - if file.len() == tar.len() { 513 } else { 1 };
        assert!(check(&file[..cut]).fault().is_some());
        assert!(check(&file[..file.len() / 2]).fault().is_some());
        let junk = [file.as_slice(), b"junk"].concat();
        assert!(check(&junk).fault().is_some());
    }
    // what the format itself lets stand behind the end
    assert_eq!(check(&[tar.as_slice(), &[0; 9000]].concat()).fault(), None);
    refused(&[tar.as_slice(), &[0; 600], b"x"].concat(), "follow the end of the tar");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    refused(b"", "no ACI");
    refused(b"{}", "no ACI");
    refused(&[0; 4096], "no ACI");
    refused(b"\x28\xb5\x2f\xfd0000000", "no ACI");
    refused(&[0x85, 1, 0x0c, 3], "gpg --decrypt");
    refused(&[0xc3, 4, 4, 9], "gpg --decrypt");
    refused(b"-----BEGIN PGP MESSAGE-----\n", "gpg --decrypt");
    let mut old = tar(&sound());
    old[257..265].fill(0);
    refused(&old, "no ACI");
    refused(&gzip(&old), "tar");
}

#[test]
fn names_are_written_in_the_one_way() {
    for (path, why) in [
        ("rootfsX", "neither"),
        ("rootfsX/a", "neither"),
        ("Manifest", "neither"),
        ("manifest2", "neither"),
        ("./manifest", "no plain path"),
        ("rootfs//a", "no plain path"),
        ("rootfs/./a", "no plain path"),
        ("", "no plain path"),
        ("/rootfs/a", "absolute"),
        ("rootfs/../a", "`..`"),
        ("../a", "`..`"),
        ("rootfs/a/", "ends in a slash"),
        ("manifest/a", "neither"),
    ] {
        refused(&with(&[(5, (path, b'7', "", b""))]), why.min(why));
        refused(&with(&[(5, (path, b'0', "", b""))]), why);
    }
}

#[test]
fn nothing_stands_twice_or_below_what_is_no_directory() {
    refused(&with(&[(6, ("manifest", b'0', "", b"\n"))]), "`manifest` stands twice");
    refused(&with(&[(0, ("manifest", b'0', "", b""))]), "`manifest` stands twice");
    refused(&with(&[(4, ("rootfs/etc/a", b'0', "", b"x"))]), "stands twice");
    refused(&with(&[(4, ("rootfs/etc", b'5', "", b""))]), "stands twice");
    refused(&with(&[(1, ("rootfs", b'5', "", b""))]), "stands twice");
    refused(&with(&[(5, ("rootfs/etc/b/x", b'0', "", b""))]), "below something");
    refused(
        &with(&[(5, ("rootfs/x/y", b'0', "", b"")), (6, ("rootfs/x", b'2', "/", b""))]),
        "is no directory",
    );
    assert_eq!(check(&with(&[(5, ("rootfs/x/y", b'0', "", b""))])).fault(), None);
}

#[test]
fn links_stay_in_the_root_file_system() {
    for link in ["../../a", "/../x", "a/../../../b", "../../../../etc/passwd"] {
        refused(&with(&[(5, ("rootfs/etc/l", b'2', link, b""))]), "leads out");
    }
    for link in ["manifest", "rootfs", "/rootfs/etc/a", "rootfs/../manifest", "rootfsX/a"] {
        refused(&with(&[(5, ("rootfs/etc/l", b'1', link, b""))]), "hard link");
    }
    refused(&with(&[(5, ("rootfs/etc/l", b'1', "rootfs/later", b""))]), "nothing that came before");
    for link in ["/bin/sh", "../x", "a/../b", "."] {
        assert_eq!(check(&with(&[(5, ("rootfs/etc/l", b'2', link, b""))])).fault(), None, "{link}");
    }
}

#[test]
fn kinds_are_those_that_extractors_agree_on() {
    for kind in [b'S', b'7', b'V', b'M', b'D', b'A'] {
        let fault = check(&with(&[(5, ("rootfs/x", kind, "", b""))])).fault().unwrap();
        assert!(fault.contains("sparse") || fault.contains("disagree"), "{fault}");
    }
    refused(&with(&[(5, ("rootfs/x", b'2', "a", b"data"))]), "has a size");
    let all: Vec<_> = sound();
    let mut link = all.clone();
    link[5] = ("manifest", b'2', "rootfs/etc/a", b"");
    refused(&tar(&link), "no regular file");
    let mut file = all.clone();
    file[0] = ("rootfs", b'0', "", b"");
    refused(&tar(&file), "`rootfs` is no directory");
    refused(&tar(&all[1..]), "no directory `rootfs`");
    refused(&tar(&all[..5]), "no file `manifest`");
    let devices = with(&[(5, ("rootfs/x", b'3', "", b"")), (5, ("rootfs/y", b'4', "", b""))]);
    assert_eq!(check(&devices).manifest.unwrap().devices, 2);
}

#[test]
fn bombs_and_large_dictionaries_are_beyond_a_limit() {
    // below what the weakest level of gzip makes of zeros
    let limits =
        Limits { expansion_floor_bytes: 1 << 20, expansion_ratio: 100, ..Limits::default() };
    let zeros = vec![0; 4 << 20];
    let mut bomb = tar(&[("rootfs/big", b'0', "", &zeros)]);
    bomb.resize(8 << 20, 0);
    for compress in [gzip, bzip2, xz] {
        let mut reader = AciReader::new(&limits);
        reader.update(&compress(&bomb));
        let fault = reader.finish().fault().unwrap();
        assert!(fault.starts_with("limit exceeded"), "{fault}");
    }
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    for (dictionary, fine) in [(32 << 20, true), ((32 << 20) + (8 << 20), false)] {
        options.dict_size(dictionary);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let stream =
            liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32);
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
        encoder.write_all(&tar(&sound())).unwrap();
        let fault = check(&encoder.finish().unwrap()).fault();
        assert_eq!(fault.is_none(), fine, "{fault:?}");
        assert!(fault.is_none_or(|fault| fault.contains("dictionary")));
    }
    let empty = bzip2(b"");
    refused(&empty.repeat(2000), "streams");
}

#[test]
fn a_manifest_is_held_to_the_schema() {
    let fails = |text: &str, why: &str| {
        let error = AciManifest::parse(text.as_bytes(), &Limits::default()).unwrap_err();
        assert!(error.contains(why), "`{why}` is not in `{error}`");
    };
    let of = |rest: &str| {
        format!(r#"{{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a.b/c"{rest}}}"#)
    };
    assert!(AciManifest::parse(of("").as_bytes(), &Limits::default()).is_ok());
    fails("{}", "acKind");
    fails(r#"{"acKind":"PodManifest","acVersion":"1.0.0","name":"a"}"#, "acKind");
    fails(r#"{"acKind":"ImageManifest","acVersion":"1.0","name":"a"}"#, "acVersion");
    fails(r#"{"acKind":"ImageManifest","acVersion":"1.0.0","name":"A"}"#, "AC Identifier");
    let id = "0123456789abcdef".repeat(8);
    for (rest, why) in [
        (r#","labels":[{"name":"name","value":""}]"#, "must not be called"),
        (r#","labels":[{"name":"a","value":""},{"name":"a","value":""}]"#, "stands twice"),
        (r#","labels":[{"name":"os","value":"plan9"}]"#, "os"),
        (r#","labels":[{"name":"a"}]"#, "value"),
        (r#","labels":null"#, "null"),
        (r#","Name":"x""#, "ambiguous"),
        (r#","name":"x""#, "ambiguous"),
        (r#","annotations":[{"name":"a","value":""},{"name":"a","value":""}]"#, "stands twice"),
        (r#","annotations":[{"name":"created","value":"yesterday"}]"#, "RFC 3339"),
        (r#","annotations":[{"name":"homepage","value":"ftp://x"}]"#, "URL"),
        (r#","pathWhitelist":["etc"]"#, "absolute"),
        (r#","dependencies":[{"imageName":""}]"#, "AC Identifier"),
        (r#","dependencies":[{"imageName":"a","imageID":"sha512-00"}]"#, "image ID"),
        (r#","dependencies":[{"imageName":"a","size":-1}]"#, "-1"),
        (r#","app":{"exec":["/a"],"group":"0"}"#, "user"),
        (r#","app":{"user":"","group":"0"}"#, "user and group"),
        (r#","app":{"user":"0","group":"0","workingDirectory":"a"}"#, "workingDirectory"),
        (r#","app":{"user":"0","group":"0","environment":[{"name":"1","value":""}]}"#, "variable"),
        (r#","app":{"user":"0","group":"0","eventHandlers":[{"name":"x","exec":[]}]}"#, "none"),
        (
            r#","app":{"user":"0","group":"0","ports":[{"name":"a","protocol":"tcp","port":0}]}"#,
            "65535",
        ),
        (
            r#","app":{"user":"0","group":"0","ports":[{"name":"a","protocol":"tcp","port":65535,"count":2}]}"#,
            "65535",
        ),
        (r#","app":{"user":"0","group":"0","mountPoints":[{"name":"A","path":"/"}]}"#, "AC Name"),
    ] {
        fails(&of(rest), why);
    }
    let upper = id.to_uppercase();
    fails(
        &of(&format!(r#","dependencies":[{{"imageName":"a","imageID":"sha512-{upper}"}}]"#)),
        "image ID",
    );
    let good = of(&format!(
        r#","dependencies":[{{"imageName":"a","imageID":"sha512-{id}","size":1}}],
        "app":{{"exec":["/x"],"user":"0","group":"0","supplementaryGids":[1],
        "isolators":[{{"name":"resource/cpu","value":{{"limit":"1"}}}}],
        "ports":[{{"name":"a","protocol":"tcp","port":65535}}]}}"#
    ));
    let manifest = AciManifest::parse(good.as_bytes(), &Limits::default()).unwrap();
    assert!(matches!(manifest.dependencies[0].id(), Some(AciId::Whole(_))));
}

#[test]
fn dependencies_are_held_to_their_whole_id() {
    let base = check(&tar(&sound()));
    let id = base.id().unwrap().clone();
    let app = |dependency: &str| {
        let manifest = format!(
            r#"{{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a.b/c","dependencies":[{dependency}]}}"#
        );
        let mut items = sound();
        items[5].3 = manifest.as_bytes();
        check(&tar(&items))
    };
    let tree = |app: &AciCheck, found: Option<(&AciCheck, u64)>| {
        let file = crate::image::FileHasher::default().finish();
        let mut tree = AciTree::new(file, app, crate::image::Depth::Layers, &Limits::default());
        while let Some(want) = tree.want() {
            match found {
                Some((found, bytes)) => tree.supply(&want, found.clone(), bytes),
                None => tree.missing(&want),
            }
        }
        let tree = tree.finish();
        tree.shape().nodes[3].state.clone()
    };
    use crate::image::NodeState as S;
    let hex = id.hex();
    let pinned = |name: &str, rest: &str| {
        app(&format!(r#"{{"imageName":"{name}","imageID":"sha512-{hex}"{rest}}}"#))
    };
    let good = pinned("example.com/app", "");
    assert_eq!(tree(&good, Some((&base, 9))), S::Verified);
    assert_eq!(tree(&good, None), S::Missing);
    let other = check(&with(&[(5, ("rootfs/x", b'0', "", b""))]));
    assert!(matches!(tree(&good, Some((&other, 9))), S::Mismatch(_)));
    assert_eq!(tree(&pinned("example.com/app", r#","size":9"#), Some((&base, 9))), S::Verified);
    let size = pinned("example.com/app", r#","size":10"#);
    assert!(matches!(tree(&size, Some((&base, 9))), S::SizeMismatch(_)));
    assert!(matches!(tree(&pinned("example.com/b", ""), Some((&base, 9))), S::Malformed(_)));
    let labels = r#","labels":[{"name":"version","value":"2.0"}]"#;
    assert!(matches!(tree(&pinned("example.com/app", labels), Some((&base, 9))), S::Malformed(_)));
    let unpinned = app(r#"{"imageName":"example.com/app"}"#);
    assert!(matches!(tree(&unpinned, Some((&base, 9))), S::Unpinned(_)));
    let short =
        app(&format!(r#"{{"imageName":"example.com/app","imageID":"sha512-{}"}}"#, &hex[..64]));
    assert!(matches!(tree(&short, Some((&base, 9))), S::Unpinned(_)));
}
