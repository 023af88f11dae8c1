//! Layers: bytes, decompressed bytes, and the tar in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ocisign::image::{
    Algorithm, Compression, Depth, Digest, Job, NodeKind, NodeState, Read, Want, check_all,
    check_reader, media_type as mt,
};
use ocisign::limits::Limits;

use crate::image::{Image, gzip, gzip_layer, state, tar, word, zstd, zstd_layer};

/// The state of the one layer of an image whose diff id is that of `content`.
fn layer(kind: &str, blob: Vec<u8>, content: &[u8]) -> &'static str {
    layer_within(kind, blob, content, &Limits::default())
}

fn layer_within(kind: &str, blob: Vec<u8>, content: &[u8], limits: &Limits) -> &'static str {
    let image = Image::single(&[(kind, blob, Digest::sha256(content))]);
    let (tree, _) = image.walk(Depth::Contents, limits);
    state(&tree, NodeKind::Layer)
}

#[test]
fn a_layer_decompresses_to_its_diff_id() {
    let content = tar(&[("a", b"1"), ("b/c", &[7; 100_000])]);
    for (kind, blob) in [
        (mt::OCI_LAYER, content.clone()),
        (mt::OCI_LAYER_GZIP, gzip(&content)),
        (mt::OCI_LAYER_ZSTD, zstd(&content)),
        (mt::DOCKER_LAYER, content.clone()),
        (mt::DOCKER_LAYER_GZIP, gzip(&content)),
        (mt::DOCKER_FOREIGN_GZIP, gzip(&content)),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", zstd(&content)),
    ] {
        assert_eq!(layer(kind, blob.clone(), &content), "verified", "{kind}");
        assert_eq!(layer(kind, blob, b"other"), "mismatch", "{kind}");
    }
}

#[test]
fn all_members_and_frames_count() {
    let content = tar(&[("a", b"1"), ("b", b"2")]);
    let (head, tail) = content.split_at(700);
    let members = [gzip(head), gzip(b""), gzip(tail)].concat();
    assert_eq!(layer(mt::OCI_LAYER_GZIP, members.clone(), &content), "verified");
    assert_eq!(layer(mt::OCI_LAYER_GZIP, members, head), "mismatch");
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = [zstd(head), skippable.clone(), zstd(b""), zstd(tail), skippable].concat();
    assert_eq!(layer(mt::OCI_LAYER_ZSTD, frames, &content), "verified");
}

#[test]
fn optional_parts_of_a_gzip_header_are_read() {
    let content = tar(&[("a", b"1")]);
    let mut blob = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(b"extra".to_vec())
        .write(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut blob, &content).unwrap();
    let blob = blob.finish().unwrap();
    assert_eq!(layer(mt::OCI_LAYER_GZIP, blob.clone(), &content), "verified");
    // The header's own checksum, right and wrong.
    let mut header = gzip(b"")[..10].to_vec();
    header[3] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    for (wrong, want) in [(0, "verified"), (1, "malformed")] {
        let sum = (crc.sum() as u16) ^ wrong;
        let blob = [&header[..], &sum.to_le_bytes(), &gzip(&content)[10..]].concat();
        assert_eq!(layer(mt::OCI_LAYER_GZIP, blob, &content), want);
    }
}

