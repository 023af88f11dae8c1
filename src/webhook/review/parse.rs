//! The request of an AdmissionReview (admission.k8s.io/v1), read strictly.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::image::json;
use crate::limits::Limits;
use crate::report::escaped;

/// The one version that is spoken.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Keys that are read here, each at its own level.
const ROOT: &[&str] = &["apiVersion", "kind", "request"];
const REQUEST: &[&str] = &[
    "uid",
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
    "operation",
    "dryRun",
    "object",
    "oldObject",
];
const GROUP: &[&str] = &["group", "version", "kind", "resource"];

/// Longest uid that is answered. The API server sends UUIDs.
const UID: usize = 128;
/// Longest other text of the envelope. Names in Kubernetes have 253
/// characters at most.
const NAME: usize = 253;

/// A request of the API server to judge one object.
#[derive(Clone)]
#[non_exhaustive]
pub struct Review {
    /// What the answer must repeat.
    pub uid: String,
    /// The kind of the object, as the webhook's rules named it.
    pub kind: GroupVersionKind,
    /// The resource, as the webhook's rules named it.
    pub resource: GroupVersionResource,
    /// The subresource, as in `pods/ephemeralcontainers`.
    pub sub_resource: Option<String>,
    /// The kind of the request that was made, before a conversion.
    pub request_kind: Option<GroupVersionKind>,
    /// The resource of the request that was made.
    pub request_resource: Option<GroupVersionResource>,
    /// The subresource of the request that was made.
    pub request_sub_resource: Option<String>,
    /// Name of the object; empty where the API server is to generate one.
    pub name: String,
    /// Namespace of the object; empty where it has none.
    pub namespace: String,
    /// What is done to the object.
    pub operation: Operation,
    /// Whether nothing will be stored.
    pub dry_run: DryRun,
    /// The object to be stored. It stays text until it is looked at: decoded
    /// it can take a hundred times the memory.
    pub(super) object: Option<Box<RawValue>>,
    /// The object that is stored now.
    pub(super) old_object: Option<Box<RawValue>>,
}

/// Whether a request is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DryRun {
    /// The object will be stored.
    No,
    /// Nothing will be stored.
    Yes,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
    /// A connection is opened to it, as by `kubectl exec`.
    Connect,
}

impl Operation {
    /// The word for it in reviews.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// Group, version and resource of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Resource: the kind in the plural, lower case.
    pub resource: String,
}

impl GroupVersionKind {
    /// What `apiVersion` of such an object says.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

impl fmt::Debug for Review {
    /// Without the objects: they may hold secrets in their environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Review")
            .field("uid", &self.uid)
            .field("kind", &self.kind)
            .field("sub_resource", &self.sub_resource)
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// Why bytes are no review. Answer with a denial where there is a uid, and
/// with HTTP status 400 where there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadReview {
    /// What the answer must repeat, where it could be read.
    pub uid: Option<String>,
    /// Which rule is broken, and what to do.
    pub reason: String,
}

impl Review {
    /// Reads a review.
    ///
    /// # Errors
    /// [`BadReview`] where the bytes are too many, are no strict JSON, or are
    /// no request of `admission.k8s.io/v1`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, BadReview> {
        bounded(bytes, limits).map_err(|reason| BadReview { uid: None, reason })?;
        let checked = json::scan(bytes, &[], limits.json_depth).map_err(|e| e.to_string());
        let read = checked
            .and_then(|()| few_values(bytes, limits))
            .and_then(|()| Fields::read(bytes, ROOT, ""))
            .and_then(Fields::request)
            .and_then(Fields::review);
        read.map_err(|reason| BadReview { uid: uid_alone(bytes), reason })
    }
}

fn bounded(bytes: &[u8], limits: &Limits) -> Result<(), String> {
    let most = limits.review_bytes;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= most => Ok(()),
        _ => Err(format!("the review is longer than {most} bytes; make the object smaller")),
    }
}

/// Bounds what decoding will take: a value of two bytes becomes one of many.
fn few_values(bytes: &[u8], limits: &Limits) -> Result<(), String> {
    let most = limits.review_values;
    match values(bytes) <= most {
        true => Ok(()),
        false => Err(format!("the review has more than {most} values; make the object smaller")),
    }
}

/// Values of a JSON text that was checked: one, and one for each comma,
/// bracket and brace outside strings.
fn values(bytes: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in bytes {
        match (byte, in_string) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => in_string = !in_string,
            (b',' | b'[' | b'{', false) => count += 1,
            _ => {}
        }
    }
    count
}

/// The uid of a review that is refused, so that the reason reaches whoever
/// asked. A wrong one does no harm: the API server drops the answer.
fn uid_alone(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        request: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        uid: String,
    }
    let head: Head = serde_json::from_slice(bytes).ok()?;
    Some(head.request.uid).filter(|uid| is_uid(uid))
}

fn is_uid(uid: &str) -> bool {
    (1..=UID).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_graphic())
}

