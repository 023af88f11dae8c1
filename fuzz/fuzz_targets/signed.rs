#![no_main]
//! Signed payloads: what a trusted key may have signed is untrusted too.
use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use ocisign::crypto::{Password, PrivateKey, Signer};
use ocisign::envelope::{Candidate, cosign, dsse, sigstore};
use ocisign::evidence::Subject;
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

static KEY: std::sync::LazyLock<PrivateKey> = std::sync::LazyLock::new(|| {
    let pem = include_bytes!("../../keys-test/ed25519/key.pem");
    PrivateKey::from_pem(pem, &mut || Ok(Password::new("")), &Limits::default()).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let trust = Trust::new([KEY.public_key().clone()]);
    let subject = Subject { digest: Digest::sha256(b""), size: None, media_type: None };
    let signature = KEY.sign(&dsse::pae(dsse::IN_TOTO, data)).expect("it signs");
    let bundle = sigstore::bundle(data, &signature, &KEY.public_key().hint());
    let older = cosign::layer(data, &KEY.sign(data).expect("it signs")).annotations;
    let older: BTreeMap<String, String> = older;
    for candidate in
        [Candidate::bundle("fuzz", bundle), Candidate::cosign("fuzz", data.to_vec(), older)]
    {
        if let Ok(evidence) = verify(&candidate, &trust, &subject, &limits) {
            assert_eq!(evidence.facts().claims.subject.digest, subject.digest);
        }
    }
});
