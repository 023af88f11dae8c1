//! Detached signatures (RFC 9580, section 10.4), and the check that all
//! kinds of signature share.

use std::fmt;

use jiff::Timestamp;
use pgp::armor::BlockType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, Signature, SignatureConfig, SignatureType, SignatureVersionSpecific};
use pgp::types::{Fingerprint, KeyId};

use super::packets::{self, malformed};
use super::{Keyring, OpenPgpError, PgpFailure, PgpSigner, certificate};
use crate::limits::Limits;

/// One detached signature over bytes that are not in it.
#[derive(Debug)]
pub struct Detached {
    signature: Signature,
}

impl Detached {
    /// Reads a file of signatures, armoured or binary: at least one, and
    /// nothing else.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Vec<Self>, OpenPgpError> {
        if bytes.len() as u64 > limits.envelope_bytes {
            let limit = limits.envelope_bytes;
            return Err(OpenPgpError::Limit(format!("signatures of more than {limit} bytes")));
        }
        let packets = packets::read(bytes, &BlockType::Signature)?;
        if packets.is_empty() {
            return Err(malformed("there is no signature in it"));
        }
        let one = |packet| match packet {
            Packet::Signature(signature) => Ok(Self { signature }),
            _ => Err(OpenPgpError::Unsupported("there is more in it than signatures".to_owned())),
        };
        packets.into_iter().map(one).collect()
    }

    /// Key id or fingerprint that it names. Nobody signed this claim.
    pub fn hint(&self) -> Option<String> {
        hint(&self.signature)
    }

    /// Begins to hash the content.
    ///
    /// # Errors
    /// [`PgpFailure::Unfit`] where no content could make it count: a weak
    /// hash, a text signature, an unknown part that asks to be understood.
    pub fn begin(&self) -> Result<ContentHash, PgpFailure> {
        ContentHash::begin(&self.signature)
    }
}

/// Key id or fingerprint that a signature names.
pub(super) fn hint(signature: &Signature) -> Option<String> {
    let fingerprint = signature.issuer_fingerprint().first().map(|f| format!("{f:x}"));
    fingerprint.or_else(|| signature.issuer_key_id().first().map(|id| hex::encode(id.as_ref())))
}

/// The hash of signed content, as the content comes.
pub struct ContentHash {
    signature: Signature,
    config: SignatureConfig,
    created: Timestamp,
    hasher: Box<dyn sha2::digest::DynDigest + Send>,
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHash").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl ContentHash {
    /// Begins to hash what `signature` is over.
    pub(super) fn begin(signature: &Signature) -> Result<Self, PgpFailure> {
        let config = signature.config().ok_or_else(|| unfit("its version is not known"))?;
        let created = fit(config)?;
        let mut hasher =
            config.hash_alg.new_hasher().map_err(|_| unfit("its hash is not known"))?;
        if let SignatureVersionSpecific::V6 { salt } = &config.version_specific {
            if config.hash_alg.salt_len() != Some(salt.len()) {
                return Err(unfit("its salt has a wrong length"));
            }
            hasher.update(salt);
        }
        Ok(Self { signature: signature.clone(), config: config.clone(), created, hasher })
    }

    /// Takes the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Whether the signature holds over the content by a key of `keyring`.
    ///
    /// # Errors
    /// [`PgpFailure`].
    pub fn verify(mut self, keyring: &Keyring) -> Result<PgpSigner, PgpFailure> {
        let ended = self
            .config
            .hash_signature_data(&mut self.hasher)
            .and_then(|length| self.config.trailer(length));
        self.hasher.update(&ended.map_err(|_| PgpFailure::Bad)?);
        let hash = self.hasher.finalize();
        let prefix = self.signature.signed_hash_value();
        let claim = Claim {
            config: &self.config,
            signature: &self.signature,
            hash: &hash,
            named: Named::by(&self.signature),
            plausible: prefix.is_some_and(|prefix| hash.starts_with(&prefix)),
        };
        let (key, primary, fingerprint) = claim.signer(keyring, self.created)?;
        Ok(PgpSigner {
            key,
            primary,
            fingerprint,
            created: self.created,
            expires: expiry(&self.signature, self.created),
        })
    }
}

