#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::image::docker_v1::{V1Reader, config};
    let limits = ocisign::limits::Limits::default();
    let read = |piece: usize| {
        let mut reader = V1Reader::new(true, &limits);
        data.chunks(piece).for_each(|bytes| reader.update(bytes));
        reader.finish()
    };
    // however the bytes come, they are the same archive or the same none
    let (whole, pieces) = (read(data.len().max(1)), read(97));
    assert_eq!(whole.fault(), pieces.fault());
    let Some(archive) = whole.archive() else { return };
    for top in archive.tops() {
        let chain = archive.chain(top);
        assert!(chain.last().is_some_and(|last| last.id == top.id));
        let layers: Vec<_> = chain.iter().filter_map(|image| image.layer.digest.clone()).collect();
        assert_eq!(layers.len(), chain.len());
        assert!(config(&chain, &layers).is_some());
    }
});
