//! Release artifacts that are no images: a file, or its digest, and a
//! Sigstore bundle about it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Error, keys, read_file};
use crate::crypto::{KeyAlgorithm, MessageHasher, MessageHashes, PublicKey, Signer};
use crate::envelope::sigstore;
use crate::evidence::Reason;
use crate::image::{Digest, FileHasher};
use crate::limits::Limits;
use crate::trust::{PUBLIC_ROOT, SigstoreRoot};
use crate::verify::blob as by_key;
use crate::verify::sigstore::{Artifact, Maker, proof};

pub use crate::verify::sigstore::{Proof, ProvenSigner};

/// Bytes of one read.
const CHUNK: usize = 256 << 10;

/// What a bundle must be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// A file.
    File(PathBuf),
    /// Whatever has this SHA-256.
    Digest(Digest),
}

/// By whom it must be.
#[derive(Debug, Clone)]
pub enum Expected {
    /// The holder of a key.
    Key(Box<PublicKey>),
    /// Who has a certificate in this name, which this issuer vouched for.
    Identity {
        /// An e-mail address, the address of a workload, or another name, all
        /// of it.
        identity: String,
        /// The issuer of the token, all of it.
        issuer: String,
    },
}

/// A bundle that holds, with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What holds.
    pub proof: Proof,
    /// Whether a log entry was verified.
    pub logged: bool,
}

/// Why the answer is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The bundle proves nothing.
    Unproven(Reason),
    /// It proves that somebody else signed.
    Other {
        /// Everyone whom the certificate names.
        names: Vec<String>,
        /// Who vouched for them.
        issuer: Option<String>,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven(Reason::WrongSubject(what)) => {
                write!(f, "the bundle is about something else: {what}")
            }
            Self::Unproven(Reason::UnknownKey(_)) => f.write_str("another key has made it"),
            Self::Unproven(reason) => write!(f, "{reason}"),
            Self::Other { names, issuer } => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                let issuer = issuer.as_deref().unwrap_or("nobody");
                write!(f, "it is signed by {}, for whom `{issuer}` vouched", names.join(", "))
            }
        }
    }
}

impl Blob {
    /// A path that exists is a file; `sha256:HEX` otherwise is a digest.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is neither.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if Path::new(text).exists() {
            return Ok(Self::File(text.into()));
        }
        match text.parse::<Digest>() {
            Ok(digest) if text.starts_with("sha256:") => Ok(Self::Digest(digest)),
            _ => Err(Error::Usage(format!("`{text}` is no file, and no sha256:HEX of one"))),
        }
    }
}

/// The root in a file, or that of Sigstore's public deployment.
///
/// # Errors
/// [`Error::Usage`] where it cannot be used, [`Error::File`] where it cannot
/// be read.
pub fn trusted_root(path: Option<&Path>, limits: &Limits) -> Result<SigstoreRoot, Error> {
    let bytes = match path {
        Some(path) => read_file(path, limits.trusted_root_bytes)?,
        None => PUBLIC_ROOT.to_vec(),
    };
    let named = |error| match path {
        Some(path) => Error::Usage(format!("`{}`: {error}", path.display())),
        None => Error::Usage(format!("{error}")),
    };
    SigstoreRoot::parse(&bytes, limits).map_err(named)
}

/// Verifies a bundle about a file. With `root` it holds in full: a log entry,
/// with a certificate its chain and a trusted time. Without one, which goes
/// for a key alone, the signature is all that is looked at.
///
/// # Errors
/// [`Error`] where something cannot be read; that the bundle does not hold is
/// an answer.
pub fn verify_blob(
    blob: &Blob,
    bundle: &[u8],
    expected: &Expected,
    root: Option<&SigstoreRoot>,
    limits: &Limits,
) -> Result<Result<Verified, Denial>, Error> {
    match (expected, root) {
        (Expected::Key(key), None) => {
            let (digest, hashes, bytes) = match blob {
                Blob::Digest(digest) => (digest.clone(), stated(digest), None),
                Blob::File(path) => read(path, key.algorithm(), limits)?,
            };
            let known =
                by_key::Artifact { digest: &digest, hashes: &hashes, bytes: bytes.as_deref() };
            answer(by_key::by_key(bundle, known, key, limits), digest, false)
        }
        (Expected::Key(key), Some(root)) => in_full(blob, bundle, Maker::Key(key), root, limits),
        (Expected::Identity { .. }, None) => {
            Err(Error::Usage("a certificate counts for nothing without a trusted root".to_owned()))
        }
        (Expected::Identity { identity, issuer }, Some(root)) => {
            let verified = in_full(blob, bundle, Maker::AnyCertificate, root, limits)?;
            Ok(verified.and_then(|verified| is_by(verified, identity, issuer)))
        }
    }
}

