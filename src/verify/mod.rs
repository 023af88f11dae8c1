//! Envelope and trust to [`Evidence`]: the only place that makes any.
//!
//! There is no clock here. What holds at which instant is for the policy.

mod appc;
pub mod blob;
mod pgp;
pub mod sigstore;

pub use appc::appc;

use crate::crypto::{KeyId, PublicKey};
use crate::envelope::{Candidate, Envelope, Untrusted, clip, libtrust, parse};
use crate::evidence::{Evidence, Facts, Format, Reason, Rejection, Signer, Subject};
use crate::limits::Limits;
use crate::trust::Trust;

/// Verifies that `candidate` is signed by a key of `trust` and is about
/// `subject`.
///
/// Of `subject` its digest is compared, for the formats read here sign
/// neither size nor media type.
///
/// # Errors
/// A [`Rejection`] that says why it proves nothing. That is data for a
/// verdict, no failure.
pub fn verify(
    candidate: &Candidate,
    trust: &Trust,
    subject: &Subject,
    limits: &Limits,
) -> Result<Evidence, Rejection> {
    facts(candidate, trust, subject, limits)
        .map(Evidence::verified)
        .map_err(|reason| candidate.rejected(reason))
}

fn facts(
    candidate: &Candidate,
    trust: &Trust,
    subject: &Subject,
    limits: &Limits,
) -> Result<Facts, Reason> {
    let envelope = parse(candidate, limits)?;
    if envelope.unverified().format == Format::Simple {
        return pgp::message(candidate, trust, subject, limits);
    }
    let signed = Signed::check(&envelope, trust, limits)?;
    // Claims are read only now, from the very bytes whose signature holds.
    let claims = signed.envelope.claims(&subject.digest, limits)?;
    Ok(Facts {
        item: candidate.item.clone(),
        format: signed.envelope.format,
        signer: Signer::Key { key: signed.key },
        claims,
        times: Vec::new(),
    })
}

/// An envelope whose signature holds under a trusted key. Holding one is the
/// proof; only [`Signed::check`] makes one.
struct Signed<'e> {
    envelope: &'e Envelope,
    key: KeyId,
}

impl<'e> Signed<'e> {
    fn check(
        envelope: &'e Untrusted<Envelope>,
        trust: &Trust,
        limits: &Limits,
    ) -> Result<Self, Reason> {
        let envelope = envelope.unverified();
        if envelope.format == Format::Libtrust {
            return Self::own_keys(envelope, trust, limits);
        }
        let hinted = envelope.hint.as_deref().and_then(|hint| trust.by_hint(hint));
        let message = envelope.message();
        let holds = |key: &&PublicKey| key.verify(&message, &envelope.signature).is_ok();
        // A hint is not signed: it says which key to try first, no more.
        let others = trust.keys().map(|(_, key)| key).filter(|key| Some(*key) != hinted);
        match hinted.into_iter().chain(others).find(holds) {
            Some(key) => Ok(Self { envelope, key: key.id() }),
            None if hinted.is_some() => Err(Reason::BadSignature),
            None => Err(Reason::UnknownKey(envelope.hint.as_deref().map(clip))),
        }
    }

    /// An envelope that carries its keys: all of its signatures must hold,
    /// and the first key that is trusted is who signed. Two trusted keys in
    /// one manifest therefore count as one.
    fn own_keys(envelope: &'e Envelope, trust: &Trust, limits: &Limits) -> Result<Self, Reason> {
        let signers = libtrust::signers(&envelope.payload, limits)?;
        let key = signers.into_iter().find(|key| trust.by_id(key).is_some());
        let unknown = || Reason::UnknownKey(envelope.hint.as_deref().map(clip));
        Ok(Self { envelope, key: key.ok_or_else(unknown)? })
    }
}
