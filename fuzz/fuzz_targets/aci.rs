#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::image::aci::{AciManifest, AciReader};
    let limits = ocisign::limits::Limits::default();
    let mut whole = AciReader::new(&limits);
    whole.update(data);
    let whole = whole.finish();
    // however the bytes come, they are the same image or the same none
    let mut pieces = AciReader::new(&limits);
    for piece in data.chunks(97) {
        pieces.update(piece);
    }
    let pieces = pieces.finish();
    assert_eq!(whole.id(), pieces.id());
    let _ = AciManifest::parse(data, &limits);
});
