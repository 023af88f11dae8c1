//! Secret keys that sign.
//!
//! RSA goes through AWS-LC, for the `rsa` crate leaks by its timing
//! (RUSTSEC-2023-0071); the curves are signed with in constant time by the
//! crates that read them.

use std::fmt;
use std::io::Read;

use aws_lc_rs::signature::{self, RsaKeyPair};
use jiff::Timestamp;
use pgp::armor::BlockType;
use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    self, LiteralData, OnePassSignature, PacketTrait as _, Signature, SignatureConfig,
    SignatureType, Subpacket, SubpacketData,
};
use pgp::types::{
    Fingerprint, KeyDetails, KeyId, KeyVersion, Mpi, Password as PgpPassword, PlainSecretParams,
    PublicParams, S2kParams, SecretParams, SignatureBytes, SigningKey, StringToKey,
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;

use super::certificate::{Certificate, Key};
use super::packets::{self, malformed};
use super::{ContentHash, Keyring};
use crate::crypto::{KeyError, Password};
use crate::limits::Limits;

/// A secret key that signs.
pub struct SecretKey {
    certificate: Certificate,
    /// Those whose secret is there, in the order in which they are tried.
    pairs: Vec<Pair>,
}

/// A key or subkey without its password.
#[derive(Debug)]
struct Pair {
    secret: Secret,
    /// The same key for AWS-LC.
    rsa: Option<RsaKeyPair>,
}

#[derive(Debug)]
enum Secret {
    Primary(Box<packet::SecretKey>),
    Sub(Box<packet::SecretSubkey>),
}

impl SecretKey {
    /// Reads one exported secret key, armoured or binary. `password` is asked
    /// once, and only where the key is encrypted.
    ///
    /// # Errors
    /// [`KeyError::WrongPassword`] stands apart; [`KeyError::TooExpensive`]
    /// where the file asks for more work than `limits` allow.
    pub fn parse(
        bytes: &[u8],
        password: &mut dyn FnMut() -> Result<Password, KeyError>,
        limits: &Limits,
    ) -> Result<Self, KeyError> {
        if bytes.len() as u64 > limits.key_bytes {
            let limit = limits.key_bytes;
            return Err(KeyError::Malformed(format!("it is larger than {limit} bytes")));
        }
        let packets = packets::read(bytes, &BlockType::PrivateKey).map_err(no_key)?;
        let mut keys = SignedSecretKey::from_packets(packets.into_iter().map(Ok).peekable());
        let (first, second) = (keys.next(), keys.next());
        let key = match (first, second) {
            (Some(Ok(key)), None) => key,
            (Some(_), Some(_)) => {
                return Err(KeyError::Unsupported(
                    "there are several keys in it; export the one that signs".to_owned(),
                ));
            }
            (Some(Err(error)), None) => return Err(no_key(malformed(&error.to_string()))),
            (None, _) => {
                return Err(KeyError::Malformed("there is no secret key in it".to_owned()));
            }
        };
        let certificate = Certificate::new(key.to_public_key()).ok_or_else(|| {
            KeyError::Unsupported("RSA, NIST curves and Ed25519 sign; this key is another".into())
        })?;
        if key.primary_key.version() != KeyVersion::V4 {
            let why = "keys of version 4 sign; gpg and skopeo read no other";
            return Err(KeyError::Unsupported(why.to_owned()));
        }
        Ok(Self { certificate, pairs: unlock(key, password, limits)? })
    }

    /// The public part, as what verifies.
    pub fn keyring(&self) -> Keyring {
        Keyring::of(self.certificate.clone())
    }

    /// An armoured detached signature over `content`.
    ///
    /// # Errors
    /// [`KeyError`] where the key may not sign at `created`, or the content
    /// cannot be read.
    pub fn sign_detached(
        &self,
        content: &mut dyn Read,
        created: Timestamp,
    ) -> Result<Vec<u8>, KeyError> {
        let signature = self.signer(created)?.sign(content, created)?;
        DetachedSignature::new(signature).to_armored_bytes(ArmorOptions::default()).map_err(failed)
    }

    /// A binary signed message around `content`.
    ///
    /// # Errors
    /// [`KeyError`] where the key may not sign at `created`.
    pub fn sign_message(&self, content: &[u8], created: Timestamp) -> Result<Vec<u8>, KeyError> {
        let pair = self.signer(created)?;
        let signature = pair.sign(&mut &*content, created)?;
        let mut hash = ContentHash::begin(&signature).map_err(unfit)?;
        hash.update(content);
        hash.verify(&self.keyring()).map_err(unfit)?;
        let key = pair.details();
        let (algorithm, id) = (key.algorithm(), key.legacy_key_id());
        let once = OnePassSignature::v3(SignatureType::Binary, pair.hash_alg(), algorithm, id);
        let literal = LiteralData::from_bytes("", content.to_vec().into()).map_err(failed)?;
        let mut message = Vec::new();
        once.to_writer_with_header(&mut message).map_err(failed)?;
        literal.to_writer_with_header(&mut message).map_err(failed)?;
        signature.to_writer_with_header(&mut message).map_err(failed)?;
        Ok(message)
    }

    /// The newest subkey that may sign at that time, else the primary key, as
    /// gpg chooses.
    fn signer(&self, at: Timestamp) -> Result<&Pair, KeyError> {
        let mut why = "there is no key in it that signs".to_owned();
        for pair in &self.pairs {
            let fingerprint = pair.details().fingerprint();
            let is_it = |key: &Key<'_>| key.fingerprint() == fingerprint;
            match self.certificate.keys().find(is_it).map(|key| self.certificate.judge(key, at)) {
                Some(Ok(_)) => return Ok(pair),
                Some(Err(reason)) => why = reason,
                None => {}
            }
        }
        Err(KeyError::Unsupported(format!("this key cannot sign: {why}")))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, secret ..)", self.certificate.fingerprint())
    }
}

