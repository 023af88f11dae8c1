#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::envelope::{Candidate, describe, parse};
    let limits = ocisign::limits::Limits::default();
    let candidate = Candidate::bundle("fuzz", data.to_vec());
    let _ = parse(&candidate, &limits);
    let _ = describe(&candidate, &limits);
});
