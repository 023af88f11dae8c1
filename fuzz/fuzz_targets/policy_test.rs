#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::limits::Limits;
use ocisign::policy::{Policy, parse, test};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let text = include_bytes!("../../policies/threshold.json");
    test::link_by_name(parse(text, &Limits::default()).expect("it parses")).expect("it links")
});

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    match test::TestFile::parse(data, &limits) {
        Ok(file) => drop(test::run(&POLICY, &file)),
        Err(problems) => assert!(!problems.is_empty(), "a refusal says why"),
    }
});