/// The keys whose secret is in the file, subkeys first and the newest of them
/// before the others. What stands for a key on a card has none.
fn unlock(
    key: SignedSecretKey,
    password: &mut dyn FnMut() -> Result<Password, KeyError>,
    limits: &Limits,
) -> Result<Vec<Pair>, KeyError> {
    let mut subkeys: Vec<_> = key.secret_subkeys.into_iter().map(|sub| sub.key).collect();
    subkeys.sort_by_key(|key| std::cmp::Reverse(key.created_at()));
    let subkeys = subkeys.into_iter().map(|key| Secret::Sub(Box::new(key)));
    let mut given = None;
    let mut pairs = Vec::new();
    for mut secret in subkeys.chain([Secret::Primary(Box::new(key.primary_key))]) {
        if !signs(secret.details().public_params()) || !is_there(secret.params(), limits)? {
            continue;
        }
        if matches!(secret.params(), SecretParams::Encrypted(_)) {
            let given = match &mut given {
                Some(given) => given,
                none => none.insert(PgpPassword::from(password()?.as_bytes())),
            };
            secret.open(given).map_err(|_| KeyError::WrongPassword)?;
        }
        pairs.push(Pair { rsa: rsa_pair(&secret)?, secret });
    }
    if pairs.is_empty() {
        let why = "its secret is not in the file (a key on a card?); export the key itself";
        return Err(KeyError::Unsupported(why.to_owned()));
    }
    Ok(pairs)
}

fn signs(params: &PublicParams) -> bool {
    matches!(
        params,
        PublicParams::RSA(_)
            | PublicParams::ECDSA(_)
            | PublicParams::EdDSALegacy(_)
            | PublicParams::Ed25519(_)
    )
}

/// Whether the secret is in the file, and can be had within the limits.
fn is_there(params: &SecretParams, limits: &Limits) -> Result<bool, KeyError> {
    let SecretParams::Encrypted(sealed) = params else { return Ok(true) };
    let s2k = match sealed.string_to_key_params() {
        S2kParams::Aead { s2k, .. }
        | S2kParams::Cfb { s2k, .. }
        | S2kParams::MalleableCfb { s2k, .. } => Some(s2k),
        S2kParams::Unprotected | S2kParams::LegacyCfb { .. } => None,
    };
    match s2k {
        Some(StringToKey::Argon2 { m_enc, .. }) => {
            // kibibytes, by their binary logarithm (RFC 9580, section 3.7.1.4)
            let bytes = 1_u64.checked_shl(u32::from(*m_enc).saturating_add(10));
            if bytes.is_none_or(|bytes| bytes > limits.kdf_bytes) {
                let limit = limits.kdf_bytes;
                let why = format!("its Argon2 asks for more than {limit} bytes of memory");
                return Err(KeyError::TooExpensive(why));
            }
            Ok(true)
        }
        Some(StringToKey::Private { .. } | StringToKey::Other { .. }) => Ok(false),
        _ => Ok(true),
    }
}

