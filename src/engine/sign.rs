//! Signing: recompute the tree, sign its root or every manifest in it, attach.

mod whole;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::attach::{push_beside, push_bundle, push_cosign};
use super::check::{Soundness, soundness};
use super::{Error, Image, Progress, discover, fetch, keys};
use crate::crypto::Signer;
use crate::crypto::openpgp::SecretKey;
use crate::envelope::{cosign, dsse, sigstore, simple};
use crate::evidence::{Facts, Format, Statement};
use crate::image::{Depth, Descriptor, Digest, NodeKind, Reference, Shape};
use crate::limits::Limits;
use crate::store::{Loose, LooseKind};
use crate::trust::Trust;

/// The key that signs. Its kind says which formats it can write.
#[derive(Clone, Copy)]
pub enum SigningKey<'a> {
    /// A private key: Sigstore bundles and cosign's older format.
    Key(&'a dyn Signer),
    /// An OpenPGP key: simple signing and ACIs.
    OpenPgp(&'a SecretKey),
}

impl SigningKey<'_> {
    /// Trust in this key alone.
    fn trust(self) -> Trust {
        match self {
            Self::Key(signer) => Trust::new([signer.public_key().clone()]),
            Self::OpenPgp(key) => Trust::default().with_keyring(key.keyring()),
        }
    }
}

/// What to sign, and what to do with it.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// Annotations to sign.
    pub annotations: BTreeMap<String, String>,
    /// Format of the signature.
    pub format: Format,
    /// Sign every manifest and index below the root too.
    pub recursive: bool,
    /// Attach the signature beside the image.
    pub attach: bool,
    /// Make the signature; without, only its payload is shown.
    pub sign: bool,
    /// When the signature's manifest says that it was made; not signed.
    pub created: Timestamp,
}

/// What became of one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was made and attached.
    Attached {
        /// What was signed.
        subject: Digest,
        /// Where it is: a manifest's digest, or a tag.
        item: String,
    },
    /// The same key signed the same claims before; nothing was added.
    AlreadyThere {
        /// What is signed.
        subject: Digest,
        /// Where it is.
        item: String,
    },
    /// It was made and not attached.
    Signed {
        /// What was signed.
        subject: Digest,
        /// The bundle.
        bundle: Vec<u8>,
    },
    /// It would be made.
    WouldSign {
        /// What would be signed.
        subject: Digest,
        /// The payload, as text.
        payload: String,
    },
}

/// Signs an image.
///
/// # Errors
/// [`Error::Broken`] where a digest or size in the image is wrong,
/// [`Error::Incomplete`] where a part of it could not be read: nothing is
/// signed that was not hashed. [`Error::Store`] where attaching fails.
pub async fn sign(
    image: &Image,
    signer: SigningKey<'_>,
    options: &SignOptions,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>, Error> {
    can_write(signer, options)?;
    let tree = fetch::read_tree(image, Depth::Layers, limits, progress).await?;
    match soundness(tree.shape()) {
        Soundness::Sound => {}
        Soundness::Broken(why) => {
            return Err(Error::Broken(format!("{why}; nothing was signed")));
        }
        Soundness::Incomplete(why) => {
            return Err(Error::Incomplete(format!("{why}; nothing is signed that was not hashed")));
        }
    }
    let job = Job { image, signer, options, limits, name: image.signed_name() };
    let mut outcomes = Vec::new();
    for subject in subjects(tree.shape(), options.recursive)? {
        outcomes.push(job.one(&subject).await?);
    }
    Ok(outcomes)
}

/// The root; with `recursive` every manifest and index, each once, children
/// first, so that a signed index never has an unsigned child.
fn subjects(shape: &Shape, recursive: bool) -> Result<Vec<Descriptor>, Error> {
    let mut found: Vec<Descriptor> = Vec::new();
    for node in &shape.nodes {
        let signable = matches!(node.kind, NodeKind::Index | NodeKind::Manifest);
        let wanted = node.parent.is_none() || (recursive && signable);
        if wanted && !found.iter().any(|d| d.digest.to_string() == node.digest) {
            let digest =
                node.digest.parse().map_err(|e| Error::Broken(format!("{}: {e}", node.digest)))?;
            found.push(Descriptor::new(node.media_type.clone(), digest, node.size));
        }
    }
    found.reverse();
    Ok(found)
}

struct Job<'a> {
    image: &'a Image,
    signer: SigningKey<'a>,
    options: &'a SignOptions,
    limits: &'a Limits,
    name: Option<Reference>,
}

