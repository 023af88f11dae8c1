#![no_main]
use libfuzzer_sys::fuzz_target;
use ocisign::image::{Document, ImageConfig, media_type};

fuzz_target!(|data: &[u8]| {
    let limits = ocisign::limits::Limits::default();
    let expected = [
        None,
        Some(media_type::OCI_INDEX),
        Some(media_type::OCI_MANIFEST),
        Some(media_type::DOCKER_LIST),
        Some(media_type::DOCKER_MANIFEST),
    ];
    let read = expected.map(|kind| (kind, Document::parse(data, kind, &limits)));
    for (kind, document) in &read {
        if let (Some(kind), Ok(document)) = (kind, document) {
            assert_eq!(document.media_type(), *kind, "what points to it decides");
        }
    }
    let is_index = |document: &Document| matches!(document, Document::Index(_));
    let kinds: Vec<bool> = read.iter().filter_map(|(_, d)| d.as_ref().ok()).map(is_index).collect();
    assert!(kinds.windows(2).all(|two| two[0] == two[1]), "no bytes are an index and a manifest");
    let _ = ImageConfig::parse(data, &limits);
});
