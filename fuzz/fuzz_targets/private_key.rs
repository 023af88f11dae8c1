#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::crypto::{Password, PrivateKey};
    let mut limits = ocisign::limits::Limits::default();
    limits.kdf_iterations = 1000; // the bound is what keeps this quick
    limits.kdf_bytes = 1 << 20;
    let _ = PrivateKey::from_pem(data, &mut || Ok(Password::from(String::from("x"))), &limits);
});
