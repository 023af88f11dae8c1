//! Bundles about files, made with a key: no log and no clock is asked.

use super::Signed;
use super::sigstore::{NEEDS_FILE, Proof, ProvenSigner};
use crate::crypto::{KeyAlgorithm, MessageHashes, PublicKey};
use crate::envelope::sigstore::{Content, bounded, content};
use crate::envelope::{Candidate, parse};
use crate::evidence::Reason;
use crate::image::Digest;
use crate::limits::Limits;
use crate::trust::Trust;

/// A file as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Artifact<'a> {
    /// Its SHA-256.
    pub digest: &'a Digest,
    /// Its hashes; of a file that is not there its SHA-256 alone.
    pub hashes: &'a MessageHashes,
    /// All of it, where it is in memory.
    pub bytes: Option<&'a [u8]>,
}

/// Verifies that `key` signed the artifact.
///
/// # Errors
/// The [`Reason`] why it proves nothing; [`Reason::Unavailable`] where more
/// of the artifact would have to be there.
pub fn by_key(
    bundle: &[u8],
    artifact: Artifact<'_>,
    key: &PublicKey,
    limits: &Limits,
) -> Result<Proof, Reason> {
    bounded(bundle, limits)?;
    match content(bundle, limits)? {
        Content::Statement => {
            let candidate = Candidate::bundle("the bundle", bundle.to_vec());
            let envelope = parse(&candidate, limits)?;
            let trust = Trust::new([key.clone()]);
            let signed = Signed::check(&envelope, &trust, limits)?;
            signed.envelope.claims(artifact.digest, limits)?;
        }
        Content::File { signature, stated, by_other_hash } => {
            if let Some(stated) = stated.filter(|stated| stated != artifact.digest) {
                return Err(Reason::WrongSubject(stated.to_string()));
            }
            let over_hash = key.verify_hashes(artifact.hashes, &signature).is_ok();
            let over_bytes = || artifact.bytes.is_some_and(|b| key.verify(b, &signature).is_ok());
            if !over_hash && !over_bytes() {
                return Err(not_over(artifact, key, by_other_hash));
            }
        }
    }
    Ok(Proof { signer: ProvenSigner::Key(key.id()), times: Vec::new() })
}

/// What a signature is that holds over nothing of the artifact that is there.
fn not_over(artifact: Artifact<'_>, key: &PublicKey, by_other_hash: bool) -> Reason {
    let itself = key.algorithm() == KeyAlgorithm::Ed25519 && artifact.bytes.is_none();
    let other = by_other_hash && artifact.hashes.is_of_sha256_alone();
    match itself || other {
        true => Reason::Unavailable(NEEDS_FILE.to_owned()),
        false => Reason::BadSignature,
    }
}
