//! Manifests and indexes, OCI and Docker, read after one strict
//! scan of the very bytes that were hashed (image-spec v1.1.1, manifest.md
//! and image-index.md; distribution, manifest-v2-2.md).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::json::{JsonError, Scan};
use super::link::{Link, RawLink, check_type};
use super::schema1::Schema1;
use super::{Limits, media_type};

/// Keys of manifests, indexes and descriptors, schema 1's essentials too.
const KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "fsLayers",
    "history",
    "signatures",
    "subject",
    "annotations",
    "digest",
    "size",
    "urls",
    "data",
    "platform",
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
];
const MAPS: &[&str] = &["annotations"];

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
pub enum Document {
    /// Points to manifests.
    Index(Index),
    /// Points to a config and layers.
    Manifest(Manifest),
    /// Docker's schema 1: points to layers, and has its config in itself. The
    /// media type is the one beside it.
    Schema1(Schema1, String),
}

/// An image or artifact manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its media type: its own, else the expected one, else by its fields.
    pub media_type: String,
    /// Artifact type that it states itself.
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Link,
    /// The layers, the base first.
    pub layers: Vec<Link>,
    /// What it refers to; no part of its tree.
    pub subject: Option<Link>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Rules that only ask, and were not followed.
    pub warnings: Vec<String>,
}

/// An image index or manifest list.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Its media type: its own, else the expected one, else by its fields.
    pub media_type: String,
    /// Artifact type that it states.
    pub artifact_type: Option<String>,
    /// The children, in order.
    pub manifests: Vec<Link>,
    /// What it refers to; no part of its tree.
    pub subject: Option<Link>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Rules that only ask, and were not followed.
    pub warnings: Vec<String>,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It can be read in two ways.
    #[error("ambiguous: {0}")]
    Ambiguous(String),
    /// It breaks its format's rules.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It is larger or deeper than the limits.
    #[error("limit exceeded: {0}")]
    Limit(String),
}

impl From<JsonError> for DocumentError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Ambiguous { .. } => Self::Ambiguous(error.to_string()),
            JsonError::Malformed { .. } => Self::Malformed(error.to_string()),
            JsonError::TooDeep { .. } => Self::Limit(error.to_string()),
        }
    }
}

impl Document {
    /// Reads a manifest or index.
    ///
    /// `expected` is the media type in whatever points to it; that type is
    /// part of a signed parent and outranks what the body says (CVE-2021-41190
    /// is what happens otherwise). Without one the body decides.
    ///
    /// Of a signed schema 1 these are the bytes that
    /// [`payload`](super::schema1::payload) gives.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(
        bytes: &[u8],
        expected: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, DocumentError> {
        if bytes.len() as u64 > limits.manifest_bytes {
            let max = limits.manifest_bytes;
            return Err(DocumentError::Limit(format!("a manifest has at most {max} bytes")));
        }
        let scan =
            Scan { known: KEYS, maps: MAPS, max_depth: limits.json_depth, integers_only: false };
        let head: Head = scan.decode(bytes)?;
        let kind = head.media_type(expected)?;
        let mut warnings = Vec::new();
        if head.media_type.is_none() && !media_type::is_schema_1(&kind) {
            warnings.push("`mediaType` is absent; it should be present".to_owned());
        }
        if media_type::is_schema_1(&kind) {
            head.refuse_fields_of_schema_2()?;
            return Schema1::parse(bytes, limits).map(|read| Self::Schema1(read, kind));
        }
        if media_type::is_index(&kind) {
            head.refuse_fields_of_manifest()?;
            Index::from_body(decode(bytes)?, kind, warnings).map(Self::Index)
        } else {
            head.refuse_fields_of_index()?;
            Manifest::from_body(decode(bytes)?, kind, warnings).map(Self::Manifest)
        }
    }

    /// The media type.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => &index.media_type,
            Self::Manifest(manifest) => &manifest.media_type,
            Self::Schema1(_, media_type) => media_type,
        }
    }

    /// What it refers to.
    pub fn subject(&self) -> Option<&Link> {
        match self {
            Self::Index(index) => index.subject.as_ref(),
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Schema1(..) => None,
        }
    }
}

impl Manifest {
    /// Its own artifact type, else its config's media type (descriptor.md,
    /// `artifactType`).
    pub fn artifact_type(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.config.media_type)
    }
}

/// What decides the kind of a document. Null counts as absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "stated")]
    manifests: Option<Option<IgnoredAny>>,
    fs_layers: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
}

impl Head {
    /// The media type, where everything that speaks of it agrees.
    fn media_type(&self, expected: Option<&str>) -> Result<String, DocumentError> {
        let malformed = |why: String| Err(DocumentError::Malformed(why));
        let own = self.media_type.as_deref();
        if let Some(kind) = expected.or(own).filter(|kind| media_type::is_schema_1(kind)) {
            return self.schema_1(kind);
        }
        if self.schema_version == Some(1) && expected.or(own).is_none() {
            return self.schema_1(media_type::DOCKER_SCHEMA_1);
        }
        if let (Some(own), Some(expected)) = (own, expected)
            && own != expected
        {
            let own: String = own.chars().take(80).collect();
            return Err(DocumentError::Ambiguous(format!(
                "it says `mediaType` `{own}` and what points to it says `{expected}`; make them agree"
            )));
        }
        let kind = match expected.or(own) {
            Some(kind) => kind,
            None if self.manifests.is_some() => media_type::OCI_INDEX,
            None if self.config.is_some() || self.layers.is_some() => media_type::OCI_MANIFEST,
            None => return malformed("neither a manifest nor an index; name one".into()),
        };
        if !media_type::is_index(kind) && !media_type::is_manifest(kind) {
            let kind: String = kind.chars().take(80).collect();
            return malformed(format!("media type `{kind}` is not one that ocisign reads"));
        }
        if own.is_none() && matches!(kind, media_type::DOCKER_MANIFEST | media_type::DOCKER_LIST) {
            return malformed("`mediaType` is absent; schema 2 requires it".into());
        }
        match self.schema_version {
            Some(2) => Ok(kind.to_owned()),
            Some(other) => malformed(format!("`schemaVersion` is {other}; it must be 2")),
            None => malformed("`schemaVersion` is absent; it must be 2".into()),
        }
    }

