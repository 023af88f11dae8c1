//! What an attacker controls is bounded: sizes, counts, and what his text
//! can do to a message.

use ocisign::envelope::{Candidate, describe, layers_of_referrer, layers_of_tag};
use ocisign::evidence::{Reason, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;
use serde_json::json;

use crate::case::Case;
use crate::written::Key;

fn limited(reason: &Reason) -> bool {
    matches!(reason, Reason::LimitExceeded(_))
}

#[test]
fn a_bound_that_is_reached_is_reported_as_one() {
    let case = Case::accepted().next().unwrap();
    let candidate = case.candidate().unwrap();
    let subject = Subject { digest: case.subject.clone(), size: None, media_type: None };
    let trust = Trust::new([case.key.clone()]);
    let exact = Limits { envelope_bytes: candidate.bytes.len() as u64, ..Limits::default() };
    assert!(verify(&candidate, &trust, &subject, &exact).is_ok());
    let less = Limits { envelope_bytes: exact.envelope_bytes - 1, ..exact };
    assert!(limited(&verify(&candidate, &trust, &subject, &less).unwrap_err().reason));
    assert!(limited(&describe(&candidate, &less).unwrap_err()));
    let flat = Limits { json_depth: 1, ..Limits::default() };
    assert!(limited(&verify(&candidate, &trust, &subject, &flat).unwrap_err().reason));

    let layer = json!({"mediaType": "a/b", "digest": case.subject, "size": 1});
    let manifest = |count: usize| json!({"layers": vec![&layer; count]}).to_string().into_bytes();
    let limits = Limits::default();
    assert_eq!(layers_of_tag(&manifest(1_000), &limits).map(|l| l.len()), Ok(1_000));
    assert!(limited(&layers_of_tag(&manifest(1_001), &limits).unwrap_err()));
    let less = Limits { manifest_bytes: 100, ..limits };
    assert!(limited(&layers_of_tag(&manifest(1), &less).unwrap_err()));
}

/// A registry's text neither fills a log nor steers a terminal.
#[test]
fn messages_quote_little_and_nothing_that_steers() {
    let limits = Limits::default();
    let digest = Digest::sha256(b"x");
    let long = "\u{1b}[2J\u{202e}\n".repeat(10_000);
    let key = Key::new();
    let strange = [
        json!({ &long: 1 }),
        json!({"mediaType": long}),
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": long}},
            "dsseEnvelope": {"payload": "", "payloadType": long, "signatures": []}}),
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": long}},
            "dsseEnvelope": {"payload": "", "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": "AAAA"}]}}),
        json!({"_type": long, "subject": [], "predicateType": ""}),
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "",
            "subject": [{"digest": {&long: "x"}}]}),
        json!({"critical": {"identity": {"docker-reference": ""}, "type": long,
            "image": {"docker-manifest-digest": ""}}}),
        json!({"critical": {"identity": {"docker-reference": ""},
            "type": "cosign container image signature",
            "image": {"docker-manifest-digest": long}}}),
        json!({"artifactType": long}),
    ];
    for document in strange {
        let bytes = document.to_string().into_bytes();
        let mut reasons: Vec<Reason> = [
            Candidate::bundle("x", bytes.clone()),
            Candidate { media_type: long.clone(), ..Candidate::bundle("x", bytes.clone()) },
            key.bundle(&bytes),
            key.older(&bytes),
        ]
        .iter()
        .map(|candidate| key.check(candidate, &digest).unwrap_err().reason)
        .collect();
        reasons.push(layers_of_referrer(&bytes, &digest, &limits).unwrap_err());
        for reason in reasons {
            let text = reason.to_string();
            assert!(text.chars().count() < 400, "{}", text.len());
            let steers = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!text.contains(steers), "{text:?}");
        }
    }
}

/// The hint says which key to try first, and only that.
#[test]
fn another_trusted_key_than_the_hinted_one_counts_as_itself() {
    let (ana, bo) = (Key::new(), Key::new());
    let digest = Digest::sha256(b"x");
    let payload = ocisign::envelope::sigstore::statement(&digest, None, &Default::default());
    let candidate = ana.bundle_with_hint(&payload, &bo.public().hint());
    let subject = Subject { digest, size: None, media_type: None };
    let check = |keys: &[&Key]| {
        let trust = Trust::new(keys.iter().map(|key| key.public().clone()));
        verify(&candidate, &trust, &subject, &Limits::default())
    };
    for keys in [&[&ana, &bo][..], &[&bo, &ana], &[&ana], &[&ana, &ana]] {
        assert_eq!(check(keys).unwrap().facts().signer.key(), &ana.public().id());
    }
    assert_eq!(check(&[&bo]).unwrap_err().reason, Reason::BadSignature);
    let hint = Some(bo.public().hint());
    assert_eq!(check(&[]).unwrap_err().reason, Reason::UnknownKey(hint));
}
