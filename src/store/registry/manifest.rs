//! Manifests and indexes: pulling and pushing them.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::access::Right;
use super::fallback;
use super::session::{Call, Payload, Session};
use crate::image::{Algorithm, Descriptor, Digest, Reference, media_type};
use crate::store::{RawManifest, StoreError, Target};

/// Everything that ocisign reads. Left out, an old registry would rewrite
/// schema 2 to schema 1 on the fly, which changes the digest; schema 1 stands
/// behind what is better. The wildcard at
/// the end is for children of an index that are hashed without being read.
const ACCEPTED: [&str; 7] = [
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_LIST,
    media_type::DOCKER_MANIFEST,
    media_type::DOCKER_SCHEMA_1_SIGNED,
    media_type::DOCKER_SCHEMA_1,
    "*/*",
];

/// Fetches a manifest of at most `max` bytes.
pub(super) async fn pull(
    session: &Session,
    target: &Target,
    max: u64,
) -> Result<RawManifest, StoreError> {
    let reference = reference(session, target)?;
    let call = ACCEPTED.iter().fold(
        Call::get(session.endpoint.manifest(&reference), format!("manifest `{reference}`")),
        |call, accepted| call.header(ACCEPT, HeaderValue::from_static(accepted)),
    );
    let document = session.fetch(&call, max, &[]).await?;
    let document = document.ok_or_else(|| session.place.absent(&call.what))?;
    // Docker-Content-Digest is not read: it may differ and proves nothing.
    Ok(RawManifest { bytes: document.bytes, media_type: document.media_type, claimed: None })
}

fn reference(session: &Session, target: &Target) -> Result<String, StoreError> {
    match target {
        Target::Digest(digest) => Ok(digest.to_string()),
        Target::Tag(tag) => checked_tag(session, tag).map(str::to_owned),
        Target::Only => {
            Err(session.place.protocol("a registry has many images; name a tag or a digest"))
        }
    }
}

/// A tag becomes part of a path: its grammar keeps it in its place.
fn checked_tag<'a>(session: &Session, tag: &'a str) -> Result<&'a str, StoreError> {
    match Reference::new(session.repository.clone(), Some(tag.to_owned()), None) {
        Ok(_) => Ok(tag),
        Err(error) => Err(session.place.protocol(error.to_string())),
    }
}

/// Writes a manifest; one with a subject is made to appear among the
/// subject's referrers.
pub(super) async fn push(
    session: &Session,
    descriptor: &Descriptor,
    bytes: &[u8],
    tag: Option<&str>,
) -> Result<(), StoreError> {
    let subject = fallback::subject(bytes);
    let mut indexed = false;
    for reference in references(session, &descriptor.digest, tag)? {
        let shown = put(session, &reference, &descriptor.media_type, bytes).await?;
        indexed |= shown.is_some() && shown == subject;
    }
    match subject {
        Some(subject) if !indexed => fallback::add(session, &subject, descriptor, bytes).await,
        _ => Ok(()),
    }
}

/// A push by tag stores the manifest under its SHA-256 digest too; under
/// another algorithm's digest it must be pushed on its own.
fn references(
    session: &Session,
    digest: &Digest,
    tag: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let tag = tag.map(|tag| checked_tag(session, tag)).transpose()?.map(str::to_owned);
    Ok(match tag {
        Some(tag) if digest.algorithm() == Algorithm::Sha256 => vec![tag],
        Some(tag) => vec![digest.to_string(), tag],
        None => vec![digest.to_string()],
    })
}

/// Puts a manifest and says which subject the registry put it under.
pub(super) async fn put(
    session: &Session,
    reference: &str,
    media_type: &str,
    bytes: &[u8],
) -> Result<Option<Digest>, StoreError> {
    let bad_type = |_| session.place.protocol(format!("`{media_type}` is no media type"));
    let url = session.endpoint.manifest(reference);
    let call = Call::new(Method::PUT, url, Right::Push, format!("manifest `{reference}`"))
        .header(CONTENT_TYPE, HeaderValue::from_str(media_type).map_err(bad_type)?)
        .body(Payload::Bytes(Bytes::copy_from_slice(bytes)));
    let answer = session.send(&call).await?;
    match answer.status() {
        StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => {
            Ok(answer.header("oci-subject").and_then(|text| text.trim().parse().ok()))
        }
        _ => Err(answer.refusal(&call).await),
    }
}
