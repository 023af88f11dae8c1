//! A document becomes a policy only with the keys that it declares.

use super::*;
use ocisign::evidence::KeyId;
use ocisign::image::Digest;
use ocisign::policy::{Code, Policy, Resolved};

fn key(text: &str) -> KeyId {
    KeyId(Digest::sha256(text.as_bytes()))
}

fn link(signers: &[(&str, &[&str])]) -> Result<Policy, Vec<(Code, String)>> {
    let signers = signers
        .iter()
        .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|k| key(k)).collect()))
        .collect();
    Policy::link(load(&sample()).unwrap(), Resolved { signers })
        .map_err(|problems| problems.into_iter().map(|p| (p.code, p.pointer)).collect())
}

#[test]
fn keys_and_their_ends_belong_to_signers() {
    let policy = link(&[("ana", &["1"]), ("bo", &["2", "3"])]).unwrap();
    assert_eq!(policy.keys("ana")[0].id, key("1"));
    assert_eq!(policy.keys("ana")[0].until.unwrap().to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(policy.keys("bo").len(), 2);
    assert!(policy.keys("nobody").is_empty());
}

#[test]
fn each_declared_key_must_have_been_read() {
    let keys = |pointer: &str| Err(vec![(Code::Keys, pointer.to_owned())]);
    assert_eq!(link(&[("ana", &["1"])]), keys("/signers/bo"));
    assert_eq!(link(&[("ana", &[]), ("bo", &["2", "3"])]), keys("/signers/ana"));
    assert_eq!(link(&[("ana", &["1"]), ("bo", &["2"])]), keys("/signers/bo"));
    assert_eq!(link(&[("ana", &["1"]), ("bo", &["2", "3"]), ("eve", &["4"])]), keys("/signers"));
}

#[test]
fn two_signers_of_one_check_share_no_key() {
    assert_eq!(
        link(&[("ana", &["1"]), ("bo", &["2", "1"])]),
        Err(vec![(Code::Overlap, "/rules/0/require/0/signed/by/1".to_owned())])
    );
    let same = Policy::link(
        load(&sample()).unwrap(),
        Resolved {
            signers: [
                ("ana".to_owned(), vec![key("1")]),
                ("bo".to_owned(), vec![key("2"), key("1")]),
            ]
            .into(),
        },
    );
    let message = same.unwrap_err()[0].to_string();
    assert!(message.contains("`ana`") && message.contains("`bo`"), "{message}");
}

#[test]
fn a_key_is_counted_once_in_its_signer() {
    assert_eq!(
        link(&[("ana", &["1"]), ("bo", &["2", "2"])]),
        Err(vec![(Code::Duplicate, "/signers/bo/keys/1".to_owned())])
    );
}
