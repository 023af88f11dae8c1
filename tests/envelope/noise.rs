//! Any bytes at all get an answer.

use std::collections::BTreeMap;

use ocisign::crypto::PublicKey;
use ocisign::envelope::{Candidate, cosign, describe, layers_of_referrer, layers_of_tag};
use ocisign::evidence::Subject;
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;
use proptest::prelude::*;

use crate::case::Case;

fn try_everything(bytes: &[u8]) {
    let limits = Limits::default();
    let subject = Subject { digest: Digest::sha256(b"x"), size: None, media_type: None };
    let signed = BTreeMap::from([(cosign::SIGNATURE.to_owned(), "AAAA".to_owned())]);
    for candidate in [
        Candidate::bundle("x", bytes.to_vec()),
        Candidate::cosign("x", bytes.to_vec(), signed),
        Candidate { media_type: String::new(), ..Candidate::bundle("x", bytes.to_vec()) },
    ] {
        assert!(verify(&candidate, &Trust::default(), &subject, &limits).is_err());
        let _ = describe(&candidate, &limits);
    }
    let _ = layers_of_tag(bytes, &limits);
    let _ = layers_of_referrer(bytes, &subject.digest, &limits);
    let _ = PublicKey::from_pem(bytes, &limits);
    let _ = PublicKey::from_spki_der(bytes);
    let _ = PublicKey::from_pkcs1_der(bytes);
    let _ = PublicKey::from_ed25519(bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        try_everything(&bytes);
    }

    #[test]
    fn arbitrary_json(text in r#"[\[\]{}:,"\\a-z0-9 /.+=-]{0,80}"#) {
        try_everything(text.as_bytes());
    }

    /// A signature that counts keeps counting, or stops to, under any edit;
    /// it never counts for something else.
    #[test]
    fn edited_vectors(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let cases: Vec<Case> = Case::accepted().collect();
        let case = which.get(&cases);
        let mut candidate = case.candidate().unwrap();
        let evidence = case.verify(&candidate).unwrap();
        for (at, byte) in edits {
            let at = at.index(candidate.bytes.len());
            candidate.bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            candidate.bytes.truncate(cut.index(candidate.bytes.len()));
        }
        try_everything(&candidate.bytes);
        if let Ok(other) = case.verify(&candidate) {
            prop_assert_eq!(other.facts(), evidence.facts());
        }
    }
}
