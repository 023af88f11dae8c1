//! Which keys may sign, and when: self-signatures, subkey bindings, expiry
//! and revocation (RFC 9580, sections 5.2.1, 5.2.3 and 10.1).
//!
//! A key is judged at the time that a signature states. Who holds the key can
//! state any time, so a revocation for any reason but retirement counts at
//! all times, and a key that is lost must be revoked or be taken out of the
//! keyring, not left to expire.

use std::sync::Arc;

use jiff::Timestamp;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PublicKey, RevocationCode, Signature, SignatureConfig, SignatureType, SubpacketData,
};
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, Fingerprint as PgpFingerprint, KeyDetails,
    KeyId as PgpKeyId, KeyVersion, PublicParams, SignatureBytes, Tag, VerifyingKey as _,
};
use rsa::pkcs1::EncodeRsaPublicKey as _;

use super::Fingerprint;
use super::detached::is_strong;
use crate::crypto::{Curve, KeyId, PublicKey as Key509};

/// From this day on a self-signature with SHA-1 does not count: by then
/// every program in use wrote others, and collisions could be paid for.
const SHA1_UNTIL: i64 = 1_675_209_600; // 2023-02-01

/// A public key with its subkeys, as far as their binding signatures hold.
#[derive(Debug, Clone)]
pub struct Certificate {
    inner: Arc<SignedPublicKey>,
    key: KeyId,
    fingerprint: Fingerprint,
}

/// A primary key or a subkey.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key<'c> {
    Primary(&'c PublicKey),
    Sub(&'c SignedPublicSubKey),
}

impl Certificate {
    /// `None` where the primary key is of an algorithm or size that is not
    /// verified.
    pub(super) fn new(inner: SignedPublicKey) -> Option<Self> {
        let key = name(inner.primary_key.public_params()).ok()?;
        let fingerprint = format!("{:x}", inner.primary_key.fingerprint());
        let known = matches!(inner.primary_key.version(), KeyVersion::V4 | KeyVersion::V6);
        known.then(|| Self { inner: Arc::new(inner), key, fingerprint })
    }

    /// Fingerprint of the primary key.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Name of the primary key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The primary key and its subkeys, whether they may sign or not.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let subkeys = self.inner.public_subkeys.iter().map(Key::Sub);
        std::iter::once(Key::Primary(&self.inner.primary_key)).chain(subkeys)
    }

    /// Takes what another copy of the same key knows.
    pub(super) fn merge(&mut self, other: Self) {
        let inner = Arc::make_mut(&mut self.inner);
        let SignedPublicKey { details, public_subkeys, .. } = Arc::unwrap_or_clone(other.inner);
        add(&mut inner.details.revocation_signatures, details.revocation_signatures);
        add(&mut inner.details.direct_signatures, details.direct_signatures);
        for user in details.users {
            match inner.details.users.iter_mut().find(|known| known.id == user.id) {
                Some(known) => add(&mut known.signatures, user.signatures),
                None => inner.details.users.push(user),
            }
        }
        for subkey in public_subkeys {
            let same = |known: &&mut SignedPublicSubKey| known.key == subkey.key;
            match inner.public_subkeys.iter_mut().find(same) {
                Some(known) => add(&mut known.signatures, subkey.signatures),
                None => inner.public_subkeys.push(subkey),
            }
        }
    }

    /// The name of `key`, where it could sign at that time.
    pub(super) fn judge(&self, key: Key<'_>, at: Timestamp) -> Result<KeyId, String> {
        let primary = &self.inner.primary_key;
        let of_key = &self.inner.details.revocation_signatures;
        let holds = |s: &Signature| s.verify_key(primary).is_ok();
        if let Some(why) = revoked(of_key, SignatureType::KeyRevocation, holds, at) {
            return Err(format!("key {} {why}", self.fingerprint));
        }
        let own = self.self_signature(at);
        let own =
            own.ok_or_else(|| format!("no self-signature of key {} holds", self.fingerprint))?;
        lives(primary, own, at).map_err(|why| format!("key {} {why}", self.fingerprint))?;
        match key {
            Key::Primary(_) => {
                may_sign(own, true).map_err(|why| format!("key {} {why}", self.fingerprint))?
            }
            Key::Sub(subkey) => self
                .binding(subkey, at)
                .map_err(|why| format!("subkey {:x} {why}", subkey.key.fingerprint()))?,
        }
        name(key.public_params())
    }

    /// The self-signature that speaks for the primary key at that time.
    fn self_signature(&self, at: Timestamp) -> Option<&Signature> {
        let primary = &self.inner.primary_key;
        let direct = self
            .inner
            .details
            .direct_signatures
            .iter()
            .filter(|s| s.typ() == Some(SignatureType::Key) && s.verify_key(primary).is_ok());
        let users = self.inner.details.users.iter().flat_map(|user| {
            let holds = |s: &&Signature| {
                s.is_certification()
                    && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            };
            let (revocations, certifications): (Vec<_>, Vec<_>) = (user.signatures.iter())
                .filter(holds)
                .partition(|s| s.typ() == Some(SignatureType::CertRevocation));
            let gone = revocations.iter().filter_map(|s| s.created()).max();
            certifications.into_iter().filter(move |s| s.created() > gone)
        });
        newest(direct.chain(users), at)
    }

    /// Whether the primary key made `subkey` a key that signs.
    fn binding(&self, subkey: &SignedPublicSubKey, at: Timestamp) -> Result<(), String> {
        let primary = &self.inner.primary_key;
        let holds = |s: &Signature| s.verify_subkey_binding(primary, &subkey.key).is_ok();
        if let Some(why) = revoked(&subkey.signatures, SignatureType::SubkeyRevocation, holds, at) {
            return Err(why);
        }
        let bindings = subkey
            .signatures
            .iter()
            .filter(|s| s.typ() == Some(SignatureType::SubkeyBinding) && holds(s));
        let binding = newest(bindings, at).ok_or("is bound by no signature that holds")?;
        lives(&subkey.key, binding, at)?;
        may_sign(binding, false)?;
        // the subkey must say that it belongs there, or a stranger's could be claimed
        let back = binding.embedded_signature().filter(|back| {
            back.typ() == Some(SignatureType::KeyBinding)
                && counts(back)
                && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
        });
        back.map(|_| ()).ok_or_else(|| "does not confirm that it belongs to the key".to_owned())
    }
}

