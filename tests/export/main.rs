//! A policy in the words of podman and CRI-O: what it says, what it refuses
//! to say, and that it is never looser than the policy.
//!
//! `evaluator` decides by a policy.json as containers/image does, in the
//! plainest way; tests/interop/export.rs holds it against containers/image.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod documents;
mod evaluator;
mod generate;
mod properties;

use std::collections::BTreeMap;

use jiff::Timestamp;
use ocisign::evidence::KeyId;
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::policy::export::{Export, Options, Unsaid, containers_policy};
use ocisign::policy::{Policy, Resolved, parse};
use serde_json::{Value, json};

/// Signers and the numbers of their keys. Key 9 is nobody's.
pub const SIGNERS: &[(&str, &[u8])] =
    &[("ana", &[0, 1]), ("bo", &[2]), ("cleo", &[3, 4]), ("dora", &[5])];
pub const STRANGER: u8 = 9;

pub fn key(number: u8) -> KeyId {
    KeyId(Digest::sha256(format!("key {number}").as_bytes()))
}

/// What stands for the PEM of a key: policy.json carries it in base64.
pub fn pem(number: u8) -> String {
    format!("key {number}")
}

pub fn hour(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
}

/// `signers` of a policy, with all of [`SIGNERS`].
pub fn signers() -> Value {
    let keys = |keys: &[u8]| -> Vec<_> {
        keys.iter().map(|number| json!({"file": format!("{number}.pub")})).collect()
    };
    SIGNERS.iter().map(|(name, list)| ((*name).to_owned(), json!({"keys": keys(list)}))).collect()
}

/// Loads a policy with the keys of [`SIGNERS`]; `None` where it is refused.
pub fn load(policy: &Value) -> Option<Policy> {
    let bytes = serde_json::to_vec(policy).unwrap();
    let document = parse(&bytes, &Limits::default()).ok()?;
    let signers = SIGNERS
        .iter()
        .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|k| key(*k)).collect()))
        .collect();
    Policy::link(document, Resolved { signers }).ok()
}

pub fn export(policy: &Policy, options: &Options, now: Timestamp) -> Result<Export, Vec<Unsaid>> {
    let pems: BTreeMap<_, _> = (0..6).map(|number| (key(number), pem(number))).collect();
    containers_policy(policy, &pems, options, now, &Limits::default())
}
