//! From the bytes of an envelope to evidence, or to the reason why not.
//!
//! Most of what happens here is told by files: each directory of
//! `tests/data/sigstore` and `tests/data/cosign` is one signature, and its
//! `case.json` says what must become of it. Two scripts beside them made them;
//! the `by-cosign-*` are by the real cosign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bounds;
mod case;
mod flips;
mod noise;
mod signatures;
mod written;

use case::Case;
use ocisign::evidence::Statement;

#[test]
fn every_vector_has_the_outcome_that_its_file_states() {
    let cases = Case::all();
    assert!(cases.len() > 90, "the directories of vectors must be found");
    for case in cases {
        let outcome = case.outcome();
        match (case.expected("expect").unwrap(), outcome) {
            ("accept", Ok(evidence)) => accepted(case, &evidence),
            ("accept", Err(rejection)) => panic!("{}: {rejection}", case.name),
            (expected, Ok(_)) => panic!("{}: accepted instead of {expected}", case.name),
            (expected, Err(rejection)) => {
                let reason = serde_json::to_value(&rejection.reason).unwrap();
                assert_eq!(reason["why"], expected, "{}: {rejection}", case.name);
                let says = case.expected("says").unwrap_or_default();
                let text = rejection.to_string();
                assert!(text.contains(says), "{}: `{text}` does not say `{says}`", case.name);
            }
        }
    }
}

/// Everything that the file states about an accepted signature, and nothing
/// that it does not.
fn accepted(case: &Case, evidence: &ocisign::evidence::Evidence) {
    let facts = evidence.facts();
    let claims = &facts.claims;
    assert_eq!(facts.signer.key(), &case.key.id(), "{}", case.name);
    assert_eq!(claims.subject.digest, case.subject, "{}", case.name);
    assert_eq!(claims.subject.size, None, "the formats sign no size");
    assert_eq!(claims.name.as_deref(), case.expected("name"), "{}", case.name);
    let annotations = serde_json::to_value(&claims.annotations).unwrap();
    let expected = case.json.get("annotations").cloned().unwrap_or_else(|| serde_json::json!({}));
    assert_eq!(annotations, expected, "{}", case.name);
    let kind = match &claims.statement {
        Statement::Signature => "signature",
        Statement::Attestation { predicate_type, .. } => predicate_type,
    };
    assert_eq!(Some(kind), case.expected("statement"), "{}", case.name);
}

/// The listing shows the same, and its type says that nobody verified it.
#[test]
fn a_description_agrees_with_the_evidence() {
    let limits = ocisign::limits::Limits::default();
    for case in Case::accepted() {
        let candidate = case.candidate().unwrap();
        let description = ocisign::envelope::describe(&candidate, &limits).unwrap();
        let description = description.unverified();
        let claims = case.outcome().unwrap().facts().claims.clone();
        assert!(
            description.subjects.iter().any(|s| s.digests.contains(&case.subject.to_string())),
            "{}",
            case.name
        );
        let shown = description.predicate_type.as_deref();
        match claims.statement {
            Statement::Attestation { predicate_type, .. } => {
                assert_eq!(shown, Some(predicate_type.as_str()));
            }
            Statement::Signature => assert!(
                shown.is_none_or(|t| t == ocisign::envelope::statement::SIGN_PREDICATE),
                "{}",
                case.name
            ),
        }
    }
}
