//! Where the images of each kind stand: the table of places.

use serde_json::Value;

use crate::limits::Limits;
use crate::report::escaped;

use super::custom::{self, Custom};
use super::kinds::GroupVersionKind;
use super::object::{At, no_twins};
use super::pod::{Bounds, Found, KEYS};
use super::{BadTable, Unreadable, Use};

/// A kind of Kubernetes itself, and the way from its root to its pod spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Fields from the root to the pod spec.
    pub pod_spec: &'static [&'static str],
}

const TEMPLATE: &[&str] = &["spec", "template", "spec"];

/// Every kind of Kubernetes with a pod spec.
const BUILT_IN: &[Place] = &[
    place("", "v1", "Pod", &["spec"]),
    place("", "v1", "PodTemplate", &["template", "spec"]),
    place("", "v1", "ReplicationController", TEMPLATE),
    place("apps", "v1", "ReplicaSet", TEMPLATE),
    place("apps", "v1", "Deployment", TEMPLATE),
    place("apps", "v1", "StatefulSet", TEMPLATE),
    place("apps", "v1", "DaemonSet", TEMPLATE),
    place("batch", "v1", "Job", TEMPLATE),
    place("batch", "v1", "CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

const fn place(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    pod_spec: &'static [&'static str],
) -> Place {
    Place { group, version, kind, pod_spec }
}

/// The places of images in every kind that can be read.
#[derive(Debug, Clone)]
pub struct Table {
    custom: Vec<Custom>,
    bounds: Bounds,
}

impl Table {
    /// The kinds of Kubernetes itself.
    pub fn built_in(limits: &Limits) -> Self {
        Self { custom: Vec::new(), bounds: Bounds::of(limits) }
    }

    /// The kinds of Kubernetes itself, and those of a file of custom
    /// resources (docs/admission-reviews.md, "Custom resources").
    ///
    /// # Errors
    /// [`BadTable`] where the file breaks its grammar or would replace a kind.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, BadTable> {
        Ok(Self { custom: custom::parse(bytes, limits)?, bounds: Bounds::of(limits) })
    }

    /// The kinds of Kubernetes itself.
    pub fn places(&self) -> &'static [Place] {
        BUILT_IN
    }

    /// The custom kinds of this table, as `group` and `kind`.
    pub fn custom_kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.custom.iter().map(|entry| (entry.group.as_str(), entry.kind.as_str()))
    }

    /// Every image of `object`, in the order of the table.
    pub(super) fn find(
        &self,
        kind: &GroupVersionKind,
        object: &Value,
    ) -> Result<Vec<Use>, Unreadable> {
        let mut found = Found::new(self.bounds);
        if let Some(place) = BUILT_IN.iter().find(|place| place.is(kind)) {
            is_of_kind(object, kind)?;
            no_twins(object, KEYS)?;
            if let Some(spec) = At::root(object).descend(place.pod_spec)? {
                found.add_pod_spec(&spec)?;
            }
        } else if let Some(entry) = self.custom.iter().find(|entry| entry.is(kind)) {
            is_of_kind(object, kind)?;
            entry.find(object, &mut found)?;
        } else {
            return Err(unknown(kind));
        }
        Ok(found.uses)
    }
}

impl Place {
    fn is(&self, kind: &GroupVersionKind) -> bool {
        (self.group, self.version, self.kind) == (&*kind.group, &*kind.version, &*kind.kind)
    }
}

/// Whether Kubernetes itself has a kind of that name in that group.
pub(super) fn is_built_in(group: &str, kind: &str) -> bool {
    BUILT_IN.iter().any(|place| (place.group, place.kind) == (group, kind))
}

/// Every image of an object, whose kind it says itself.
///
/// # Errors
/// [`Unreadable`] where the kind is not in the table, or the object is not
/// what its kind says.
pub fn images_of(table: &Table, object: &Value) -> Result<Vec<Use>, Unreadable> {
    let root = At::root(object);
    let (Some(version), Some(kind)) = (root.text("apiVersion")?, root.text("kind")?) else {
        return Err(Unreadable::new("the object names no `apiVersion` or no `kind`; add both"));
    };
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    table.find(&kind, object)
}

/// A review could say one kind and carry another, whose images stand elsewhere.
fn is_of_kind(object: &Value, kind: &GroupVersionKind) -> Result<(), Unreadable> {
    let root = At::root(object);
    let (version, name) = (root.text("apiVersion")?, root.text("kind")?);
    match version == Some(&kind.api_version()) && name == Some(&kind.kind) {
        true => Ok(()),
        false => Err(Unreadable::new(format!(
            "the object is `{} {}` and the request is about `{}`; correct one of them",
            escaped(version.unwrap_or_default()),
            escaped(name.unwrap_or_default()),
            escaped(&kind.to_string())
        ))),
    }
}

fn unknown(kind: &GroupVersionKind) -> Unreadable {
    Unreadable::new(format!(
        "the images of `{}` are not known here; add the kind to the table of custom resources, \
         or take it out of the webhook's rules",
        escaped(&kind.to_string())
    ))
}
