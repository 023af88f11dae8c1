#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::envelope::{Candidate, cosign, describe};
    use std::collections::BTreeMap;
    let limits = ocisign::limits::Limits::default();
    let annotations = BTreeMap::from([(cosign::SIGNATURE.to_owned(), "AAAA".to_owned())]);
    let candidate = Candidate::cosign("fuzz", data.to_vec(), annotations);
    let _ = describe(&candidate, &limits);
    let _ = ocisign::envelope::layers_of_tag(data, &limits);
    let subject = ocisign::image::Digest::sha256(b"");
    let _ = ocisign::envelope::layers_of_referrer(data, &subject, &limits);
});