#[test]
fn what_does_not_end_where_it_must_is_malformed() {
    let content = tar(&[("a", b"1")]);
    let (gz, zs) = (gzip(&content), zstd(&content));
    for blob in [
        [&gz[..], b"\0"].concat(),
        [&gz[..], &[0; 512]].concat(),
        [&gz[..], b"garbage that is no member"].concat(),
        [&gz[..], &gz[..5]].concat(),
        gz[..gz.len() - 1].to_vec(),
        gz[..gz.len() - 9].to_vec(),
        gz[..5].to_vec(),
        Vec::new(),
        content.clone(),
    ] {
        assert_eq!(layer(mt::OCI_LAYER_GZIP, blob, &content), "malformed");
    }
    for (from_end, flip) in [(1, 1), (5, 1)] {
        let mut wrong = gz.clone();
        let at = wrong.len() - from_end;
        wrong[at] ^= flip;
        assert_eq!(layer(mt::OCI_LAYER_GZIP, wrong, &content), "malformed");
    }
    for blob in [
        [&zs[..], b"\0"].concat(),
        [&zs[..], &zs[..3]].concat(),
        zs[..zs.len() - 1].to_vec(),
        zs[..3].to_vec(),
        Vec::new(),
        content.clone(),
    ] {
        assert_eq!(layer(mt::OCI_LAYER_ZSTD, blob, &content), "malformed");
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    // 256 MiB of zeros, compressed twice over the ratio that gzip allows.
    let bomb = zstd(&vec![0; 256 << 20]);
    assert!(bomb.len() < 64 << 10);
    let start = Instant::now();
    assert_eq!(layer(mt::OCI_LAYER_ZSTD, bomb, b""), "limit-exceeded");
    assert!(start.elapsed().as_secs() < 30);
    // An absolute bound, for gzip too.
    let limits = Limits { layer_contents_bytes: 1 << 20, ..Limits::default() };
    let content = tar(&[("a", &[0; 2 << 20])]);
    assert_eq!(
        layer_within(mt::OCI_LAYER_GZIP, gzip(&content), &content, &limits),
        "limit-exceeded"
    );
    assert_eq!(layer_within(mt::OCI_LAYER, content.clone(), &content, &limits), "limit-exceeded");
}

#[test]
fn a_zstd_window_over_the_limit_is_not_allocated() {
    let content = tar(&[("a", &[1; 4096])]);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(28).unwrap();
    std::io::Write::write_all(&mut encoder, &content).unwrap();
    let blob = encoder.finish().unwrap();
    assert_eq!(layer(mt::OCI_LAYER_ZSTD, blob.clone(), &content), "limit-exceeded");
    let wide = Limits { zstd_window_log: 28, ..Limits::default() };
    assert_eq!(layer_within(mt::OCI_LAYER_ZSTD, blob, &content, &wide), "verified");
}

#[test]
fn a_path_stands_once_in_a_layer() {
    let once = |entries: &[(&str, &[u8])]| {
        let content = tar(entries);
        layer(mt::OCI_LAYER, content.clone(), &content)
    };
    let long = "d/".repeat(60) + "file";
    assert_eq!(once(&[("a", b"1"), ("b", b"2"), ("a.b", b""), (&long, b"")]), "verified");
    assert_eq!(once(&[("a", b"1"), ("a", b"2")]), "malformed");
    assert_eq!(once(&[("a", b"1"), ("./a", b"2")]), "malformed");
    assert_eq!(once(&[("a/b", b"1"), ("a//b", b"2")]), "malformed");
    assert_eq!(once(&[(&long, b"1"), ("x", b""), (&long, b"2")]), "malformed");
    assert_eq!(once(&[("a/.wh.b", b""), ("a/.wh..wh..opq", b"")]), "verified");
    assert_eq!(once(&[("a/.wh.", b"")]), "malformed");
    assert_eq!(once(&[]), "verified");
}

#[test]
fn extended_headers_name_the_entry_that_follows() {
    let entry = |name: &str, kind: tar::EntryType, body: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_cksum();
        let pad = vec![0; body.len().next_multiple_of(512) - body.len()];
        [&header.as_bytes()[..], body, &pad].concat()
    };
    let pax = |body: &[u8]| entry("pax", tar::EntryType::XHeader, body);
    let file = |name: &str| entry(name, tar::EntryType::Regular, b"x");
    let end = vec![0; 1024];
    for (parts, want) in [
        (vec![pax(b"9 path=b\n"), file("a"), file("a")], "verified"),
        (vec![pax(b"8 path=b\n"), file("a"), file("a")], "malformed"),
        (vec![pax(b"10 path=b\n"), file("a"), file("a")], "verified"),
        (vec![pax(b"10 path=b\n"), file("a"), file("b")], "malformed"),
        (vec![pax(b"10 path=b\n")], "malformed"),
        (vec![pax(b"999 path=b\n"), file("a")], "malformed"),
        (vec![pax(b"0 path=b\n"), file("a")], "malformed"),
        (vec![entry("l", tar::EntryType::GNULongName, b"b\0"), file("a"), file("b")], "malformed"),
        (vec![entry("g", tar::EntryType::XGlobalHeader, b"10 path=b\n"), file("a")], "malformed"),
        (vec![entry("g", tar::EntryType::XGlobalHeader, b"10 comment\n"), file("a")], "malformed"),
        (vec![entry("g", tar::EntryType::XGlobalHeader, b"13 comment=x\n"), file("a")], "verified"),
        // The size hides an entry from who ignores pax.
        (vec![pax(b"12 size=513\n"), file("a"), file("b"), file("b")], "malformed"),
        (vec![file("a"), vec![0; 512], file("b")], "malformed"),
        (vec![file("a"), vec![0; 1024], file("a")], "verified"),
        (vec![vec![1; 1024]], "malformed"),
        // Cut in a header, in data, in padding, after one block of zeros.
        (vec![file("a")[..500].to_vec()], "malformed"),
        (vec![file("a")[..512].to_vec()], "malformed"),
        (vec![file("a")[..513].to_vec()], "verified"),
        (vec![file("a"), vec![0; 512]], "verified"),
    ] {
        let mut content = parts.concat();
        let cut = parts.last().is_some_and(|part| matches!(part.len(), 500 | 512 | 513));
        if !cut {
            content.extend(&end);
        }
        assert_eq!(layer(mt::OCI_LAYER, content.clone(), &content), want);
    }
}

#[test]
fn entries_are_bounded() {
    let limits = Limits { tar_entries: 2, ..Limits::default() };
    let content = tar(&[("a", b""), ("b", b""), ("c", b"")]);
    assert_eq!(layer_within(mt::OCI_LAYER, content.clone(), &content, &limits), "limit-exceeded");
}

