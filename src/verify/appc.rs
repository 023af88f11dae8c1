//! Detached OpenPGP signatures over an ACI (appc spec, aci.md): over the
//! bytes of the file as it is distributed, compressed or not.

use std::collections::BTreeMap;

use super::pgp;
use crate::crypto::openpgp::ContentHash;
use crate::evidence::{Claims, Evidence, Format, Rejection, Statement, Subject};
use crate::image::Digest;
use crate::trust::Trust;

/// Verifies a signature whose content was hashed. `subject` is the SHA-256
/// of the same bytes, from the same pass.
///
/// It signs no name: what an image calls itself was written by whoever made
/// it, and a policy that asks for a signed name is not content with that.
///
/// # Errors
/// A [`Rejection`] that says why it proves nothing.
pub fn appc(
    item: &str,
    hash: ContentHash,
    trust: &Trust,
    subject: &Digest,
) -> Result<Evidence, Rejection> {
    let signer = hash.verify(trust.keyring()).map_err(|failure| Rejection {
        item: item.to_owned(),
        format: Some(Format::Appc),
        reason: failure.into(),
    })?;
    let claims = Claims {
        subject: Subject { digest: subject.clone(), size: None, media_type: None },
        name: None,
        annotations: BTreeMap::new(),
        statement: Statement::Signature,
        signed_at: None,
        expires: None,
    };
    Ok(Evidence::verified(pgp::facts(item, Format::Appc, signer, claims)))
}
