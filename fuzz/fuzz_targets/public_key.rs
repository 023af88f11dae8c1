#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = ocisign::limits::Limits::default();
    for key in [
        ocisign::crypto::PublicKey::from_pem(data, &limits),
        ocisign::crypto::PublicKey::from_spki_der(data),
    ]
    .into_iter()
    .flatten()
    {
        let again = ocisign::crypto::PublicKey::from_pem(key.to_pem().as_bytes(), &limits);
        assert_eq!(again.expect("what we write we read").id(), key.id());
        assert!(key.verify(b"message", data).is_err());
    }
});