impl Job<'_> {
    async fn one(&self, subject: &Descriptor) -> Result<Outcome, Error> {
        let digest = subject.digest.clone();
        let payload = self.payload(subject)?;
        if !self.options.sign {
            let payload = String::from_utf8_lossy(&payload).into_owned();
            return Ok(Outcome::WouldSign { subject: digest, payload });
        }
        // who signed an ACI is found while it is hashed for that
        if self.options.attach
            && self.options.format != Format::Appc
            && let Some(item) = self.existing(subject).await?
        {
            return Ok(Outcome::AlreadyThere { subject: digest, item });
        }
        match (self.options.format, self.signer) {
            (Format::Sigstore, SigningKey::Key(key)) => self.sigstore(key, subject, &payload).await,
            (Format::Cosign, SigningKey::Key(key)) => self.cosign(key, subject, payload).await,
            (Format::Simple, SigningKey::OpenPgp(key)) => self.simple(key, subject, &payload).await,
            (Format::Appc, SigningKey::OpenPgp(key)) => self.appc(key, subject).await,
            (other, _) => Err(unwritten(other)),
        }
    }

    fn payload(&self, subject: &Descriptor) -> Result<Vec<u8>, Error> {
        let (name, annotations) = (self.name.as_ref(), &self.options.annotations);
        match self.options.format {
            Format::Sigstore => Ok(sigstore::statement(&subject.digest, name, annotations)),
            Format::Cosign => Ok(cosign::payload(&subject.digest, name, annotations)),
            Format::Simple => {
                let name = name.filter(|name| name.tag().is_some()).ok_or_else(|| {
                    Error::Usage(
                        "simple signing signs a name with its tag; name the image so, with \
                         `--as NAME:TAG` where it is local"
                            .to_owned(),
                    )
                })?;
                Ok(simple::payload(&subject.digest, name, self.options.created))
            }
            // the payload is the file itself
            Format::Appc => Ok(format!("{} bytes, {}", subject.size, subject.digest).into_bytes()),
            other => Err(unwritten(other)),
        }
    }

    async fn sigstore(
        &self,
        key: &dyn Signer,
        subject: &Descriptor,
        payload: &[u8],
    ) -> Result<Outcome, Error> {
        let signature = key.sign(&dsse::pae(dsse::IN_TOTO, payload)).map_err(keys::Error::from)?;
        let bundle = sigstore::bundle(payload, &signature, &key.public_key().hint());
        let digest = subject.digest.clone();
        if !self.options.attach {
            return Ok(Outcome::Signed { subject: digest, bundle });
        }
        let (store, created) = (self.image.store(), self.options.created);
        let item = match store.keeps_beside() {
            true => push_beside(store, &digest, bundle).await?,
            false => {
                push_bundle(store, subject, &bundle, sigstore::SIGN_PREDICATE, created).await?
            }
        };
        Ok(Outcome::Attached { subject: digest, item })
    }

    async fn simple(
        &self,
        key: &SecretKey,
        subject: &Descriptor,
        payload: &[u8],
    ) -> Result<Outcome, Error> {
        let bytes = key.sign_message(payload, self.options.created).map_err(keys::Error::from)?;
        let loose = Loose { item: String::new(), kind: LooseKind::Simple, bytes };
        let item = self.image.store().push_beside(&subject.digest, &loose).await?;
        Ok(Outcome::Attached { subject: subject.digest.clone(), item })
    }

    async fn cosign(
        &self,
        key: &dyn Signer,
        subject: &Descriptor,
        payload: Vec<u8>,
    ) -> Result<Outcome, Error> {
        let signature = key.sign(&payload).map_err(keys::Error::from)?;
        let layer = cosign::layer(&payload, &signature);
        let item =
            push_cosign(self.image.store(), &subject.digest, &layer, &payload, self.limits).await?;
        Ok(Outcome::Attached { subject: subject.digest.clone(), item })
    }

    /// Where a signature by the same key with the same claims is already.
    async fn existing(&self, subject: &Descriptor) -> Result<Option<String>, Error> {
        let trust = self.signer.trust();
        let mut listed = discover::list(self.image.store(), &subject.digest, self.limits).await?;
        while let Some(batch) = listed.next_batch(&trust).await? {
            for evidence in &batch.evidence {
                if self.is_same(evidence.facts()) {
                    return Ok(Some(evidence.facts().item.clone()));
                }
            }
        }
        Ok(None)
    }

    fn is_same(&self, facts: &Facts) -> bool {
        // the older format has no room for a missing name
        let name = self.name.as_ref().map(ToString::to_string);
        facts.format == self.options.format
            && facts.claims.statement == Statement::Signature
            && facts.claims.annotations == self.options.annotations
            && facts.claims.name.clone().filter(|n| !n.is_empty()) == name
    }
}

/// Whether the key is of the kind that the format asks for, and whether the
/// format has room for what is to be signed.
fn can_write(signer: SigningKey<'_>, options: &SignOptions) -> Result<(), Error> {
    let format = options.format;
    let openpgp = matches!(signer, SigningKey::OpenPgp(_));
    let wants_openpgp = match format {
        Format::Simple | Format::Appc => true,
        Format::Sigstore | Format::Cosign => false,
        Format::NotaryJws | Format::NotaryCose | Format::Libtrust => return Err(unwritten(format)),
    };
    if openpgp != wants_openpgp {
        let (word, kind) = (format.as_str(), if wants_openpgp { "an OpenPGP" } else { "a PEM" });
        return Err(Error::Usage(format!("format `{word}` is signed with {kind} key; name one")));
    }
    if wants_openpgp && !options.annotations.is_empty() {
        let word = format.as_str();
        return Err(Error::Usage(format!(
            "format `{word}` signs no annotations; leave `-a` out, or use `--format sigstore`"
        )));
    }
    Ok(())
}

fn unwritten(format: Format) -> Error {
    Error::Usage(format!(
        "format `{}` is not written; use sigstore, cosign, simple or appc",
        format.as_str()
    ))
}
