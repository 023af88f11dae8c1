//! Sigstore bundles in full: certificate, log, timestamps, signature (client
//! specification, section 4).
//!
//! The checks of that specification are those of the `sigstore-verify`
//! crate. Around it: bounds before anything is parsed, the certificate's
//! claims, and one kind of reason for all that can be wrong.

use std::io::Read;

use jiff::Timestamp;
use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};

use crate::crypto::certificate::Certificate;
use crate::crypto::{KeyId, PublicKey};
use crate::envelope::{clip, sigstore};
use crate::evidence::Reason;
use crate::image::{Algorithm, Digest};
use crate::limits::Limits;
use crate::trust::SigstoreRoot;

/// What a bundle must be about.
pub enum Artifact<'a> {
    /// Known by its SHA-256.
    Digest(&'a Digest),
    /// All of it, read once.
    Content(&'a mut dyn Read),
    /// All of it, in memory.
    Bytes(&'a [u8]),
}

/// Who must have made it.
#[derive(Debug, Clone, Copy)]
pub enum Maker<'a> {
    /// The holder of a key.
    Key(&'a PublicKey),
    /// Whoever has a certificate of the root; the caller looks at whose.
    AnyCertificate,
}

/// A bundle that holds in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// By whom.
    pub signer: ProvenSigner,
    /// Trusted times: none is earlier than the signature.
    pub times: Vec<Timestamp>,
}

/// The signer of a [`Proof`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvenSigner {
    /// The key that was asked for.
    Key(KeyId),
    /// Who has this certificate.
    Certificate(Box<Certificate>),
}

/// Verifies a bundle about `artifact` in full: with a certificate its chain,
/// its log of certificates where the root has one, a log entry with its
/// inclusion, and a trusted time; with a key a log entry.
///
/// # Errors
/// The [`Reason`] why it proves nothing; [`Reason::Unavailable`] where more
/// of the artifact would have to be there.
pub fn proof(
    bundle: &[u8],
    artifact: Artifact<'_>,
    maker: Maker<'_>,
    root: &SigstoreRoot,
    limits: &Limits,
) -> Result<Proof, Reason> {
    sigstore::bounded(bundle, limits)?;
    let text = std::str::from_utf8(bundle)
        .map_err(|_| Reason::Malformed("the bundle is no text".to_owned()))?;
    let bundle = Bundle::from_json(text).map_err(|e| Reason::Malformed(clip(&e.to_string())))?;
    match maker {
        Maker::Key(key) => {
            let der = DerPublicKey::from_bytes(key.to_spki_der());
            let result = run(root, artifact, &bundle, &PublicKeyVerificationPolicy::new(der))?;
            Ok(Proof { signer: ProvenSigner::Key(key.id()), times: times(&result) })
        }
        Maker::AnyCertificate => {
            let mut policy = VerificationPolicy::any_identity();
            // such a root knows no log of certificates that one could be in
            if !root.has_certificate_logs() {
                policy = policy.skip_sct();
            }
            let result = run(root, artifact, &bundle, &policy)?;
            let missing = || Reason::Malformed("the bundle has no certificate".to_owned());
            let leaf = bundle.signing_certificate().ok_or_else(missing)?;
            let certificate = Certificate::parse(leaf.as_bytes()).map_err(Reason::Unproven)?;
            let signer = ProvenSigner::Certificate(Box::new(certificate));
            Ok(Proof { signer, times: times(&result) })
        }
    }
}

fn run(
    root: &SigstoreRoot,
    artifact: Artifact<'_>,
    bundle: &Bundle,
    policy: &impl sigstore_verify::Policy,
) -> Result<VerificationResult, Reason> {
    let verifier = root.verifier();
    let result = match artifact {
        Artifact::Content(reader) => verifier.verify_reader(reader, bundle, policy),
        Artifact::Bytes(bytes) => verifier.verify(bytes, bundle, policy),
        Artifact::Digest(digest) => {
            if digest.algorithm() != Algorithm::Sha256 {
                let what = "an artifact is known by its SHA-256 here".to_owned();
                return Err(Reason::Unsupported(what));
            }
            let hash = Sha256Hash::from_hex(digest.hex())
                .map_err(|e| Reason::Malformed(clip(&e.to_string())))?;
            verifier.verify(hash, bundle, policy)
        }
    };
    result.map_err(|error| reason(&error))
}

fn times(result: &VerificationResult) -> Vec<Timestamp> {
    let mut times = result.verified_timestamps().to_vec();
    times.sort_unstable();
    times.dedup();
    times
}

/// Such a signature cannot be judged by a digest.
pub(super) const NEEDS_FILE: &str = "the signature is over the file itself, or over another hash \
                                     than SHA-256: give the file and not its digest; for Ed25519, \
                                     one that fits into memory (`blob_bytes`)";

/// The crate's errors, by what they mean for a verdict.
fn reason(error: &Error) -> Reason {
    let text = clip(&error.to_string());
    match error {
        Error::SignatureInvalid(_) => Reason::BadSignature,
        Error::ArtifactMismatch(_) => Reason::WrongSubject(text),
        Error::Certificate(CertificateError::Malformed(_))
        | Error::TransparencyLog(TransparencyLogError::MalformedEntry(_))
        | Error::InvalidBundle(_)
        | Error::Types(_)
        | Error::Bundle(_) => Reason::Malformed(text),
        Error::UnsupportedBundle(_) => Reason::Unsupported(text),
        Error::UnsupportedArtifact(_) => Reason::Unavailable(NEEDS_FILE.to_owned()),
        Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => {
            Reason::Unproven(format!("{text}; a certificate needs a log entry or a timestamp"))
        }
        // everything else is a proof that does not hold, or a crate's error of a kind to come
        _ => Reason::Unproven(text),
    }
}
