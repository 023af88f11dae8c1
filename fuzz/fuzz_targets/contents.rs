#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::image::{Algorithm, Compression, Digest, NodeKind, Read, Want, check_reader};
    let Some((kind, data)) = data.split_first() else { return };
    let compression = match kind % 3 {
        0 => Compression::Tar,
        1 => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let want = Want {
        digest: Digest::sha256(data),
        size: data.len() as u64,
        exact: true,
        kind: NodeKind::Layer,
        media_type: String::new(),
        urls: Vec::new(),
        read: Read::Contents(compression, Algorithm::Sha256),
    };
    let mut limits = ocisign::limits::Limits::default();
    limits.layer_contents_bytes = 1 << 22;
    limits.expansion_floor_bytes = 1 << 20;
    let check = check_reader(&want, data, &limits).expect("memory reads");
    assert!(check.is_verified());
});
