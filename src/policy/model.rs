//! The policy document as typed data: what `parse` makes and `decide` reads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::glob::Glob;
use super::schema::Schema;
use super::scope::Scope;
use crate::evidence::{Format, KeyId, Signer};
use crate::image::{Algorithm, Depth, Digest};

/// A document that was parsed and checked by itself; its keys are not read
/// yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Digest of the bytes that were parsed.
    pub digest: Digest,
    /// Name, shown in verdicts.
    pub name: String,
    /// Edition; grows with every one.
    pub serial: Option<u64>,
    /// Not valid before (less five minutes).
    pub issued: Option<Timestamp>,
    /// Everything is denied from here on.
    pub expires: Option<Timestamp>,
    /// What the policy is for.
    pub description: Option<String>,
    /// Prefix of a mirror to the prefix that its images are signed under.
    pub mirrors: BTreeMap<String, String>,
    /// Principals by name.
    pub signers: BTreeMap<String, SignerDecl>,
    /// Schemas by name; those that checks name are in the checks as well.
    pub schemas: BTreeMap<String, Schema>,
    /// Names of the schemas that something refers to.
    pub schemas_used: BTreeSet<String>,
    /// What is no longer trusted.
    pub revoked: Vec<Revocation>,
    /// Rules that must hold as well, wherever they match.
    pub baseline: Vec<Rule>,
    /// What is permitted; the most specific scope decides.
    pub rules: Vec<Rule>,
    /// Checks waived for a while.
    pub exceptions: Vec<Exception>,
}

/// A principal as the document declares it.
#[derive(Debug, Clone, PartialEq)]
pub enum SignerDecl {
    /// Its public keys, old and new; together they count once.
    Keys(Vec<KeyDecl>),
    /// Its OpenPGP keys; together they count once.
    Pgp(PgpDecl),
}

impl SignerDecl {
    /// Its public keys; none for a signer of another kind.
    pub fn keys(&self) -> &[KeyDecl] {
        match self {
            Self::Keys(keys) => keys,
            Self::Pgp(_) => &[],
        }
    }

    /// Everything that it reads keys from, with its place below the signer.
    pub fn sources(&self) -> Vec<(String, &Blob)> {
        match self {
            Self::Keys(keys) => {
                let keys = keys.iter().enumerate();
                keys.map(|(i, key)| (format!("keys/{i}"), &key.source)).collect()
            }
            Self::Pgp(pgp) => vec![("pgp/keyring".to_owned(), &pgp.keyring)],
        }
    }
}

/// OpenPGP keys of a signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpDecl {
    /// Exported keys, armoured or binary.
    pub keyring: Blob,
    /// The one primary key of the keyring that counts, by its fingerprint in
    /// lower-case hex; `None` is every one.
    pub fingerprint: Option<String>,
}

/// One public key of a signer.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDecl {
    /// Where the key is.
    pub source: Blob,
    /// First instant at which a signature no longer counts.
    pub until: Option<Timestamp>,
}

/// Material in the document or beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// Text in the document itself: PEM, or an armoured OpenPGP key.
    Pem(String),
    /// A file, relative to the policy's directory or absolute.
    File {
        /// The path as written.
        path: String,
        /// What its bytes must hash to.
        sha256: Option<Digest>,
    },
}

/// Something that is no longer trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Revocation {
    /// What.
    pub what: Revoked,
    /// With a trusted time before it, a signature survives.
    pub since: Option<Timestamp>,
    /// Why; shown in the denial.
    pub reason: String,
}

/// What a revocation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// A manifest, index, config or layer.
    Digest(Digest),
    /// A public key, by the SHA-256 of its SPKI.
    Key(KeyId),
    /// A certificate, by the SHA-256 of its DER.
    Certificate(Digest),
    /// A signer with all its keys.
    Signer(String),
}

/// One rule of `rules` or `baseline`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name, unique within the policy.
    pub id: String,
    /// The repositories it is about; never empty.
    pub scope: Vec<Scope>,
    /// What it says.
    pub action: Action,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// All of the checks must hold.
    Require {
        /// Never empty.
        checks: Vec<Check>,
        /// Until then it is reported and does not block.
        audit_until: Option<Timestamp>,
    },
    /// Permit without signatures.
    Accept {
        /// Why.
        reason: String,
    },
    /// Deny whatever is signed.
    Reject {
        /// Why.
        reason: String,
    },
}

impl Action {
    /// Whether it denies whatever is signed.
    pub(super) fn rejects(&self) -> bool {
        match self {
            Self::Reject { .. } => true,
            Self::Require { .. } | Self::Accept { .. } => false,
        }
    }
}

/// One check of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Name, unique within its rule at any nesting.
    pub id: String,
    /// What is checked.
    pub kind: CheckKind,
}

/// What a check asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    /// Signatures by named signers.
    Signed(Signed),
    /// The shape of the image itself; no proof of origin.
    Image(Box<ImageCheck>),
    /// At least one branch holds in full.
    AnyOf(Vec<Vec<Check>>),
}

