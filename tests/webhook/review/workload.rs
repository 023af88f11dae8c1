//! Generated workloads: every kind, every list, and much beside them that
//! looks like an image and is none.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

/// Lists of a pod spec that name images. Volumes are the last.
const LISTS: [&str; 4] = ["containers", "initContainers", "ephemeralContainers", "volumes"];

/// Kind, and the way to its pod spec; written down here once more, from the
/// documentation of Kubernetes.
const KINDS: [(&str, &str, &str); 9] = [
    ("v1", "Pod", "/spec"),
    ("v1", "PodTemplate", "/template/spec"),
    ("v1", "ReplicationController", "/spec/template/spec"),
    ("apps/v1", "ReplicaSet", "/spec/template/spec"),
    ("apps/v1", "Deployment", "/spec/template/spec"),
    ("apps/v1", "StatefulSet", "/spec/template/spec"),
    ("apps/v1", "DaemonSet", "/spec/template/spec"),
    ("batch/v1", "Job", "/spec/template/spec"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template/spec"),
];

/// One container, or one volume.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) text: String,
}

/// One workload, before it is written out.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) kind: usize,
    pub(super) lists: [Vec<Entry>; 4],
    /// A bit for each thing beside the images.
    pub(super) noise: u32,
}

/// An image of a workload, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Image {
    pub(super) pointer: String,
    pub(super) list: usize,
    pub(super) name: String,
    pub(super) text: String,
}

/// Texts that are allowed, pinned and not, short and long.
pub(super) fn texts() -> Vec<String> {
    let (v1, v2) = (digest_of("v1"), digest_of("v2"));
    [
        "nginx".to_owned(),
        "nginx:1.27".to_owned(),
        "me/app:v1".to_owned(),
        "registry.example/app".to_owned(),
        "registry.example/app:v1".to_owned(),
        "Registry.Example:443/app:v2".to_owned(),
        format!("registry.example/app:v1@{v1}"),
        format!("registry.example/app:v2@{v2}"),
        format!("registry.example/other@{v1}"),
        format!("nginx@{v2}"),
    ]
    .to_vec()
}

pub(super) fn entry() -> impl Strategy<Value = Entry> {
    // few names, so that some meet
    let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g", "h"]);
    (name, prop::sample::select(texts()))
        .prop_map(|(name, text)| Entry { name: name.to_owned(), text })
}

pub(super) fn workload() -> impl Strategy<Value = Workload> {
    let list = || prop::collection::vec(entry(), 0..4);
    (0..KINDS.len(), [list(), list(), list(), list()], any::<u32>())
        .prop_map(|(kind, lists, noise)| Workload { kind, lists, noise })
}

impl Workload {
    /// The object, and every image in it.
    pub(super) fn written(&self) -> (Value, Vec<Image>) {
        let (version, kind, way) = KINDS[self.kind];
        let mut images = Vec::new();
        let mut object = self.pod_spec(way, &mut images);
        for key in way.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
            object = json!({ key: object });
            self.decoys(object.as_object_mut().unwrap());
        }
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        (object, images)
    }

    fn on(&self, bit: u32) -> bool {
        self.noise >> bit & 1 == 1
    }

    fn pod_spec(&self, way: &str, images: &mut Vec<Image>) -> Value {
        let mut spec = Map::new();
        for (list, entries) in self.lists.iter().enumerate() {
            let mut elements = Vec::new();
            for entry in entries {
                if list == 3 && self.on(0) {
                    elements.push(json!({"name": "other", "configMap": {"name": "image"}}));
                }
                let field = if list == 3 { "image/reference" } else { "image" };
                images.push(Image {
                    pointer: format!("{way}/{}/{}/{field}", LISTS[list], elements.len()),
                    list,
                    name: entry.name.clone(),
                    text: entry.text.clone(),
                });
                elements.push(self.element(list, entry));
            }
            match elements.is_empty() && self.on(1) {
                true => spec.insert(LISTS[list].to_owned(), Value::Null),
                false => spec.insert(LISTS[list].to_owned(), json!(elements)),
            };
        }
        if self.on(2) {
            spec.insert("nodeSelector".to_owned(), json!({"Image": "decoy", "image": "decoy"}));
        }
        if self.on(3) {
            spec.insert("imagePullSecrets".to_owned(), json!([{"name": "one"}]));
        }
        Value::Object(spec)
    }

    fn element(&self, list: usize, entry: &Entry) -> Value {
        if list == 3 {
            return json!({"name": entry.name, "image": {"reference": entry.text}});
        }
        let mut element = json!({"name": entry.name, "image": entry.text});
        if self.on(4) {
            element["env"] = json!([{"name": "image", "value": "decoy.example/env:v1"}]);
            element["args"] = json!(["--image", "decoy.example/argument:v1"]);
        }
        if self.on(5) {
            element["resources"] = json!({"limits": {"Image": "1", "cpu": "1"}});
        }
        element
    }

    /// What somebody may set to be looked at less closely.
    fn decoys(&self, object: &mut Map<String, Value>) {
        let mut metadata = json!({"name": "x"});
        if self.on(6) {
            metadata["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
        }
        if self.on(7) {
            metadata["labels"] = json!({"ocisign": "ignore", "Image": "decoy", "spec": "decoy"});
            metadata["annotations"] = json!({"image": "decoy.example/annotation:v1"});
        }
        if self.on(8) {
            metadata["ownerReferences"] = json!([{"kind": "Deployment", "controller": true}]);
        }
        object.insert("metadata".to_owned(), metadata);
        if self.on(9) {
            object.insert("replicas".to_owned(), json!(self.noise % 3));
        }
        if self.on(10) {
            let image = json!([{"image": "decoy.example/status:v1"}]);
            object.insert("status".to_owned(), json!({"containerStatuses": image}));
        }
    }
}

/// Whether `image` of a new object is the same one in the old object: the one
/// of that name in that list, there and here, with the same text.
pub(super) fn is_unchanged(image: &Image, new: &[Image], old: &[Image]) -> bool {
    let of = |images: &[Image]| -> Vec<Image> {
        let same = |other: &&Image| other.list == image.list && other.name == image.name;
        images.iter().filter(same).cloned().collect()
    };
    match (of(new).as_slice(), of(old).as_slice()) {
        ([_], [old]) => old.text == image.text,
        _ => false,
    }
}
