//! The signature extension of OpenShift's registry: GPG simple signatures
//! behind an API of their own (containers/image, docker_client.go,
//! `getExtensionsSignatures`).

use reqwest::StatusCode;
use serde::Deserialize;

use super::session::{Call, Session};
use crate::image::{Digest, json};
use crate::store::{Beside, Loose, LooseKind, StoreError};

/// Header by which a registry says that it has the extension.
const HEADER: &str = "x-registry-supports-signatures";

/// `name` is `DIGEST@ID`, of which nothing is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    #[serde(rename = "schemaVersion")]
    version: u64,
    #[serde(rename = "type")]
    kind: String,
    content: String,
}

/// The signatures of `subject`; none where the registry has no such API.
pub(super) async fn signatures(session: &Session, subject: &Digest) -> Result<Beside, StoreError> {
    if !is_offered(session).await? {
        return Ok(Beside::default());
    }
    let what = format!("the signatures of {subject}");
    let url = session.endpoint.signatures(&session.repository, subject);
    let call = Call::get(url, what.clone());
    let limits = session.limits();
    let list = session.fetch(&call, limits.simple_bytes, &[StatusCode::NOT_FOUND]).await?;
    let Some(list) = list else { return Ok(Beside::default()) };
    let broken = |why: &str| session.place.protocol(format!("{what} {why}; tell its owner"));
    json::scan(&list.bytes, &[], limits.json_depth).map_err(|_| broken("are no strict JSON"))?;
    let list: List =
        serde_json::from_slice(&list.bytes).map_err(|_| broken("are no list of signatures"))?;
    let most = limits.lookaside_signatures;
    let cut = (list.signatures.len() > most).then(|| format!("{what} are more than {most}"));
    let is_ours = |signature: &&Signature| signature.version == 2 && signature.kind == "atomic";
    let ours = list.signatures.iter().filter(is_ours).take(most).enumerate();
    let found = ours.map(|(number, signature)| {
        // text that is no base64 is no signature either, and is told so
        let bytes = base64(&signature.content);
        let bytes = bytes.unwrap_or_else(|| signature.content.clone().into_bytes());
        let item = format!("{subject}#extension-{}", number + 1);
        Loose { item, kind: LooseKind::Simple, bytes }
    });
    Ok(Beside { found: found.collect(), failed: Vec::new(), cut })
}

async fn is_offered(session: &Session) -> Result<bool, StoreError> {
    let call = Call::get(session.endpoint.root(), "what the registry can do");
    let answer = session.send(&call).await?;
    match answer.status() {
        // a registry that wants a login here says so under the same header
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => {
            Ok(answer.header(HEADER) == Some("1"))
        }
        // what it can do is not known, which is not that it cannot
        _ => Err(answer.refusal(&call).await),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