impl Key<'_> {
    pub(super) fn is_v6(&self) -> bool {
        self.version() == KeyVersion::V6
    }

    pub(super) fn verify(&self, hash: HashAlgorithm, data: &[u8], bytes: &SignatureBytes) -> bool {
        match self {
            Self::Primary(key) => key.verify(hash, data, bytes).is_ok(),
            Self::Sub(sub) => sub.key.verify(hash, data, bytes).is_ok(),
        }
    }

    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => *key,
            Self::Sub(sub) => &sub.key,
        }
    }
}

impl KeyDetails for Key<'_> {
    fn version(&self) -> KeyVersion {
        self.details().version()
    }
    fn legacy_key_id(&self) -> PgpKeyId {
        self.details().legacy_key_id()
    }
    fn fingerprint(&self) -> PgpFingerprint {
        self.details().fingerprint()
    }
    fn algorithm(&self) -> pgp::crypto::public_key::PublicKeyAlgorithm {
        self.details().algorithm()
    }
    fn created_at(&self) -> pgp::types::Timestamp {
        self.details().created_at()
    }
    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.details().legacy_v3_expiration_days()
    }
    fn public_params(&self) -> &PublicParams {
        self.details().public_params()
    }
}

/// The newest signature of those made by then; of a key that was exported
/// with its newest self-signature alone, that one.
fn newest<'s>(all: impl Iterator<Item = &'s Signature>, at: Timestamp) -> Option<&'s Signature> {
    let all: Vec<_> = all.filter(|s| counts(s) && !lapsed(s, at)).collect();
    let made = |s: &&&Signature| s.created().is_some_and(|c| instant(c) <= at);
    let before = all.iter().filter(made).max_by_key(|s| s.created());
    before.or_else(|| all.iter().min_by_key(|s| s.created())).copied()
}

/// Whether a self-signature's own algorithms and parts let it count.
fn counts(signature: &Signature) -> bool {
    let Some(config) = signature.config() else { return false };
    let Some(created) = config.created() else { return false };
    let hash = config.hash_alg;
    let old = hash == HashAlgorithm::Sha1 && i64::from(created.as_secs()) < SHA1_UNTIL;
    (is_strong(hash) || hash == HashAlgorithm::Sha224 || old) && not_understood(config).is_none()
}

