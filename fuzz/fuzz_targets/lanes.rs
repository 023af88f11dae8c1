#![no_main]
//! The module with unsafe code against the plain hash.
use libfuzzer_sys::fuzz_target;
use ocisign::image::{Digest, Job, NodeKind, Read, Want, check_all};

fuzz_target!(|data: &[u8]| {
    let Some((&[count, at, wrong], rest)) = data.split_first_chunk::<3>() else { return };
    // two to five blobs; of one the last byte is another than was hashed
    let count = 2 + usize::from(count % 4);
    let mut blobs = Vec::new();
    let mut left = rest;
    for _ in 1..count {
        let (blob, more) = left.split_at(left.len() * usize::from(at) / 256);
        blobs.push(blob.to_vec());
        left = more;
    }
    blobs.push(left.to_vec());
    let wants: Vec<Want> = blobs
        .iter()
        .map(|blob| Want {
            digest: Digest::sha256(blob),
            size: blob.len() as u64,
            exact: true,
            kind: NodeKind::Layer,
            media_type: String::new(),
            urls: Vec::new(),
            read: Read::Blob,
        })
        .collect();
    let wrong = usize::from(wrong);
    if let Some(last) = blobs.get_mut(wrong).and_then(|blob| blob.last_mut()) {
        *last ^= 1;
    }
    let jobs =
        wants.into_iter().zip(&blobs).map(|(want, blob)| Job { want, reader: blob.as_slice() });
    let limits = ocisign::limits::Limits::default();
    for (n, check) in check_all(jobs.collect(), 1, &limits, &|_| {}).into_iter().enumerate() {
        let same = n != wrong || blobs[n].is_empty();
        assert_eq!(check.expect("memory reads").is_verified(), same);
    }
});
