#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::crypto::{KeyError, Password, PrivateKey};
    let mut limits = ocisign::limits::Limits::default();
    limits.kdf_iterations = 1000; // the bound is what keeps this quick
    limits.kdf_bytes = 1 << 20;
    // cosign's costs are fixed, and take seconds here: read up to the password
    let cosign = data.windows(6).any(|text| text == b"COSIGN" || text == b"SIGSTO");
    let password = &mut || match cosign {
        true => Err(KeyError::WrongPassword),
        false => Ok(Password::from(String::from("x"))),
    };
    let _ = PrivateKey::from_pem(data, password, &limits);
});
