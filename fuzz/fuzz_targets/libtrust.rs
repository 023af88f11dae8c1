#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::envelope::{Candidate, describe, libtrust};
    use ocisign::evidence::Subject;
    use ocisign::image::Digest;
    let limits = ocisign::limits::Limits::default();
    let checked = libtrust::check(data, &limits);
    let candidate = Candidate::libtrust("fuzz", data.to_vec());
    assert_eq!(describe(&candidate, &limits).is_ok(), checked.is_ok());
    let subject = Subject { digest: Digest::sha256(data), size: None, media_type: None };
    // nobody is trusted, so nothing is evidence
    assert!(ocisign::verify::verify(&candidate, &Default::default(), &subject, &limits).is_err());
});
