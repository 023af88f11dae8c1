//! The files themselves (containers-policy.json(5), containers-registries.d(5)).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use super::DefaultDocker;
use super::clauses::{Clause, Identity, Requirement};
use super::places::Place;
use crate::evidence::KeyId;
use crate::policy::Document;

type Places = BTreeMap<Place, Requirement>;

#[derive(Serialize)]
struct File {
    default: Vec<Entry>,
    transports: BTreeMap<&'static str, BTreeMap<String, Vec<Entry>>>,
}

/// A policy requirement.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Entry {
    InsecureAcceptAnything,
    Reject,
    SigstoreSigned {
        #[serde(flatten)]
        keys: Keys,
        signed_identity: SignedIdentity,
    },
}

/// The one key, which older versions read too, or several.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Keys {
    KeyData(String),
    KeyDatas(Vec<String>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum SignedIdentity {
    #[serde(rename = "matchRepository")]
    Repository,
    #[serde(rename = "matchRepoDigestOrExact")]
    RepoDigestOrExact,
    #[serde(rename = "matchExact")]
    Exact,
    #[serde(rename = "remapIdentity")]
    Remap { prefix: String, signed_prefix: String },
}

/// `policy.json`: everything is rejected but what the policy permits, on
/// every transport.
pub(super) fn policy(places: &Places, pems: &BTreeMap<KeyId, String>) -> String {
    let entries = |requirement| entries(requirement, pems);
    let docker: BTreeMap<_, _> =
        places.iter().map(|(place, asked)| (place.text(), entries(asked))).collect();
    let transports = match docker.is_empty() {
        true => BTreeMap::new(),
        false => [("docker", docker)].into(),
    };
    let file = File { default: vec![Entry::Reject], transports };
    // ends as files do
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

fn entries(requirement: &Requirement, pems: &BTreeMap<KeyId, String>) -> Vec<Entry> {
    match requirement {
        Requirement::Reject => vec![Entry::Reject],
        Requirement::All(clauses) if clauses.is_empty() => vec![Entry::InsecureAcceptAnything],
        Requirement::All(clauses) => clauses.iter().map(|clause| entry(clause, pems)).collect(),
    }
}

fn entry(clause: &Clause, pems: &BTreeMap<KeyId, String>) -> Entry {
    let pems = clause.keys.iter().filter_map(|key| pems.get(key));
    let mut datas: Vec<String> = pems.map(|pem| STANDARD.encode(pem)).collect();
    let keys = match (datas.pop(), datas.is_empty()) {
        // a key that is not there can sign nothing
        (None, _) => return Entry::Reject,
        (Some(only), true) => Keys::KeyData(only),
        (Some(last), false) => {
            datas.push(last);
            Keys::KeyDatas(datas)
        }
    };
    let signed_identity = match &clause.identity {
        Identity::Repository => SignedIdentity::Repository,
        Identity::ExactOrDigest => SignedIdentity::RepoDigestOrExact,
        Identity::Exact => SignedIdentity::Exact,
        Identity::Remapped { prefix, signed } => {
            SignedIdentity::Remap { prefix: prefix.clone(), signed_prefix: signed.clone() }
        }
    };
    Entry::SigstoreSigned { keys, signed_identity }
}

/// A file for `registries.d`: where signatures are looked for as attachments.
pub(super) fn registries(
    places: &Places,
    default_docker: DefaultDocker,
    document: &Document,
    until: Option<Timestamp>,
) -> String {
    let mut text = format!(
        "# Signatures that ocisign's policy `{}` asks for, beside the policy.json of the same \
         export.\n# Policy: {}\n",
        document.name, document.digest
    );
    if let Some(until) = until {
        text.push_str(&format!("# Export again before {until}.\n"));
    }
    if default_docker == DefaultDocker::Write && needs_default(places) {
        text.push_str("default-docker:\n  use-sigstore-attachments: true\n");
    }
    let signed = places.iter().filter(|(_, asked)| asked.clauses().next().is_some());
    let named: Vec<_> = signed.filter(|(place, _)| **place != Place::Everything).collect();
    if named.is_empty() {
        text.push_str("docker: {}\n");
        return text;
    }
    text.push_str("docker:\n");
    for (place, _) in named {
        // a name is plain ASCII, so a JSON string is a YAML string
        let place = serde_json::Value::from(place.text());
        text.push_str(&format!("  {place}:\n    use-sigstore-attachments: true\n"));
    }
    text
}

fn needs_default(places: &Places) -> bool {
    places.get(&Place::Everything).is_some_and(|asked| asked.clauses().next().is_some())
}

/// What people must know for the files to work.
pub(super) fn notes(places: &Places, default_docker: DefaultDocker) -> Vec<String> {
    let clauses = || places.values().flat_map(Requirement::clauses);
    let mut notes = Vec::new();
    if clauses().next().is_some() {
        notes.push(
            "podman and CRI-O read signatures in the older cosign format, on the manifest of \
             their own platform: sign with `ocisign sign --format cosign --recursive`"
                .to_owned(),
        );
    }
    if clauses().any(|clause| clause.keys.len() > 1) {
        notes.push(
            "a requirement names several keys (`keyDatas`): containers/image before 5.33 (podman \
             5.3, skopeo 1.17, CRI-O 1.32) refuses the whole file"
                .to_owned(),
        );
    }
    if needs_default(places) && default_docker == DefaultDocker::Leave {
        notes.push(
            "`**` asks for signatures, and they are found only with `use-sigstore-attachments: \
             true` under `default-docker`; add it where your registries.d has that, or write it \
             with `--default-docker`"
                .to_owned(),
        );
    }
    notes
}