/// Signs a file; gives its digest and the bundle. The file is hashed as it
/// streams; with Ed25519, which signs the file itself, it must fit into
/// memory.
///
/// # Errors
/// [`Error::File`] where it cannot be read, [`Error::Usage`] where it does
/// not fit, [`Error::Broken`] where it changes meanwhile.
pub fn sign_blob(
    path: &Path,
    key: &dyn Signer,
    limits: &Limits,
) -> Result<(Digest, Vec<u8>), Error> {
    let algorithm = key.public_key().algorithm();
    let (digest, hashes, _) = read(path, algorithm, limits)?;
    let failed = |error| Error::from(keys::Error::from(error));
    let signature = match key.sign_hashes(&hashes).map_err(failed)? {
        Some(signature) => signature,
        None => {
            // such a key signs the file itself
            let bytes = read_file(path, limits.blob_bytes)?;
            if Digest::sha256(&bytes) != digest {
                let what = "the file changed meanwhile; nothing was signed".to_owned();
                return Err(Error::Broken(what));
            }
            key.sign(&bytes).map_err(failed)?
        }
    };
    let bundle = sigstore::file_bundle(&digest, &signature, &key.public_key().hint());
    Ok((digest, bundle))
}

/// What a proof, or the reason why there is none, is to who asked.
fn answer(
    proof: Result<Proof, Reason>,
    digest: Digest,
    logged: bool,
) -> Result<Result<Verified, Denial>, Error> {
    match proof {
        Ok(proof) => Ok(Ok(Verified { digest, proof, logged })),
        // more of the file would have to be there
        Err(Reason::Unavailable(what)) => Err(Error::Usage(what)),
        Err(reason) => Ok(Err(Denial::Unproven(reason))),
    }
}

fn is_by(verified: Verified, identity: &str, issuer: &str) -> Result<Verified, Denial> {
    let ProvenSigner::Certificate(certificate) = &verified.proof.signer else {
        return Err(Denial::Other { names: Vec::new(), issuer: None });
    };
    let named = certificate.names.iter().any(|name| name.as_str() == identity);
    if named && certificate.issuer.as_deref() == Some(issuer) {
        return Ok(verified);
    }
    let names = certificate.names.iter().map(|name| name.as_str().to_owned()).collect();
    Err(Denial::Other { names, issuer: certificate.issuer.clone() })
}

fn in_full(
    blob: &Blob,
    bundle: &[u8],
    maker: Maker<'_>,
    root: &SigstoreRoot,
    limits: &Limits,
) -> Result<Result<Verified, Denial>, Error> {
    let path = match blob {
        Blob::Digest(digest) => {
            let proof = proof(bundle, Artifact::Digest(digest), maker, root, limits);
            return answer(proof, digest.clone(), true);
        }
        Blob::File(path) => path,
    };
    let file = File::open(path).map_err(|source| failed(path, source))?;
    let mut content = Hashing { file, hasher: FileHasher::default(), failed: None };
    let mut found = proof(bundle, Artifact::Content(&mut content), maker, root, limits);
    // a file that cannot be read is no answer about its signature
    if let Some(source) = content.failed.take() {
        return Err(failed(path, source));
    }
    let mut digest = content.hasher.finish().digest().clone();
    if matches!(found, Err(Reason::Unavailable(_)))
        // Ed25519, which signs the file itself
        && let (whole, _, Some(bytes)) = read(path, KeyAlgorithm::Ed25519, limits)?
    {
        digest = whole;
        found = proof(bundle, Artifact::Bytes(&bytes), maker, root, limits);
    }
    answer(found, digest, true)
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { what: format!("read `{}`", path.display()), source }
}

/// What is known of a file by its digest.
fn stated(digest: &Digest) -> MessageHashes {
    MessageHashes::of_sha256(hex::decode(digest.hex()).unwrap_or_default())
}

/// The digest of a file and the hashes that signatures by such keys are over;
/// for Ed25519, which signs the file itself, all of it where that is not too
/// much.
fn read(
    path: &Path,
    algorithm: KeyAlgorithm,
    limits: &Limits,
) -> Result<(Digest, MessageHashes, Option<Vec<u8>>), Error> {
    let mut file = File::open(path).map_err(|source| failed(path, source))?;
    let (mut whole, mut hasher) = (FileHasher::default(), MessageHasher::new(algorithm));
    let mut kept = (algorithm == KeyAlgorithm::Ed25519).then(Vec::new);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((whole.finish().digest().clone(), hasher.finish(), kept)),
            Ok(n) => {
                let bytes = chunk.get(..n).unwrap_or_default();
                whole.update(bytes);
                hasher.update(bytes);
                kept = kept.filter(|kept| (kept.len() + n) as u64 <= limits.blob_bytes);
                kept.iter_mut().for_each(|kept| kept.extend_from_slice(bytes));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(failed(path, source)),
        }
    }
}

/// Hashes what is read, and keeps an error that its reader may hide.
struct Hashing {
    file: File,
    hasher: FileHasher,
    failed: Option<io::Error>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(n) => {
                self.hasher.update(buffer.get(..n).unwrap_or_default());
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
