#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<ocisign::image::Reference>() {
        let normal = reference.to_string();
        let again: ocisign::image::Reference = normal.parse().expect("a normal form parses");
        assert_eq!(again, reference, "normalising twice changes nothing");
    }
    let _ = ocisign::image::Source::parse(text);
    let _ = ocisign::policy::scope::Scope::parse(text);
    let _ = ocisign::policy::glob::Glob::parse(text);
});
