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
use crate::written::Key;

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

    /// What a trusted key signed may still be anything. It counts for the
    /// subject or not at all.
    #[test]
    fn edited_payloads_signed_anew(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        moved in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let key = Key::new();
        let digest = Digest::sha256(b"the image");
        let hex = digest.hex();
        let mut payload = which.get(&templates(hex)).clone().into_bytes();
        for (at, byte) in edits {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        // Half of the time a piece is doubled, which keeps more of the syntax.
        let (from, to) = (moved.0.index(payload.len() * 2), moved.1.index(payload.len()));
        if let Some(piece) = payload.get(from..to).map(<[u8]>::to_vec) {
            payload.splice(to..to, piece);
        }
        for candidate in [key.bundle(&payload), key.older(&payload)] {
            if let Ok(evidence) = key.check(&candidate, &digest) {
                prop_assert_eq!(&evidence.facts().claims.subject.digest, &digest);
                let text = String::from_utf8_lossy(&payload).into_owned();
                prop_assert!(text.contains(hex), "{}", text);
            }
        }
    }
}

fn templates(hex: &str) -> Vec<String> {
    vec![
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"a","digest":{{"sha256":"{hex}"}},"annotations":{{"a":"b","c":1}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#
        ),
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v0.1","subject":[{{"digest":{{"sha256":"{hex}"}}}},{{"digest":{{"sha1":"00"}}}}],"predicateType":"x","predicate":{{"a":[1,2]}}}}"#
        ),
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"a"}},"image":{{"docker-manifest-digest":"sha256:{hex}"}},"type":"cosign container image signature"}},"optional":{{"a":"b"}}}}"#
        ),
    ]
}