/// Signatures on the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// Names of signers that may count; 1 to 16, in the document's order.
    pub by: Vec<String>,
    /// How many of them, each with a key of its own.
    pub at_least: usize,
    /// Which nodes must carry it.
    pub on: On,
    /// How the signed name must agree with the requested one.
    pub reference: ReferenceRule,
    /// Envelopes that count; `None` is all.
    pub formats: Option<BTreeSet<Format>>,
    /// Signed annotations that must be present and match.
    pub annotations: BTreeMap<String, Glob>,
}

/// Which nodes of the tree must carry a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    /// The requested digest.
    #[default]
    Root,
    /// Every leaf separately.
    Each,
    /// Each leaf, or one of its ancestors within the requested tree.
    Covering,
}

/// How a signed name must agree with the requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceRule {
    /// Not asked.
    None,
    /// Equal repositories, after `mirrors`.
    Repository,
    /// Also equal tags, and both have one.
    Exact,
    /// Exact for a request with a tag; for one by digest alone, equal
    /// repositories and a signed name that carries a tag.
    ExactOrDigest,
}

/// The shape of the image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageCheck {
    /// How deep the image is recomputed.
    pub depth: Option<Depth>,
    /// Media types allowed for indexes, manifests and opaque children.
    pub manifest_types: Option<BTreeSet<String>>,
    /// Media types allowed for configs.
    pub config_types: Option<BTreeSet<String>>,
    /// Media types allowed for layers.
    pub layer_types: Option<BTreeSet<String>>,
    /// An image without layers satisfies `layer_types`.
    pub allow_empty: bool,
    /// Artifact types allowed.
    pub artifact_types: Option<BTreeSet<String>>,
    /// Annotations of the root that must be present and match.
    pub annotations: BTreeMap<String, Glob>,
    /// Platforms that an index must offer, normalised `os/arch[/variant]`.
    pub platforms_require: Option<BTreeSet<String>>,
    /// Platforms that may occur.
    pub platforms_allow: Option<BTreeSet<String>>,
    /// Digest algorithms allowed.
    pub digest_algorithms: Option<BTreeSet<Algorithm>>,
    /// Deepest nesting of indexes.
    pub max_depth: Option<u64>,
    /// Most manifests and indexes.
    pub max_manifests: Option<u64>,
    /// Most layers in one image.
    pub max_layers: Option<u64>,
    /// Largest layer, in bytes.
    pub max_layer_bytes: Option<u64>,
    /// Largest image, in bytes.
    pub max_image_bytes: Option<u64>,
    /// What every image manifest must be.
    pub manifest: Option<Schema>,
    /// What every image config must be.
    pub config: Option<Schema>,
}

/// Checks waived for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// Name, shown in verdicts.
    pub id: String,
    /// Where it applies.
    pub target: Target,
    /// `(rule id, check id)` of each waived check.
    pub waive: Vec<(String, String)>,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends: it does not exist at this instant any more.
    pub until: Timestamp,
    /// Why it is needed.
    pub reason: String,
    /// Who approved it.
    pub approved_by: String,
    /// The rule may be left without any proof of origin.
    pub accept_unsigned: bool,
}

/// What an exception applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Repositories.
    Scope(Vec<Scope>),
    /// Images, by the requested root's digest.
    Digests(BTreeSet<Digest>),
}

/// Signer names resolved to keys; made by `trust`, so that `policy` needs no
/// cryptography.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resolved {
    /// Per signer, one entry for each [`KeyDecl`], in order; of an OpenPGP
    /// signer the primary keys, at least one.
    pub signers: BTreeMap<String, Vec<KeyId>>,
}

/// A document linked to its keys. Only [`Policy::link`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) document: Document,
    pub(super) signers: BTreeMap<String, Vec<LinkedKey>>,
}

/// A key of a signer with its validity.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedKey {
    /// The canonical key.
    pub id: KeyId,
    /// First instant at which a signature no longer counts.
    pub until: Option<Timestamp>,
}

impl Policy {
    /// The document that was linked.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Whether `signer` of this policy is who made a signature. Kinds never
    /// stand in for each other: an OpenPGP key is vouched for by its primary
    /// key, a bare key by nothing.
    pub fn is_by(&self, name: &str, signer: &Signer) -> bool {
        let holds = |id: &KeyId| self.keys(name).iter().any(|linked| linked.id == *id);
        match (self.document.signers.get(name), signer) {
            (Some(SignerDecl::Keys(_)), Signer::Key { key }) => holds(key),
            (Some(SignerDecl::Pgp(_)), Signer::Pgp { primary, .. }) => holds(primary),
            (Some(SignerDecl::Keys(_)), Signer::Pgp { .. })
            | (Some(SignerDecl::Pgp(_)), Signer::Key { .. })
            | (None, _) => false,
        }
    }

    /// The keys of a signer; empty for a name that the policy does not have.
    pub fn keys(&self, signer: &str) -> &[LinkedKey] {
        self.signers.get(signer).map_or(&[], Vec::as_slice)
    }
}
