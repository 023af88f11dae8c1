#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = ocisign::crypto::KeyRef::parse(text);
    if let Ok(uri) = ocisign::crypto::Pkcs11Uri::parse(text) {
        let _ = uri.module_path();
    }
});