/// The key as AWS-LC takes it.
fn rsa_pair(secret: &Secret) -> Result<Option<RsaKeyPair>, KeyError> {
    let PublicParams::RSA(public) = secret.details().public_params() else { return Ok(None) };
    let SecretParams::Plain(PlainSecretParams::RSA(key)) = secret.params() else {
        return Err(KeyError::Inconsistent("its secret is of another algorithm".to_owned()));
    };
    let number = |bytes: Vec<u8>| rsa::BigUint::from_bytes_be(&zeroize::Zeroizing::new(bytes));
    use rsa::traits::PublicKeyParts as _;
    let (d, p, q, _) = key.to_bytes();
    let (n, e) = (public.key.n().clone(), public.key.e().clone());
    let pair = rsa::RsaPrivateKey::from_components(n, e, number(d), vec![number(p), number(q)])
        .map_err(|error| KeyError::Inconsistent(error.to_string()))?;
    let der = pair.to_pkcs1_der().map_err(|error| KeyError::Malformed(error.to_string()))?;
    let pair = RsaKeyPair::from_der(der.as_bytes())
        .map_err(|error| KeyError::Unsupported(format!("this RSA key is refused: {error}")))?;
    Ok(Some(pair))
}

impl Secret {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key.as_ref(),
            Self::Sub(key) => key.as_ref(),
        }
    }

    fn params(&self) -> &SecretParams {
        match self {
            Self::Primary(key) => key.secret_params(),
            Self::Sub(key) => key.secret_params(),
        }
    }

    fn open(&mut self, password: &PgpPassword) -> pgp::errors::Result<()> {
        match self {
            Self::Primary(key) => key.remove_password(password),
            Self::Sub(key) => key.remove_password(password),
        }
    }
}

impl Pair {
    fn details(&self) -> &dyn KeyDetails {
        self.secret.details()
    }

    /// A signature over a binary document, with its maker's fingerprint and
    /// the time in the signed part.
    fn sign(&self, content: &mut dyn Read, created: Timestamp) -> Result<Signature, KeyError> {
        let seconds = u32::try_from(created.as_second())
            .map_err(|_| KeyError::Failed("the time cannot be written".to_owned()))?;
        let mut config =
            SignatureConfig::v4(SignatureType::Binary, self.algorithm(), self.hash_alg());
        let part = |data| Subpacket::regular(data).map_err(failed);
        config.hashed_subpackets = vec![
            part(SubpacketData::IssuerFingerprint(self.fingerprint()))?,
            part(SubpacketData::SignatureCreationTime(pgp::types::Timestamp::from_secs(seconds)))?,
        ];
        config.unhashed_subpackets = vec![part(SubpacketData::IssuerKeyId(self.legacy_key_id()))?];
        config.sign(self, &PgpPassword::empty(), content).map_err(failed)
    }
}

impl KeyDetails for Pair {
    fn version(&self) -> KeyVersion {
        self.details().version()
    }
    fn legacy_key_id(&self) -> KeyId {
        self.details().legacy_key_id()
    }
    fn fingerprint(&self) -> Fingerprint {
        self.details().fingerprint()
    }
    fn algorithm(&self) -> PublicKeyAlgorithm {
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

impl SigningKey for Pair {
    fn sign(
        &self,
        password: &PgpPassword,
        hash: HashAlgorithm,
        data: &[u8],
    ) -> pgp::errors::Result<SignatureBytes> {
        let Some(pair) = &self.rsa else {
            return match &self.secret {
                Secret::Primary(key) => key.sign(password, hash, data),
                Secret::Sub(key) => SigningKey::sign(key.as_ref(), password, hash, data),
            };
        };
        let unspecified = |_| pgp::errors::Error::from("AWS-LC did not sign".to_owned());
        let digest = aws_lc_rs::digest::Digest::import_less_safe(data, &aws_lc_rs::digest::SHA256)
            .map_err(unspecified)?;
        let mut bytes = vec![0; pair.public_modulus_len()];
        pair.sign_digest(&signature::RSA_PKCS1_SHA256, &digest, &mut bytes).map_err(unspecified)?;
        Ok(SignatureBytes::Mpis(vec![Mpi::from_slice(&bytes)]))
    }

    fn hash_alg(&self) -> HashAlgorithm {
        match &self.secret {
            _ if self.rsa.is_some() => HashAlgorithm::Sha256,
            Secret::Primary(key) => key.hash_alg(),
            Secret::Sub(key) => key.hash_alg(),
        }
    }
}

fn no_key(error: super::OpenPgpError) -> KeyError {
    KeyError::Malformed(error.to_string())
}

fn failed(error: pgp::errors::Error) -> KeyError {
    KeyError::Failed(error.to_string())
}

fn unfit(why: super::PgpFailure) -> KeyError {
    KeyError::Failed(format!("the new signature does not count: {why:?}"))
}
