#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::crypto::openpgp::{Detached, Keyring, SecretKey, SignedMessage};
    use ocisign::crypto::{KeyError, Password};
    let limits = ocisign::limits::Limits::default();
    let ring = Keyring::parse(data, &limits);
    if let Ok(message) = SignedMessage::parse(data, &limits) {
        assert!(message.verify(&Keyring::default()).is_err());
        if let Ok(ring) = &ring {
            let _ = message.verify(ring);
        }
    }
    for signature in Detached::parse(data, &limits).unwrap_or_default() {
        let Ok(mut hash) = signature.begin() else { continue };
        hash.update(b"content");
        // nobody is trusted, so nobody signed it
        assert!(hash.verify(&Keyring::default()).is_err());
    }
    let mut none = || -> Result<Password, KeyError> { Err(KeyError::NoPassword("none".into())) };
    let _ = SecretKey::parse(data, &mut none, &limits);
});
