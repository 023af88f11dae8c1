#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for media_type in [None, Some(ocisign::image::media_type::OCI_INDEX)] {
        ocisign::store::registry::fuzzing::referrers(data, media_type);
    }
});
