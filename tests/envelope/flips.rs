//! One changed byte anywhere, and a signature proves nothing.

use ocisign::crypto::PublicKey;
use ocisign::envelope::Candidate;
use ocisign::evidence::{Evidence, Format, Reason, Rejection};
use ocisign::limits::Limits;
use serde_json::Value;

use crate::case::Case;

fn real() -> impl Iterator<Item = Case> {
    Case::accepted().filter(|case| case.name.contains("by-cosign"))
}

/// The hint is the only part of a bundle that is not bound to the signature:
/// a changed one costs a little time and changes no fact.
#[test]
fn a_flipped_byte_of_a_blob_changes_the_answer_or_nothing() {
    let mut in_hints = 0;
    for case in real() {
        let candidate = case.candidate().unwrap();
        let evidence = case.verify(&candidate).unwrap();
        let hint = hint_range(&candidate);
        for at in 0..candidate.bytes.len() {
            let mut flipped = candidate.clone();
            flipped.bytes[at] ^= 1;
            match case.verify(&flipped) {
                Ok(other) if hint.contains(&at) => {
                    in_hints += 1;
                    assert_eq!(other, evidence);
                }
                Ok(_) => panic!("{}: byte {at} may be changed", case.name),
                Err(_) => {}
            }
        }
    }
    assert!(in_hints > 0, "the hint must be what is tried, and no more");
}

fn hint_range(candidate: &Candidate) -> std::ops::Range<usize> {
    let text = std::str::from_utf8(&candidate.bytes).unwrap();
    match text.find("\"hint\":\"") {
        Some(start) => {
            let start = start + "\"hint\":\"".len();
            start..start + text[start..].find('"').unwrap()
        }
        None => 0..0,
    }
}

#[test]
fn a_cut_or_grown_blob_is_refused() {
    for case in real() {
        let candidate = case.candidate().unwrap();
        let refused = |bytes: Vec<u8>| {
            let changed = Candidate { bytes, ..candidate.clone() };
            assert!(case.verify(&changed).is_err(), "{}", case.name);
        };
        refused(candidate.bytes[..candidate.bytes.len() - 1].to_vec());
        refused([candidate.bytes.as_slice(), b"}"].concat());
        refused(Vec::new());
    }
}

/// Bytes under the digest of others do not get as far as that.
#[test]
fn a_flipped_byte_is_corrupt_before_it_is_anything_else() {
    let case = real().next().unwrap();
    let candidate = case.candidate().unwrap();
    let listed = ocisign::image::Descriptor::of(candidate.media_type.clone(), &candidate.bytes);
    let mut bytes = candidate.bytes.clone();
    bytes[0] ^= 1;
    let Rejection { reason, .. } = Candidate::listed("x", &listed, bytes).unwrap_err();
    assert!(matches!(reason, Reason::Corrupt(_)));
}

#[test]
fn each_field_of_an_envelope_is_held_by_the_signature() {
    for case in real() {
        let candidate = case.candidate().unwrap();
        match candidate.format().unwrap() {
            Format::Sigstore => bundle_fields(&case, &candidate),
            Format::Cosign => cosign_fields(&case, &candidate),
            other => panic!("{other:?}"),
        }
    }
}

fn bundle_fields(case: &Case, candidate: &Candidate) {
    let bundle: Value = serde_json::from_slice(&candidate.bytes).unwrap();
    let change = |pointer: &str, value: Value| {
        let mut changed = bundle.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        case.verify(&Candidate::bundle("x", serde_json::to_vec(&changed).unwrap()))
    };
    for pointer in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig"] {
        let bytes = decoded(bundle.pointer(pointer).unwrap().as_str().unwrap());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            let reason = change(pointer, encoded(&flipped).into()).unwrap_err().reason;
            assert_eq!(reason, Reason::BadSignature, "{} {pointer} {at}", case.name);
        }
    }
    for pointer in ["/mediaType", "/dsseEnvelope/payloadType"] {
        assert!(change(pointer, "application/x".into()).is_err());
    }
}

fn cosign_fields(case: &Case, candidate: &Candidate) {
    const SIGNATURE: &str = ocisign::envelope::cosign::SIGNATURE;
    let unknown = |changed: Result<Evidence, Rejection>| {
        assert_eq!(changed.unwrap_err().reason, Reason::UnknownKey(None), "{}", case.name);
    };
    let bytes = decoded(&candidate.annotations[SIGNATURE]);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let mut changed = candidate.clone();
        changed.annotations.insert(SIGNATURE.to_owned(), encoded(&flipped));
        unknown(case.verify(&changed));
    }
    // One more space is other bytes, though it is the same JSON.
    let mut spaced = candidate.clone();
    spaced.bytes.push(b' ');
    unknown(case.verify(&spaced));
}

/// The scheme is the key's: the vectors have the ones that cosign writes.
#[test]
fn cosign_signs_with_the_scheme_that_the_file_states() {
    use ocisign::envelope::dsse;
    for case in real().filter(|case| case.expected("scheme").is_some()) {
        let candidate = case.candidate().unwrap();
        let scheme = match candidate.format().unwrap() {
            Format::Sigstore => {
                let bundle: Value = serde_json::from_slice(&candidate.bytes).unwrap();
                let part = |p: &str| decoded(bundle.pointer(p).unwrap().as_str().unwrap());
                let message = dsse::pae(dsse::IN_TOTO, &part("/dsseEnvelope/payload"));
                case.key.verify(&message, &part("/dsseEnvelope/signatures/0/sig"))
            }
            _ => {
                let signature = &candidate.annotations[ocisign::envelope::cosign::SIGNATURE];
                case.key.verify(&candidate.bytes, &decoded(signature))
            }
        };
        assert_eq!(Some(scheme.unwrap().as_str()), case.expected("scheme"), "{}", case.name);
        // The bundle's hint is the key's.
        if let Ok(text) = std::str::from_utf8(&candidate.bytes[hint_range(&candidate)]) {
            assert!(text.is_empty() || text == case.key.hint(), "{}", case.name);
        }
        let again = PublicKey::from_pem(case.key.to_pem().as_bytes(), &Limits::default()).unwrap();
        assert_eq!(again, case.key);
    }
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
