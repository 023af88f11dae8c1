//! The request of an AdmissionReview (admission.k8s.io/v1), read strictly.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::image::json;
use crate::limits::Limits;
use crate::report::escaped;

use super::kinds::{DryRun, GroupVersionKind, GroupVersionResource, Operation};
use super::object::twin_in;

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
#[derive(Clone, PartialEq)]
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
    /// Who asks, for the log; empty where it is not said.
    pub user: String,
    /// What is done to the object.
    pub operation: Operation,
    /// Whether nothing will be stored.
    pub dry_run: DryRun,
    /// The object to be stored.
    pub object: Option<Value>,
    /// The object that is stored now.
    pub old_object: Option<Value>,
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
            .and_then(|()| serde_json::from_slice(bytes).map_err(|e| e.to_string()))
            .and_then(request_of)
            .and_then(|request| Fields(request).review());
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

fn request_of(root: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(mut root) = root else {
        return Err("a review is a JSON object; send an AdmissionReview".to_owned());
    };
    no_twin(&root, ROOT, "")?;
    for (key, want) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if root.get(key).and_then(Value::as_str) != Some(want) {
            return Err(format!("`{key}` is not `{want}`; register the webhook for that version"));
        }
    }
    match root.remove("request") {
        Some(Value::Object(request)) => {
            no_twin(&request, REQUEST, "/request")?;
            Ok(request)
        }
        _ => Err("the review has no `request`; send what an API server sends".to_owned()),
    }
}

fn no_twin(map: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), String> {
    match twin_in(map, known) {
        None => Ok(()),
        Some((key, known)) => {
            Err(format!("`{}` at `{at}` differs from `{known}` in case only", escaped(key)))
        }
    }
}

/// The fields of a request, taken one by one.
struct Fields(Map<String, Value>);

impl Fields {
    fn review(mut self) -> Result<Review, String> {
        let review = Review {
            uid: self.uid()?,
            kind: self.kind("kind")?.ok_or("`/request/kind` is missing")?,
            resource: self.resource("resource")?.ok_or("`/request/resource` is missing")?,
            sub_resource: self.word("subResource")?,
            request_kind: self.kind("requestKind")?,
            request_resource: self.resource("requestResource")?,
            request_sub_resource: self.word("requestSubResource")?,
            name: self.word("name")?.unwrap_or_default(),
            namespace: self.namespace()?,
            user: self.user(),
            operation: self.operation()?,
            dry_run: self.dry_run()?,
            object: self.object("object")?,
            old_object: self.object("oldObject")?,
        };
        Ok(review)
    }

    /// A text; `None` where it is missing, null or empty.
    fn word(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= NAME => {
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
            Some(_) => Err(format!("`/request/{key}` is no text of at most {NAME} characters")),
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

    /// Nothing is decided by it, so one that cannot be read denies nothing.
    fn user(&mut self) -> String {
        let user = self.0.get("userInfo").and_then(|info| info.get("username"));
        user.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn operation(&mut self) -> Result<Operation, String> {
        let word = self.word("operation")?.unwrap_or_default();
        [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect]
            .into_iter()
            .find(|operation| operation.as_str() == word)
            .ok_or_else(|| format!("`{}` is no operation that is known here", escaped(&word)))
    }

    fn dry_run(&mut self) -> Result<DryRun, String> {
        match self.0.remove("dryRun") {
            None | Some(Value::Null | Value::Bool(false)) => Ok(DryRun::No),
            Some(Value::Bool(true)) => Ok(DryRun::Yes),
            Some(_) => Err("`/request/dryRun` is neither true nor false".to_owned()),
        }
    }

    fn object(&mut self, key: &str) -> Result<Option<Value>, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(object @ Value::Object(_)) => Ok(Some(object)),
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
        let map = match self.0.remove(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(format!("`/request/{key}` is no object")),
        };
        let at = format!("/request/{key}");
        no_twin(&map, GROUP, &at)?;
        let mut inner = Self(map);
        let mut take =
            |part: &str| inner.word(part).map_err(|_| format!("`{at}/{part}` is no name"));
        let (group, version, name) = (take("group")?, take("version")?, take(last)?);
        match (version, name) {
            (Some(version), Some(name)) => Ok(Some([group.unwrap_or_default(), version, name])),
            _ => Err(format!("`{at}` names no version or no {last}")),
        }
    }
}
