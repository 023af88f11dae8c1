//! The referrers tag schema: distribution-spec v1.1.1, "Referrers Tag Schema"
//! and "Pushing Manifests with Subject". A tag of the subject's digest names
//! an index that clients maintain where the registry does not.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderValue};
use serde_json::{Value, json};

use super::index::ReferrersIndex;
use super::manifest::put;
use super::retry::jitter;
use super::session::{Call, Session};
use crate::image::{Descriptor, Digest, media_type};
use crate::store::StoreError;

/// Rounds of reading and writing until the own entry stays.
const ROUNDS: u32 = 12;

/// Bounds of the pause after which an index is read back.
const SETTLE: (Duration, Duration) = (Duration::from_millis(40), Duration::from_secs(3));

/// The tags of a subject, the specified one first: at most 64 characters of
/// the encoded part. Some clients do not cut it.
pub(super) fn tags(subject: &Digest) -> Vec<String> {
    let hex = subject.hex();
    let short = format!("{}-{}", subject.algorithm(), hex.get(..64).unwrap_or(hex));
    let long = format!("{}-{hex}", subject.algorithm());
    if short == long { vec![short] } else { vec![short, long] }
}

/// Reads the index under a tag; `None` where there is no such tag.
pub(super) async fn read(
    session: &Session,
    tag: &str,
) -> Result<Option<ReferrersIndex>, StoreError> {
    use reqwest::StatusCode;
    let what = format!("the list of referrers `{tag}`");
    let call = Call::get(session.endpoint.manifest(tag), what.clone())
        .header(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX))
        .header(ACCEPT, HeaderValue::from_static("*/*"));
    // Over 128 characters it is no tag, and a registry may say so with 400.
    let too_long: &[StatusCode] = &[StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST];
    let none = if tag.len() > 128 { too_long } else { &[StatusCode::NOT_FOUND] };
    let Some(document) = session.fetch(&call, session.limits().manifest_bytes, none).await? else {
        return Ok(None);
    };
    let index = ReferrersIndex::read(&document)
        .map_err(|why| session.place.protocol(format!("{what} {why}")))?;
    Ok(Some(index))
}

/// The digest of a manifest's subject, where it has one.
pub(super) fn subject(manifest: &[u8]) -> Option<Digest> {
    let value: Value = serde_json::from_slice(manifest).ok()?;
    value.pointer("/subject/digest")?.as_str()?.parse().ok()
}

/// Adds a manifest to its subject's index.
///
/// Registries have no compare-and-swap, so two writers can overwrite each
/// other. Each therefore keeps every entry that it ever saw, waits for longer
/// than another's reading and writing takes, reads back, and writes again
/// while anything is missing.
pub(super) async fn add(
    session: &Session,
    subject: &Digest,
    descriptor: &Descriptor,
    manifest: &[u8],
) -> Result<(), StoreError> {
    let Some(tag) = tags(subject).into_iter().next() else { return Ok(()) };
    let turn = turn(&format!("{}:{tag}", session.place));
    let _turn = turn.lock().await;
    let own = entry(descriptor, manifest);
    let digest = descriptor.digest.to_string();
    let mut seen = vec![own];
    for round in 0..ROUNDS {
        let began = Instant::now();
        let mut index = read(session, &tag).await?.unwrap_or_default();
        let listed = index.has(&digest);
        let theirs = index.manifests.clone();
        let changed = index.merge(&seen);
        if listed && !changed {
            return Ok(());
        }
        remember(&mut seen, theirs);
        write(session, &tag, &index).await?;
        settle(began.elapsed(), round).await;
    }
    if read(session, &tag).await?.is_some_and(|index| index.has(&digest)) {
        return Ok(());
    }
    let reason =
        format!("others keep overwriting the list of referrers `{tag}`; attach it again later");
    Err(session.place.unreachable(reason))
}

async fn write(session: &Session, tag: &str, index: &ReferrersIndex) -> Result<(), StoreError> {
    let bytes = index.to_bytes();
    let limit = session.limits().manifest_bytes;
    if bytes.len() as u64 > limit {
        // Written, nobody could read it any more.
        return Err(StoreError::TooLarge { what: format!("the list of referrers `{tag}`"), limit });
    }
    put(session, tag, media_type::OCI_INDEX, &bytes).await.map(drop)
}

/// Three times what reading and writing took here is more than they take a
/// writer of the same kind who read before our write.
async fn settle(took: Duration, round: u32) {
    let (least, most) = SETTLE;
    let base = took.saturating_mul(3).clamp(least, most);
    let spread = base.saturating_mul(1 + round);
    tokio::time::sleep((base + jitter(spread)).min(most)).await;
}

fn remember(seen: &mut Vec<Value>, theirs: Vec<Value>) {
    let mut all = ReferrersIndex::default();
    all.merge(seen);
    all.merge(&theirs);
    *seen = all.manifests;
}

/// The descriptor that the specification wants in the index: artifact type
/// (else the config's media type, for an image manifest) and annotations are
/// copied from the manifest.
fn entry(descriptor: &Descriptor, manifest: &[u8]) -> Value {
    let document: Value = serde_json::from_slice(manifest).unwrap_or(Value::Null);
    let text = |pointer: &str| {
        document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let mut entry = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    });
    if let Some(artifact_type) = text("/artifactType").or_else(|| text("/config/mediaType")) {
        set(&mut entry, "artifactType", artifact_type.into());
    }
    if let Some(annotations @ Value::Object(map)) = document.get("annotations")
        && !map.is_empty()
    {
        set(&mut entry, "annotations", annotations.clone());
    }
    entry
}

fn set(entry: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = entry {
        fields.insert(name.to_owned(), value);
    }
}

/// One writer per index within this process. Locks that nobody holds are
/// forgotten, so that a server does not collect them.
fn turn(name: &str) -> Arc<tokio::sync::Mutex<()>> {
    type Turns = Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>;
    static TURNS: LazyLock<Turns> = LazyLock::new(Mutex::default);
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    Arc::clone(turns.entry(name.to_owned()).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_digest_has_two_tags() {
        let short = Digest::sha256(b"x");
        assert_eq!(tags(&short), [format!("sha256-{}", short.hex())]);
        let long = Digest::of(crate::image::Algorithm::Sha512, b"x");
        let want = [format!("sha512-{}", &long.hex()[..64]), format!("sha512-{}", long.hex())];
        assert_eq!(tags(&long), want);
    }

    #[test]
    fn an_entry_takes_type_and_annotations_from_the_manifest() {
        let manifest = br#"{"config":{"mediaType":"a/config"},"annotations":{"k":"v"}}"#;
        let descriptor = Descriptor::of(media_type::OCI_MANIFEST, manifest);
        let made = entry(&descriptor, manifest);
        assert_eq!(made["artifactType"], "a/config");
        assert_eq!(made["annotations"]["k"], "v");
        assert_eq!(made["size"], manifest.len());
        let typed = br#"{"artifactType":"a/type","config":{"mediaType":"a/config"}}"#;
        let made = entry(&Descriptor::of(media_type::OCI_MANIFEST, typed), typed);
        assert_eq!(made["artifactType"], "a/type");
        assert!(made.get("annotations").is_none());
    }
}