fn lapsed(signature: &Signature, at: Timestamp) -> bool {
    let after = signature.signature_expiration_time().map_or(0, |d| d.as_secs());
    let made = signature.created().map_or(0, |c| c.as_secs());
    after > 0 && i64::from(made) + i64::from(after) <= at.as_second()
}

/// Why a key is revoked at that time. Who revokes for another reason than
/// that it is out of use says nothing about when it was lost.
fn revoked(
    signatures: &[Signature],
    typ: SignatureType,
    holds: impl Fn(&Signature) -> bool,
    at: Timestamp,
) -> Option<String> {
    let all = signatures.iter().filter(|s| s.typ() == Some(typ) && holds(s));
    all.into_iter().find_map(|revocation| {
        use RevocationCode::{KeyRetired, KeySuperseded};
        let soft = matches!(revocation.revocation_reason_code(), Some(KeyRetired | KeySuperseded));
        let since = revocation.created().map(instant);
        let counts = !soft || since.is_none_or(|since| since <= at);
        counts.then(|| "was revoked".to_owned())
    })
}

/// Whether `key` is in its time.
fn lives(key: &impl KeyDetails, own: &Signature, at: Timestamp) -> Result<(), String> {
    let made = i64::from(key.created_at().as_secs());
    if at.as_second() < made {
        return Err("was made after the signature says it signed".to_owned());
    }
    let after = own.key_expiration_time().map_or(0, |d| d.as_secs());
    if after > 0 && made + i64::from(after) <= at.as_second() {
        return Err("had expired when it signed".to_owned());
    }
    Ok(())
}

/// Whether the key's flags let it sign; `open` is the answer where there are
/// none, as in keys of old.
fn may_sign(own: &Signature, open: bool) -> Result<(), String> {
    let flags = own.config().and_then(|config| {
        config.hashed_subpackets().find_map(|part| match &part.data {
            SubpacketData::KeyFlags(flags) => Some(flags),
            _ => None,
        })
    });
    match flags.map_or(open, KeyFlags::sign) {
        true => Ok(()),
        false => Err("is not for signing".to_owned()),
    }
}

/// A part of a signature that must be understood and is not (RFC 9580,
/// section 5.2.3.7).
pub(super) fn not_understood(config: &SignatureConfig) -> Option<String> {
    config.hashed_subpackets().filter(|part| part.is_critical).find_map(|part| match &part.data {
        SubpacketData::Experimental(number, _) | SubpacketData::Other(number, _) => {
            Some(format!("its subpacket {number}"))
        }
        SubpacketData::Notation(_) => Some("a notation".to_owned()),
        _ => None,
    })
}

/// The name of a key by what it is, the same as that of the key in PEM.
fn name(params: &PublicParams) -> Result<KeyId, String> {
    let key = match params {
        PublicParams::RSA(rsa) => {
            let der = rsa.key.to_pkcs1_der().map_err(|error| error.to_string())?;
            Key509::from_pkcs1_der(der.as_bytes())
        }
        PublicParams::ECDSA(EcdsaPublicParams::P256 { key }) => {
            Key509::from_sec1(Curve::P256, &key.to_sec1_bytes())
        }
        PublicParams::ECDSA(EcdsaPublicParams::P384 { key }) => {
            Key509::from_sec1(Curve::P384, &key.to_sec1_bytes())
        }
        PublicParams::ECDSA(EcdsaPublicParams::P521 { key }) => {
            Key509::from_sec1(Curve::P521, &key.to_sec1_bytes())
        }
        PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { key }) => {
            Key509::from_ed25519(key.as_bytes())
        }
        PublicParams::Ed25519(ed25519) => Key509::from_ed25519(ed25519.key.as_bytes()),
        _ => return Err("the key's algorithm is not verified".to_owned()),
    };
    key.map(|key| key.id()).map_err(|error| error.to_string())
}

/// A time of the packets.
pub(super) fn instant(time: pgp::types::Timestamp) -> Timestamp {
    // every u32 is within a Timestamp's range
    Timestamp::from_second(i64::from(time.as_secs())).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn add(known: &mut Vec<Signature>, more: Vec<Signature>) {
    for signature in more {
        if !known.contains(&signature) {
            known.push(signature);
        }
    }
}
