//! in-toto statements (in-toto attestation framework, spec/v1/statement.md).

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::text::{Count, Strings};
use super::{bad_json, clip};
use crate::evidence::{Claims, Reason, Statement, Subject};
use crate::image::{Digest, json};
use crate::limits::Limits;

/// Predicate type of an image signature. Any other type is an attestation,
/// which never counts as a signature.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const V1: &str = "https://in-toto.io/Statement/v1";
/// What `cosign attest` wrote before version 3.
const V01: &str = "https://in-toto.io/Statement/v0.1";

/// A statement without its predicate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    #[serde(rename = "_type")]
    kind: String,
    pub(super) predicate_type: String,
    #[serde(rename = "subject")]
    pub(super) subjects: Vec<Resource>,
}

/// A resource descriptor, as far as it is read. Unknown fields are ignored,
/// as the framework demands ("Parsing rules").
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) digest: BTreeMap<String, String>,
    pub(super) annotations: Option<Strings>,
}

/// What a statement says about `target`.
pub(super) fn claims(payload: &[u8], target: &Digest, limits: &Limits) -> Result<Claims, Reason> {
    let head = head(payload, limits)?;
    let about = about(&head.subjects, target)?;
    let statement = match head.predicate_type.as_str() {
        SIGN_PREDICATE if head.kind == V1 => Statement::Signature,
        SIGN_PREDICATE => {
            return Err(Reason::Unsupported(format!("a signature as `{}`", clip(&head.kind))));
        }
        _ => Statement::Attestation {
            predicate: predicate(payload)?,
            predicate_type: head.predicate_type,
        },
    };
    Ok(Claims {
        subject: Subject { digest: target.clone(), size: None, media_type: None },
        name: common_name(&about),
        annotations: common_annotations(&about),
        statement,
        signed_at: None,
        expires: None,
    })
}

/// Parses all but the predicate, within the limits.
pub(super) fn head(payload: &[u8], limits: &Limits) -> Result<Head, Reason> {
    json::scan(payload, &[], limits.json_depth).map_err(|e| bad_json("statement", &e))?;
    count_subjects(payload, limits)?;
    let head: Head = decode(payload)?;
    if head.kind != V1 && head.kind != V01 {
        return Err(Reason::Unsupported(format!("a statement of type `{}`", clip(&head.kind))));
    }
    if head.subjects.is_empty() || head.subjects.iter().any(|s| s.digest.is_empty()) {
        let what = "a statement must have subjects, each with a digest";
        return Err(Reason::Malformed(what.to_owned()));
    }
    if head.subjects.iter().any(|s| s.digest.len() > limits.subject_digests) {
        let most = limits.subject_digests;
        return Err(Reason::LimitExceeded(format!("a subject with more than {most} digests")));
    }
    Ok(head)
}

/// Counts before anything is kept, and refuses twins: other parsers take
/// keys in any letter case.
fn count_subjects(payload: &[u8], limits: &Limits) -> Result<(), Reason> {
    #[derive(Deserialize)]
    struct Counted {
        subject: Count,
    }
    let most = limits.statement_subjects;
    if decode::<Counted>(payload)?.subject.0 > most {
        return Err(Reason::LimitExceeded(format!("a statement with more than {most} subjects")));
    }
    let known = ["_type", "subject", "predicateType", "predicate"];
    let twin = |key: &String| known.iter().any(|k| k != key && k.eq_ignore_ascii_case(key));
    match decode::<BTreeMap<String, IgnoredAny>>(payload)?.keys().find(|key| twin(key)) {
        Some(key) => Err(Reason::Malformed(format!("`{key}` differs from its field in case only"))),
        None => Ok(()),
    }
}

fn predicate(payload: &[u8]) -> Result<serde_json::Value, Reason> {
    #[derive(Deserialize)]
    struct Tail {
        #[serde(default)]
        predicate: serde_json::Value,
    }
    Ok(decode::<Tail>(payload)?.predicate)
}

/// The subjects that are `target`, by its own hash function. A digest by
/// another one says nothing that could be compared.
fn about<'s>(subjects: &'s [Resource], target: &Digest) -> Result<Vec<&'s Resource>, Reason> {
    let name = target.algorithm().as_str();
    let same = |s: &&Resource| s.digest.get(name).is_some_and(|hex| hex == target.hex());
    let about: Vec<_> = subjects.iter().filter(same).collect();
    if about.is_empty() {
        return Err(Reason::WrongSubject(listed(subjects)));
    }
    Ok(about)
}

/// The first few subjects, for people.
fn listed(subjects: &[Resource]) -> String {
    let digest = |s: &Resource| s.digest.iter().next().map(|(a, hex)| clip(&format!("{a}:{hex}")));
    let shown: Vec<_> = subjects.iter().filter_map(digest).take(3).collect();
    match subjects.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Two subjects may be one image under two names (BuildKit writes one for
/// each tag). What counts is what all of them say.
fn common_name(about: &[&Resource]) -> Option<String> {
    let name = |s: &&Resource| s.name.clone().filter(|n| !n.is_empty());
    let first = about.first().and_then(name);
    first.filter(|first| about.iter().all(|s| s.name.as_ref() == Some(first)))
}

fn common_annotations(about: &[&Resource]) -> BTreeMap<String, String> {
    let of = |s: &Resource| s.annotations.clone().unwrap_or_default().0;
    let mut about = about.iter();
    let mut common = about.next().map(|s| of(s)).unwrap_or_default();
    for other in about {
        let other = of(other);
        common.retain(|key, value| other.get(key) == Some(value));
    }
    common
}

fn decode<'de, T: Deserialize<'de>>(payload: &'de [u8]) -> Result<T, Reason> {
    serde_json::from_slice(payload).map_err(|e| Reason::Malformed(format!("statement: {e}")))
}

/// The statement of an image signature. Bytes depend on the arguments alone.
pub(super) fn build(
    subject: &Digest,
    name: Option<&str>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    super::to_json(&Written {
        kind: V1,
        subject: [WrittenResource {
            name,
            digest: BTreeMap::from([(subject.algorithm().as_str(), subject.hex())]),
            annotations,
        }],
        predicate_type: SIGN_PREDICATE,
        predicate: BTreeMap::new(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'a str,
    subject: [WrittenResource<'a>; 1],
    predicate_type: &'a str,
    predicate: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct WrittenResource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    digest: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}