    /// Signed and unsigned name one kind of document.
    fn schema_1(&self, kind: &str) -> Result<String, DocumentError> {
        if self.media_type.as_deref().is_some_and(|own| !media_type::is_schema_1(own)) {
            return Err(DocumentError::Ambiguous(
                "`mediaType` is not of schema 1, and what points to it is; make them agree".into(),
            ));
        }
        match self.schema_version {
            Some(1) => Ok(kind.to_owned()),
            _ => Err(DocumentError::Malformed("`schemaVersion` must be 1 in schema 1".to_owned())),
        }
    }

    fn refuse_fields_of_schema_2(&self) -> Result<(), DocumentError> {
        let manifests = self.manifests.unwrap_or_default();
        let foreign =
            [("config", &self.config), ("layers", &self.layers), ("manifests", &manifests)];
        refuse("a manifest of schema 1", &foreign)
    }

    fn refuse_fields_of_manifest(&self) -> Result<(), DocumentError> {
        refuse("an index", &[("config", &self.config), ("layers", &self.layers)])?;
        self.refuse_fields_of_schema_1("an index")
    }

    fn refuse_fields_of_index(&self) -> Result<(), DocumentError> {
        let manifests = self.manifests.unwrap_or_default();
        refuse("a manifest", &[("manifests", &manifests)])?;
        self.refuse_fields_of_schema_1("a manifest")
    }

    fn refuse_fields_of_schema_1(&self, kind: &str) -> Result<(), DocumentError> {
        refuse(kind, &[("fsLayers", &self.fs_layers), ("history", &self.history)])
    }
}

/// Refuses fields that make a document of one kind pass for another.
fn refuse(kind: &str, fields: &[(&str, &Option<IgnoredAny>)]) -> Result<(), DocumentError> {
    match fields.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err(DocumentError::Ambiguous(format!(
            "{kind} must not have `{name}`, which belongs to another kind of document; remove it"
        ))),
        None => Ok(()),
    }
}

/// A key that is present, null or not.
fn stated<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestBody {
    artifact_type: Option<String>,
    config: RawLink,
    layers: Vec<RawLink>,
    subject: Option<RawLink>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    fn from_body(
        body: ManifestBody,
        media_type: String,
        mut warnings: Vec<String>,
    ) -> Result<Self, DocumentError> {
        check_artifact_type(body.artifact_type.as_deref())?;
        let config = at("config", body.config)?;
        if config.media_type == media_type::OCI_EMPTY && body.artifact_type.is_none() {
            return Err(DocumentError::Malformed(
                "a manifest with the empty config must have `artifactType`; add it".to_owned(),
            ));
        }
        if body.layers.is_empty() {
            warnings.push("`layers` is empty; it should have an entry".to_owned());
        }
        Ok(Self {
            layers: all("layers", body.layers)?,
            subject: subject(body.subject, &mut warnings)?,
            annotations: body.annotations.unwrap_or_default(),
            artifact_type: body.artifact_type,
            config,
            media_type,
            warnings,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexBody {
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "stated")]
    manifests: Option<Option<Vec<RawLink>>>,
    subject: Option<RawLink>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Index {
    fn from_body(
        body: IndexBody,
        media_type: String,
        mut warnings: Vec<String>,
    ) -> Result<Self, DocumentError> {
        check_artifact_type(body.artifact_type.as_deref())?;
        let manifests = match body.manifests {
            Some(Some(manifests)) => manifests,
            Some(None) => {
                warnings.push("`manifests` is null; it should be a list".to_owned());
                Vec::new()
            }
            None => {
                return Err(DocumentError::Malformed("`manifests` is absent; add it".to_owned()));
            }
        };
        Ok(Self {
            manifests: all("manifests", manifests)?,
            subject: subject(body.subject, &mut warnings)?,
            annotations: body.annotations.unwrap_or_default(),
            artifact_type: body.artifact_type,
            media_type,
            warnings,
        })
    }
}

/// Decodes bytes that were scanned.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|e| DocumentError::Malformed(e.to_string()))
}

fn check_artifact_type(kind: Option<&str>) -> Result<(), DocumentError> {
    kind.map_or(Ok(()), |kind| check_type("artifactType", kind)).map_err(DocumentError::Malformed)
}

fn subject(
    raw: Option<RawLink>,
    warnings: &mut Vec<String>,
) -> Result<Option<Link>, DocumentError> {
    let Some(raw) = raw else { return Ok(None) };
    let link = at("subject", raw)?;
    if !media_type::is_index(&link.media_type) && !media_type::is_manifest(&link.media_type) {
        warnings.push("`subject` is neither a manifest nor an index; it should be".to_owned());
    }
    Ok(Some(link))
}

fn all(field: &str, raw: Vec<RawLink>) -> Result<Vec<Link>, DocumentError> {
    let place = |(i, link)| at(&format!("{field}[{i}]"), link);
    raw.into_iter().enumerate().map(place).collect()
}

fn at(place: &str, raw: RawLink) -> Result<Link, DocumentError> {
    raw.check().map_err(|why| DocumentError::Malformed(format!("`{place}`: {why}")))
}