/// The fields of an object, still text, to be taken one by one.
struct Fields<'a> {
    at: &'a str,
    map: BTreeMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Reads an object whose keys include none that differs from one of
    /// `known` in case only.
    fn read(text: &'a [u8], known: &[&str], at: &'a str) -> Result<Self, String> {
        let map: BTreeMap<String, &RawValue> =
            serde_json::from_slice(text).map_err(|_| format!("`{at}` is no object"))?;
        match map.keys().find_map(|key| Some((key, json::twin(key, known)?))) {
            None => Ok(Self { at, map }),
            Some((key, known)) => {
                let key = escaped(key);
                Err(format!("`{key}` at `{at}` differs from `{known}` in case only; spell it so"))
            }
        }
    }

    fn request(mut self) -> Result<Self, String> {
        for (key, want) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            if self.word(key)?.as_deref() != Some(want) {
                return Err(format!(
                    "`{key}` is not `{want}`; register the webhook for that version"
                ));
            }
        }
        match self.raw("request") {
            Some(request) => Self::read(request.get().as_bytes(), REQUEST, "/request"),
            None => Err("the review has no `request`; send what an API server sends".to_owned()),
        }
    }

    fn review(mut self) -> Result<Review, String> {
        Ok(Review {
            uid: self.uid()?,
            kind: self.kind("kind")?.ok_or("`/request/kind` is missing")?,
            resource: self.resource("resource")?.ok_or("`/request/resource` is missing")?,
            sub_resource: self.word("subResource")?,
            request_kind: self.kind("requestKind")?,
            request_resource: self.resource("requestResource")?,
            request_sub_resource: self.word("requestSubResource")?,
            name: self.word("name")?.unwrap_or_default(),
            namespace: self.namespace()?,
            operation: self.operation()?,
            dry_run: self.dry_run()?,
            object: self.object("object")?,
            old_object: self.object("oldObject")?,
        })
    }

    /// The text of a field; `None` where it is missing or null.
    fn raw(&mut self, key: &str) -> Option<&'a RawValue> {
        self.map.remove(key).filter(|value| value.get() != "null")
    }

    /// A short text; `None` where it is missing, null or empty.
    fn word(&mut self, key: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if text.len() <= NAME => Ok(Some(text).filter(|text| !text.is_empty())),
            _ => Err(format!("`{}/{key}` is no text of at most {NAME} characters", self.at)),
        }
    }

    fn uid(&mut self) -> Result<String, String> {
        match self.word("uid")? {
            Some(uid) if is_uid(&uid) => Ok(uid),
            _ => Err(format!("`/request/uid` is no text of 1 to {UID} printable characters")),
        }
    }

    /// It becomes part of paths of the API, so nothing but a label passes
    /// (RFC 1123).
    fn namespace(&mut self) -> Result<String, String> {
        let namespace = self.word("namespace")?.unwrap_or_default();
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match namespace.len() <= 63 && namespace.bytes().all(label) {
            true => Ok(namespace),
            false => Err("`/request/namespace` is no name of a namespace".to_owned()),
        }
    }

    fn operation(&mut self) -> Result<Operation, String> {
        let word = self.word("operation")?.unwrap_or_default();
        [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect]
            .into_iter()
            .find(|operation| operation.as_str() == word)
            .ok_or_else(|| format!("`{}` is no operation that is known here", escaped(&word)))
    }

    fn dry_run(&mut self) -> Result<DryRun, String> {
        match self.raw("dryRun").map(RawValue::get) {
            None | Some("false") => Ok(DryRun::No),
            Some("true") => Ok(DryRun::Yes),
            Some(_) => Err("`/request/dryRun` is neither true nor false".to_owned()),
        }
    }

    fn object(&mut self, key: &str) -> Result<Option<Box<RawValue>>, String> {
        match self.raw(key) {
            None => Ok(None),
            Some(raw) if raw.get().starts_with('{') => Ok(Some(raw.to_owned())),
            Some(_) => Err(format!("`/request/{key}` is no object")),
        }
    }

    fn kind(&mut self, key: &str) -> Result<Option<GroupVersionKind>, String> {
        let Some([group, version, kind]) = self.group(key, "kind")? else { return Ok(None) };
        Ok(Some(GroupVersionKind { group, version, kind }))
    }

    fn resource(&mut self, key: &str) -> Result<Option<GroupVersionResource>, String> {
        let Some([group, version, resource]) = self.group(key, "resource")? else {
            return Ok(None);
        };
        Ok(Some(GroupVersionResource { group, version, resource }))
    }

    /// Group, version, and what `last` is called; only the group may be empty.
    fn group(&mut self, key: &str, last: &str) -> Result<Option<[String; 3]>, String> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let at = format!("/request/{key}");
        let mut inner = Fields::read(raw.get().as_bytes(), GROUP, &at)?;
        match (inner.word("group")?, inner.word("version")?, inner.word(last)?) {
            (group, Some(version), Some(name)) => {
                Ok(Some([group.unwrap_or_default(), version, name]))
            }
            _ => Err(format!("`{at}` names no version or no {last}")),
        }
    }
}
