//! The text of a first policy.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::parse::Problem;
use super::{fmt, parse};
use crate::image::{Algorithm, Digest};
use crate::limits::Limits;

/// A signer of a first policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// Its name.
    pub name: String,
    /// Path of its public key, as it is to stand in the policy.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Option<Digest>,
}

/// The text of a policy with one rule: everything in `scope` is signed under
/// its own name by one of `signers`.
///
/// With `issued` it is edition 1 and valid for a year; without, it carries no
/// dates.
///
/// # Errors
/// What is wrong with the name, the scope or the signers.
pub fn init(
    name: &str,
    scope: &str,
    signers: &[Starter],
    issued: Option<Timestamp>,
) -> Result<String, Vec<Problem>> {
    let mut policy = json!({
        "ocisign": "policy/1",
        "name": name,
        "signers": declared(signers),
        "rules": [{ "id": "signed", "scope": [scope], "require": [
            { "id": "signature", "signed": signed(signers) } ] }],
    });
    if let (Some(issued), Some(policy)) = (issued, policy.as_object_mut()) {
        let second = |t: Timestamp| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let year = SignedDuration::from_hours(24 * 365);
        policy.insert("serial".to_owned(), 1.into());
        policy.insert("issued".to_owned(), second(issued).into());
        policy.insert(
            "expires".to_owned(),
            second(issued.saturating_add(year).unwrap_or(issued)).into(),
        );
    }
    let text = fmt(policy.to_string().as_bytes(), &Limits::default())?;
    parse(text.as_bytes(), &Limits::default()).map(|_| text)
}

fn declared(signers: &[Starter]) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for signer in signers {
        let mut key = json!({ "file": signer.file });
        let sha256 = signer.sha256.as_ref().filter(|d| d.algorithm() == Algorithm::Sha256);
        if let (Some(digest), Some(key)) = (sha256, key.as_object_mut()) {
            key.insert("sha256".to_owned(), digest.hex().into());
        }
        all.insert(signer.name.clone(), json!({ "keys": [key] }));
    }
    all.into()
}

fn signed(signers: &[Starter]) -> serde_json::Value {
    let names: Vec<&str> = signers.iter().map(|s| s.name.as_str()).collect();
    match names.len() {
        0 | 1 => json!({ "by": names, "reference": "repository" }),
        _ => json!({ "by": names, "atLeast": 1, "reference": "repository" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Code;

    fn starter(name: &str) -> Starter {
        Starter {
            name: name.to_owned(),
            file: format!("{name}.pub"),
            sha256: Some(Digest::sha256(name.as_bytes())),
        }
    }

    #[test]
    fn a_first_policy_is_a_policy() {
        let now = "2026-11-23T08:00:00.5Z".parse().ok();
        let text = init("app", "ghcr.io/me/app", &[starter("ana"), starter("bo")], now).unwrap();
        let document = parse(text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(document.signers.len(), 2);
        assert_eq!(document.expires.unwrap().to_string(), "2027-11-23T08:00:00Z");
        assert_eq!(fmt(text.as_bytes(), &Limits::default()).unwrap(), text);
    }

    #[test]
    fn what_cannot_be_a_policy_is_an_error() {
        let code = |r: Result<String, Vec<Problem>>| r.unwrap_err()[0].code;
        assert_eq!(code(init("app", "ghcr.io/me/app", &[], None)), Code::Empty);
        assert_eq!(code(init("app", "me/app", &[starter("ana")], None)), Code::Scope);
        assert_eq!(code(init("App", "ghcr.io/me/app", &[starter("ana")], None)), Code::Value);
    }
}