/// Whom a signature names as its maker.
struct Named<'s> {
    fingerprints: Vec<&'s Fingerprint>,
    ids: Vec<&'s KeyId>,
}

impl<'s> Named<'s> {
    fn by(signature: &'s Signature) -> Self {
        Self { fingerprints: signature.issuer_fingerprint(), ids: signature.issuer_key_id() }
    }

    /// A fingerprint says more than an id, of which others may be made.
    fn is(&self, key: &impl pgp::types::KeyDetails) -> bool {
        if self.fingerprints.is_empty() {
            return self.ids.contains(&&key.legacy_key_id());
        }
        self.fingerprints.contains(&&key.fingerprint())
    }
}

/// What a signature says, with the hash over its content.
struct Claim<'s> {
    config: &'s SignatureConfig,
    signature: &'s Signature,
    hash: &'s [u8],
    named: Named<'s>,
    plausible: bool,
}

type Signer = (crate::crypto::KeyId, crate::crypto::KeyId, super::Fingerprint);

impl Claim<'_> {
    /// The key that made it, judged at the time that it states.
    fn signer(&self, keyring: &Keyring, at: Timestamp) -> Result<Signer, PgpFailure> {
        let mut answer = PgpFailure::UnknownKey(hint(self.signature));
        for certificate in keyring.certificates() {
            for key in certificate.keys().filter(|key| self.named.is(key)) {
                if !self.plausible || !self.holds(&key) {
                    if matches!(answer, PgpFailure::UnknownKey(_)) {
                        answer = PgpFailure::Bad;
                    }
                    continue;
                }
                match certificate.judge(key, at) {
                    Ok(id) => {
                        let primary = certificate.key().clone();
                        return Ok((id, primary, certificate.fingerprint().to_owned()));
                    }
                    Err(why) => answer = PgpFailure::Unfit(why),
                }
            }
        }
        Err(answer)
    }

    fn holds(&self, key: &certificate::Key<'_>) -> bool {
        let Some(signature) = self.signature.signature() else { return false };
        let aligned = (key.is_v6())
            == matches!(self.config.version_specific, SignatureVersionSpecific::V6 { .. });
        aligned && key.verify(self.config.hash_alg, self.hash, signature)
    }
}

/// The signed time of a signature over content, where nothing about it rules
/// it out.
fn fit(config: &SignatureConfig) -> Result<Timestamp, PgpFailure> {
    // version 3 signs its time and no other part; as a version 4 over other
    // content it cannot be read, for their trailers end differently
    use SignatureVersionSpecific::{V3, V4, V6};
    if !matches!(config.version_specific, V3 { .. } | V4 | V6 { .. }) {
        return Err(unfit("it is of another version than 3, 4 and 6"));
    }
    if config.typ() != SignatureType::Binary {
        return Err(unfit("it is no signature over a binary document"));
    }
    if !is_strong(config.hash_alg) {
        return Err(unfit(&format!("its hash is {}; SHA-256 or stronger counts", config.hash_alg)));
    }
    if let Some(what) = certificate::not_understood(config) {
        return Err(unfit(&format!("it asks that {what} be understood")));
    }
    let created = config.created().ok_or_else(|| unfit("it states no time"))?;
    Ok(certificate::instant(created))
}

/// Hashes that data may be signed with.
pub(super) fn is_strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(hash, Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512)
}

fn expiry(signature: &Signature, created: Timestamp) -> Option<Timestamp> {
    let after = signature.signature_expiration_time().map(|d| d.as_secs()).filter(|s| *s > 0)?;
    Timestamp::from_second(created.as_second().saturating_add(i64::from(after))).ok()
}

fn unfit(why: &str) -> PgpFailure {
    PgpFailure::Unfit(why.to_owned())
}
