#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::Limits;
use ocisign::crypto::certificate::Certificate;
use ocisign::trust::{PUBLIC_ROOT, SigstoreRoot};
use ocisign::verify::sigstore::{Artifact, Maker, proof};

static ROOT: LazyLock<SigstoreRoot> =
    LazyLock::new(|| SigstoreRoot::parse(PUBLIC_ROOT, &Limits::default()).expect("the public root"));

// A bundle, a certificate and a trusted root; nothing that is made up holds.
fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let held = proof(data, Artifact::Bytes(b"x"), Maker::AnyCertificate, &ROOT, &limits);
    assert!(held.is_err());
    let _ = Certificate::parse(data);
    let _ = SigstoreRoot::parse(data, &limits);
});
