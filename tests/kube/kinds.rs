//! Every kind of workload, and every place of an image in it.

use serde_json::{Value, json};

/// The kinds, with where each has its pod's spec.
pub(crate) const KINDS: [(&str, &str); 9] = [
    ("Pod", "/spec"),
    ("PodTemplate", "/template/spec"),
    ("ReplicationController", "/spec/template/spec"),
    ("ReplicaSet", "/spec/template/spec"),
    ("Deployment", "/spec/template/spec"),
    ("StatefulSet", "/spec/template/spec"),
    ("DaemonSet", "/spec/template/spec"),
    ("Job", "/spec/template/spec"),
    ("CronJob", "/spec/jobTemplate/spec/template/spec"),
];

/// The places of a pod's spec that an object can be created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Container,
    InitContainer,
    /// An init container that goes on running.
    Sidecar,
    Volume,
}

pub(crate) const PLACES: [Place; 4] =
    [Place::Container, Place::InitContainer, Place::Sidecar, Place::Volume];

impl Place {
    /// A spec with `image` here and `other` in the container that every pod
    /// has to have.
    pub(crate) fn spec(self, image: &str, other: &str) -> Value {
        let container = |name: &str, image: &str| json!({"name": name, "image": image});
        let mut spec = json!({"containers": [container("main", other)]});
        match self {
            Self::Container => spec["containers"] = json!([container("main", image)]),
            Self::InitContainer => spec["initContainers"] = json!([container("init", image)]),
            Self::Sidecar => {
                let mut sidecar = container("side", image);
                sidecar["restartPolicy"] = json!("Always");
                spec["initContainers"] = json!([sidecar]);
            }
            Self::Volume => {
                spec["volumes"] = json!([{"name": "data", "image": {"reference": image}}]);
            }
        }
        spec
    }

    /// Where the image is in the spec.
    pub(crate) fn pointer(self) -> &'static str {
        match self {
            Self::Container => "/containers/0/image",
            Self::InitContainer | Self::Sidecar => "/initContainers/0/image",
            Self::Volume => "/volumes/0/image/reference",
        }
    }
}

/// An object of a kind around a pod's spec.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    let labels = json!({"app": name});
    if matches!(kind, "Job" | "CronJob") {
        spec["restartPolicy"] = json!("Never");
    }
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let body = match kind {
        "Pod" => spec,
        "PodTemplate" => {
            return json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name},
                "template": template});
        }
        "ReplicationController" => json!({"selector": labels, "template": template}),
        "Job" => json!({"template": template}),
        "CronJob" => {
            json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}})
        }
        "StatefulSet" => json!({"serviceName": name, "selector": {"matchLabels": labels},
            "template": template}),
        _ => json!({"selector": {"matchLabels": labels}, "template": template}),
    };
    let version = match kind {
        "Pod" | "ReplicationController" => "v1",
        "Job" | "CronJob" => "batch/v1",
        "Rollout" => "example.test/v1",
        _ => "apps/v1",
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": body})
}