#[test]
fn wrong_bytes_are_a_mismatch_whatever_they_decompress_to() {
    // The bytes under the digest are another gzip of the right content.
    let (kind, blob, diff_id) = gzip_layer(&[("a", b"1")]);
    let mut image = Image::single(&[(kind, blob.clone(), diff_id)]);
    let other = [gzip(&[]), blob.clone()].concat();
    let key = Digest::sha256(&blob).to_string();
    image.blobs.insert(key.clone(), other[..blob.len()].to_vec());
    assert_eq!(state(&image.tree(Depth::Contents), NodeKind::Layer), "mismatch");
    image.blobs.insert(key.clone(), other);
    assert_eq!(state(&image.tree(Depth::Contents), NodeKind::Layer), "size-mismatch");
    image.blobs.insert(key, blob[..blob.len() - 1].to_vec());
    assert_eq!(state(&image.tree(Depth::Contents), NodeKind::Layer), "size-mismatch");
}

#[test]
fn layers_that_are_no_file_systems() {
    // BuildKit's attestations: the diff id is the digest.
    let statement = b"{}".to_vec();
    assert_eq!(layer(mt::IN_TOTO, statement.clone(), &statement), "verified");
    assert_eq!(layer(mt::IN_TOTO, statement, b"other"), "unverifiable");
}

#[test]
fn a_diff_id_stands_at_its_layer() {
    let layer = zstd_layer(&[("a", b"1")]);
    let tree = Image::single(std::slice::from_ref(&layer)).tree(Depth::Contents);
    let node = tree.shape().nodes.iter().find(|n| n.kind == NodeKind::Layer).unwrap();
    assert_eq!(node.diff_id, Some(layer.2));
    assert_eq!(word(&node.state), "verified");
    assert!(!matches!(node.state, NodeState::NotRead));
}

#[test]
fn many_blobs_get_the_answers_that_one_gets() {
    let limits = Limits::default();
    let content = tar(&[("a", &[3; 5000])]);
    let packed = gzip(&content);
    let sizes = [0, 1, 55, 56, 63, 64, 65, 127, 128, 4096, 262_144, 262_145, 700_001];
    let blobs: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|i| (i % 251) as u8).collect()).collect();
    for threads in [1, 2, 3, 20] {
        for wrong in [0_i64, 1, -1] {
            let mut jobs: Vec<_> = blobs
                .iter()
                .map(|blob| Job {
                    want: want(blob, blob.len().saturating_add_signed(wrong as isize), Read::Blob),
                    reader: Trickle(blob),
                })
                .collect();
            let read = Read::Contents(Compression::Gzip, Algorithm::Sha256);
            jobs.push(Job { want: want(&packed, packed.len(), read), reader: Trickle(&packed) });
            let mut sha512 = want(&packed, packed.len(), Read::Blob);
            sha512.digest = Digest::of(Algorithm::Sha512, &packed);
            jobs.push(Job { want: sha512, reader: Trickle(&packed) });
            let mut other = want(&packed, packed.len(), Read::Blob);
            other.digest = Digest::sha256(b"other");
            jobs.push(Job { want: other, reader: Trickle(&packed) });
            let alone: Vec<_> = jobs
                .iter()
                .map(|job| check_reader(&job.want, job.reader.0, &limits).unwrap())
                .collect();
            let seen = AtomicU64::new(0);
            let told = |bytes: u64| {
                seen.fetch_add(bytes, Ordering::Relaxed);
            };
            let together: Vec<_> =
                check_all(jobs, threads, &limits, &told).into_iter().map(Result::unwrap).collect();
            assert_eq!(together, alone);
            let good = together.iter().filter(|check| check.is_verified()).count();
            // A size one less than nothing is nothing.
            assert_eq!(good, 2 + [sizes.len(), 0, 1][wrong.rem_euclid(3) as usize]);
            assert!(seen.into_inner() >= sizes.iter().sum::<usize>() as u64 / 2);
        }
    }
}

#[test]
fn a_reader_that_fails_fails_alone() {
    let blob = vec![1; 300_000];
    let job = |reader| Job { want: want(&blob, blob.len(), Read::Blob), reader };
    let good = || -> Box<dyn std::io::Read + Send> { Box::new(std::io::Cursor::new(blob.clone())) };
    let jobs = vec![job(good()), job(Box::new(Broken)), job(good()), job(good())];
    let results = check_all(jobs, 1, &Limits::default(), &|_| ());
    let verified: Vec<_> =
        results.iter().map(|r| r.as_ref().is_ok_and(|c| c.is_verified())).collect();
    assert_eq!(verified, [true, false, true, true]);
}

fn want(blob: &[u8], size: usize, read: Read) -> Want {
    Want {
        digest: Digest::sha256(blob),
        size: size as u64,
        exact: true,
        kind: NodeKind::Layer,
        media_type: String::new(),
        urls: Vec::new(),
        read,
    }
}

/// Gives odd numbers of bytes, so that blocks and reads never meet.
struct Trickle<'b>(&'b [u8]);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = (self.0.len() % 1009 + 1).min(buffer.len());
        std::io::Read::read(&mut self.0, &mut buffer[..most])
    }
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken"))
    }
}
