#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::image::schema1::{Frame, payload};
    use ocisign::image::{Document, media_type as mt};
    let limits = ocisign::limits::Limits::default();
    for kind in [None, Some(mt::DOCKER_SCHEMA_1), Some(mt::DOCKER_SCHEMA_1_SIGNED)] {
        let Ok(payload) = payload(kind, data, &limits) else { continue };
        // what is signed can be nothing, and never signed again
        if let Ok(Document::Schema1(read, _)) = Document::parse(&payload, kind, &limits) {
            assert!(!read.layers.is_empty());
            assert!(!ocisign::image::schema1::is_signed(None, &payload));
        }
    }
    // nothing is in a frame but what is signed and the signatures
    if let Ok(frame) = Frame::parse(data, &limits) {
        assert!(!frame.signatures.is_empty() && !frame.payload.is_empty());
        let same = frame.payload.iter().zip(data).take_while(|(a, b)| a == b).count();
        assert!(same + 1024 >= frame.payload.len());
    }
});
