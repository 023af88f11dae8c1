//! OpenPGP signers as evidence, whatever the format that they signed.

use crate::crypto::openpgp::{PgpFailure, PgpSigner, SignedMessage};
use crate::envelope::{Candidate, clip, simple};
use crate::evidence::{Claims, Facts, Format, Reason, Signer, Subject};
use crate::limits::Limits;
use crate::trust::Trust;

/// The facts of a signature that `signer` made. The packet's own times join
/// the claims: they are inside the signed bytes (RFC 9580, section 5.2.3.11
/// and 5.2.3.18), so that of several times the earliest counts.
pub(super) fn facts(item: &str, format: Format, signer: PgpSigner, claims: Claims) -> Facts {
    let PgpSigner { key, primary, fingerprint, created, expires } = signer;
    let claims = Claims {
        signed_at: Some(claims.signed_at.map_or(created, |said| said.min(created))),
        expires: match (claims.expires, expires) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        ..claims
    };
    let signer = Signer::Pgp { key, primary, fingerprint };
    Facts { item: item.to_owned(), format, signer, claims, times: Vec::new() }
}

/// The facts of a signed message: the claims are read from the content that
/// the signature is over.
pub(super) fn message(
    candidate: &Candidate,
    trust: &Trust,
    subject: &Subject,
    limits: &Limits,
) -> Result<Facts, Reason> {
    let message = SignedMessage::parse(&candidate.bytes, limits)?;
    let (signer, content) = message.verify(trust.keyring())?;
    let claims = simple::claims(content, &subject.digest, limits)?;
    Ok(facts(&candidate.item, Format::Simple, signer, claims))
}

impl From<PgpFailure> for Reason {
    fn from(failure: PgpFailure) -> Self {
        match failure {
            PgpFailure::Bad => Self::BadSignature,
            PgpFailure::UnknownKey(hint) => Self::UnknownKey(hint.as_deref().map(clip)),
            PgpFailure::Unfit(why) => Self::Unfit(clip(&why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{KeyId, Statement};
    use crate::image::Digest;
    use jiff::Timestamp;

    #[test]
    fn of_several_times_the_earliest_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = KeyId(Digest::sha256(b"k"));
        let signer = |created, expires: Option<i64>| PgpSigner {
            key: key.clone(),
            primary: key.clone(),
            fingerprint: "ab".to_owned(),
            created: at(created),
            expires: expires.map(at),
        };
        let claims = |signed_at: Option<i64>, expires: Option<i64>| Claims {
            subject: Subject { digest: Digest::sha256(b""), size: None, media_type: None },
            name: None,
            annotations: Default::default(),
            statement: Statement::Signature,
            signed_at: signed_at.map(at),
            expires: expires.map(at),
        };
        for (said, created, ends, expires, want) in [
            (None, 5, None, None, (5, None)),
            (Some(3), 5, Some(9), None, (3, Some(9))),
            (Some(7), 5, Some(9), Some(8), (5, Some(8))),
            (None, 5, None, Some(8), (5, Some(8))),
        ] {
            let made = facts("x", Format::Simple, signer(created, expires), claims(said, ends));
            let times = (made.claims.signed_at, made.claims.expires);
            assert_eq!(times, (Some(at(want.0)), want.1.map(at)));
        }
    }
}
