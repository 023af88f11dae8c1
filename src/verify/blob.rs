//! Bundles about files, made with a key: no log and no clock is asked.

use sigstore_verify::crypto::{SigningScheme, verify_signature_prehashed};
use sigstore_verify::types::{DerPublicKey, SignatureBytes};

use super::Signed;
use super::sigstore::{Proof, ProvenSigner};
use crate::crypto::{KeyAlgorithm, PublicKey};
use crate::envelope::sigstore::{Content, content};
use crate::envelope::{Candidate, parse};
use crate::evidence::Reason;
use crate::image::Digest;
use crate::limits::Limits;
use crate::trust::Trust;

/// Verifies that `key` signed the artifact of this digest. `bytes` is all of
/// it, where it fits into memory.
///
/// # Errors
/// The [`Reason`] why it proves nothing; [`Reason::Unavailable`] where the
/// artifact itself would have to be there.
pub fn by_key(
    bundle: &[u8],
    digest: &Digest,
    bytes: Option<&[u8]>,
    key: &PublicKey,
    limits: &Limits,
) -> Result<Proof, Reason> {
    match content(bundle, limits)? {
        Content::Statement => {
            let candidate = Candidate::bundle("the bundle", bundle.to_vec());
            let envelope = parse(&candidate, limits)?;
            let trust = Trust::new([key.clone()]);
            let signed = Signed::check(&envelope, &trust, limits)?;
            signed.envelope.claims(digest, limits)?;
        }
        Content::File { signature, stated, by_other_hash } => {
            if stated.as_ref().is_some_and(|stated| stated != digest) {
                let stated = stated.map(|stated| stated.to_string()).unwrap_or_default();
                return Err(Reason::WrongSubject(stated));
            }
            let holds = match bytes {
                Some(bytes) => key.verify(bytes, &signature).is_ok(),
                None if by_other_hash => return Err(absent("over another hash than SHA-256")),
                None => over_digest(key, digest, signature)?,
            };
            if !holds {
                return Err(Reason::BadSignature);
            }
        }
    }
    Ok(Proof { signer: ProvenSigner::Key(key.id()), times: Vec::new() })
}

fn absent(how: &str) -> Reason {
    Reason::Unavailable(format!(
        "the signature is {how}: give the file and not its digest, of at most `blob_bytes`"
    ))
}

/// Whether a signature over a file of this SHA-256 holds.
fn over_digest(key: &PublicKey, digest: &Digest, signature: Vec<u8>) -> Result<bool, Reason> {
    let scheme = match key.algorithm() {
        KeyAlgorithm::EcdsaP256 => SigningScheme::EcdsaP256Sha256,
        KeyAlgorithm::EcdsaP384 => SigningScheme::EcdsaP384Sha256,
        KeyAlgorithm::Rsa { .. } => SigningScheme::RsaPkcs1Sha256,
        KeyAlgorithm::Ed25519 | KeyAlgorithm::EcdsaP521 => {
            return Err(absent("over the file itself, as such keys do"));
        }
    };
    let hash = hex::decode(digest.hex()).map_err(|e| Reason::Malformed(e.to_string()))?;
    let (key, signature) =
        (DerPublicKey::from_bytes(key.to_spki_der()), SignatureBytes::new(signature));
    Ok(verify_signature_prehashed(&key, &hash, &signature, scheme).is_ok())
}
