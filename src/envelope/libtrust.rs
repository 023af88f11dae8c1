//! The signatures inside a manifest of Docker's schema 1 (libtrust).
//!
//! Docker signed each push with a key that it made up, and registries signed
//! again what they rewrote. So they are a frame first: they must hold, or the
//! manifest breaks its format. They are evidence only where a policy pins the
//! very key, and name nothing but the payload's digest.

use super::{Envelope, Untrusted, clip};
use crate::crypto::{KeyId, PublicKey, libtrust};
use crate::evidence::{Claims, Format, Reason, Statement, Subject};
use crate::image::schema1::{Frame, Signature};
use crate::image::{Digest, DocumentError};
use crate::limits::Limits;

/// Checks that each signature in a manifest holds under the key that it
/// carries, and says by what names libtrust calls these keys.
///
/// # Errors
/// The [`Reason`] why the manifest breaks its format.
pub fn check(manifest: &[u8], limits: &Limits) -> Result<Vec<String>, Reason> {
    let keys = signed(&frame(manifest, limits)?)?;
    Ok(keys.iter().map(|key| key.fingerprint().to_string()).collect())
}

/// Takes a manifest apart whose signatures all hold. Its keys are in it; the
/// hint is the name of the first.
pub(super) fn parse(manifest: &[u8], limits: &Limits) -> Result<Untrusted<Envelope>, Reason> {
    let frame = frame(manifest, limits)?;
    let keys = signed(&frame)?;
    let hint = keys.first().map(|key| key.fingerprint().to_string());
    Ok(Untrusted::new(Envelope {
        format: Format::Libtrust,
        payload: manifest.to_vec(),
        signature: Vec::new(),
        hint,
    }))
}

/// The keys whose signatures hold over the manifest: all of them hold, or
/// none counts.
pub(crate) fn signers(manifest: &[u8], limits: &Limits) -> Result<Vec<KeyId>, Reason> {
    Ok(signed(&frame(manifest, limits)?)?.iter().map(PublicKey::id).collect())
}

/// What the payload says: its own digest, and a time that each signature
/// carries, the earliest where there are several.
pub(super) fn claims(manifest: &[u8], target: &Digest, limits: &Limits) -> Result<Claims, Reason> {
    let frame = frame(manifest, limits)?;
    let digest = Digest::of(target.algorithm(), &frame.payload);
    if digest != *target {
        return Err(Reason::WrongSubject(digest.to_string()));
    }
    let times = frame.signatures.iter().filter_map(|signature| signature.time.as_deref());
    let times = times.map(str::parse).collect::<Result<Vec<jiff::Timestamp>, _>>();
    let times = times.map_err(|_| Reason::Malformed("`time` is no instant of RFC 3339".into()))?;
    Ok(Claims {
        subject: Subject { digest, size: None, media_type: None },
        name: None,
        annotations: std::collections::BTreeMap::new(),
        statement: Statement::Signature,
        signed_at: times.into_iter().min(),
        expires: None,
    })
}

/// The digest of what is signed, unverified.
pub(super) fn subject(manifest: &[u8], limits: &Limits) -> Result<Digest, Reason> {
    Ok(Digest::sha256(&frame(manifest, limits)?.payload))
}

fn frame(manifest: &[u8], limits: &Limits) -> Result<Frame, Reason> {
    Frame::parse(manifest, limits).map_err(|error| match error {
        DocumentError::Limit(why) => Reason::LimitExceeded(why),
        DocumentError::Ambiguous(why) | DocumentError::Malformed(why) => {
            Reason::Malformed(clip(&why))
        }
    })
}

fn signed(frame: &Frame) -> Result<Vec<PublicKey>, Reason> {
    frame.signatures.iter().map(|signature| holds(frame, signature)).collect()
}

fn holds(frame: &Frame, signature: &Signature) -> Result<PublicKey, Reason> {
    let header = &signature.header;
    let key = libtrust::key(header).map_err(|why| Reason::Malformed(clip(&why.to_string())))?;
    libtrust::verify(&key, &header.alg, &frame.message(signature), &signature.signature)
        .map(|()| key)
        .map_err(|_| Reason::BadSignature)
}
