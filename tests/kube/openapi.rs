//! The webhook's coverage, held against what the running API server says of
//! itself: every field that can hold the name of an image, in every request
//! that can bring it, is in the webhook's table and in the rules of deploy/.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use ocisign::limits::Limits;
use ocisign::webhook::review::{Review, Table, Use};
use serde_json::{Value, json};

use super::cluster::{Cluster, cluster};
use super::common::run::source;
use super::schema::{Document, Field, Request, documents};

/// Fields that speak of images and name none that a node would run, as
/// `Schema.field`, each with the reason.
const NO_IMAGE: &[(&str, &str)] = &[
    ("Container.imagePullPolicy", "when to pull, not what"),
    ("EphemeralContainer.imagePullPolicy", "when to pull, not what"),
    ("ImageVolumeSource.pullPolicy", "when to pull, not what"),
    ("LocalObjectReference.name", "the name of a pull secret"),
    ("Container.command", "runs inside the image"),
    ("Container.args", "runs inside the image"),
    ("Container.workingDir", "a folder inside the image"),
    ("EphemeralContainer.command", "runs inside the image"),
    ("EphemeralContainer.args", "runs inside the image"),
    ("EphemeralContainer.workingDir", "a folder inside the image"),
    ("WindowsSecurityContextOptions.runAsUserName", "a user inside the image"),
    ("PodSecurityContext.supplementalGroupsPolicy", "groups inside the image"),
    ("VolumeMount.bindMountOptions", "how a volume is mounted"),
    ("RBDVolumeSource.image", "a block device of Ceph: data, not an OCI image"),
    ("RBDPersistentVolumeSource.image", "a block device of Ceph: data, not an OCI image"),
    ("ContainerStatus.image", "a status: the kubelet writes what runs"),
    ("ContainerStatus.imageID", "a status: the kubelet writes what runs"),
    ("ImageVolumeStatus.imageRef", "a status: the kubelet writes what is mounted"),
    ("PodStatus.phase", "a status"),
    ("PodStatus.startTime", "a status"),
    ("ContainerImage.names", "a status: what a node has on its disk"),
    ("NodeSystemInfo.osImage", "a status: the operating system of a node"),
    ("MutatingWebhook.name", "the name of a webhook"),
    ("ValidatingWebhook.name", "the name of a webhook"),
];

/// Subresources whose requests bring a whole object of which the API server
/// keeps no image; tests/kube/updates.rs shows it for pods.
const KEEPS_NO_IMAGE: &[(&str, &str)] = &[
    ("status", "the API server stores the status alone"),
    ("resize", "the API server stores resources alone and refuses other changes"),
];

/// A request with a field that nothing looks at.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hole {
    request: String,
    pointer: String,
    why: &'static str,
}

/// What looks at images: the table that plans are made with, and the rules by
/// which the API server asks.
struct Guard<'a> {
    finds: &'a dyn Fn(&Use) -> bool,
    rules: &'a [Value],
}

fn read() -> Option<&'static [Document]> {
    static DOCUMENTS: OnceLock<Option<Vec<Document>>> = OnceLock::new();
    let read = || Some(documents(cluster()?));
    DOCUMENTS.get_or_init(read).as_deref()
}

/// The rules of one of the manifests, as the API server reads them.
fn rules(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(source(&format!("deploy/kustomize/webhooks/{kind}.yaml")));
    let path =
        format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations?dryRun=All");
    let made = cluster.create_yaml(&path, &text.unwrap()).succeeds().json;
    made["webhooks"][0]["rules"].as_array().unwrap().clone()
}

/// Every hole, and how many places were looked at.
fn holes(documents: &[Document], guard: &Guard<'_>) -> (BTreeSet<Hole>, usize) {
    let (mut holes, mut places) = (BTreeSet::new(), 0);
    for document in documents {
        for request in document.requests() {
            let keeps = |(name, _): &(&str, &str)| request.subresource.as_deref() == Some(name);
            if KEEPS_NO_IMAGE.iter().any(keeps) {
                continue;
            }
            for field in document.texts(&request.schema) {
                if field.speaks_of_images() && !is_no_image(&field) {
                    places += 1;
                    holes.extend(guard.hole(&request, &field));
                }
            }
        }
    }
    (holes, places)
}

fn is_no_image(field: &Field) -> bool {
    let name = format!("{}.{}", field.schema, field.name);
    NO_IMAGE.iter().any(|(known, _)| *known == name)
}

impl Guard<'_> {
    fn hole(&self, request: &Request, field: &Field) -> Option<Hole> {
        let why = match (self.is_found(request, field), self.is_asked(request)) {
            (true, true) => return None,
            (false, _) => "not in the table",
            (true, false) => "not in the rules",
        };
        let resource = [Some(request.resource.as_str()), request.subresource.as_deref()];
        let resource = resource.into_iter().flatten().collect::<Vec<_>>().join("/");
        let Request { group, version, operation, .. } = request;
        let request = format!("{operation} {group}/{version} {resource}");
        Some(Hole { request, pointer: field.pointer(), why })
    }

    /// Whether the plan of such a review has this image.
    fn is_found(&self, request: &Request, field: &Field) -> bool {
        const IMAGE: &str = "registry.example/unsigned:v1";
        let object = field.object(&request.kind, IMAGE);
        let mut old = object.clone();
        *old.pointer_mut(&field.pointer()).unwrap() = json!("registry.example/signed:v1");
        let old = if request.operation == "UPDATE" { old } else { Value::Null };
        let kind = &request.kind;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "1", "operation": request.operation, "name": "x",
                "namespace": "default", "dryRun": false, "object": object, "oldObject": old,
                "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                "resource": {"group": request.group, "version": request.version,
                    "resource": request.resource},
                "subResource": request.subresource}});
        let limits = Limits::default();
        let review = Review::parse(review.to_string().as_bytes(), &limits).unwrap();
        let Ok(plan) = review.plan(&Table::built_in(&limits)) else { return false };
        plan.uses.iter().any(|found| {
            found.pointer == field.pointer() && found.text == IMAGE && (self.finds)(found)
        })
    }

    /// Whether the API server asks the webhook about such a request.
    fn is_asked(&self, request: &Request) -> bool {
        let resource = match &request.subresource {
            None => request.resource.clone(),
            Some(sub) => format!("{}/{sub}", request.resource),
        };
        let has = |rule: &Value, key: &str, value: &str| {
            rule[key].as_array().unwrap().iter().any(|one| one == value)
        };
        self.rules.iter().any(|rule| {
            has(rule, "apiGroups", &request.group)
                && has(rule, "apiVersions", &request.version)
                && has(rule, "operations", request.operation)
                && has(rule, "resources", &resource)
        })
    }
}

#[test]
fn every_field_that_can_hold_an_image_is_covered() {
    let Some(documents) = read() else { return };
    for kind in ["validating", "mutating"] {
        let rules = rules(cluster().unwrap(), kind);
        let (holes, places) = holes(documents, &Guard { finds: &|_| true, rules: &rules });
        assert!(holes.is_empty(), "{kind}: {holes:#?}");
        // nine kinds, two operations, four fields, and ephemeral containers
        assert!(places >= 9 * 2 * 4, "{places} places alone: the documents were not understood");
    }
}

#[test]
fn every_exclusion_is_about_a_field_that_is_there() {
    let Some(documents) = read() else { return };
    let mut speak = BTreeSet::new();
    for document in documents {
        for request in document.requests() {
            let fields = document.texts(&request.schema).into_iter();
            let fields = fields.filter(Field::speaks_of_images);
            speak.extend(fields.map(|field| format!("{}.{}", field.schema, field.name)));
        }
    }
    for (name, reason) in NO_IMAGE {
        assert!(speak.contains(*name), "`{name}` ({reason}) is not in the documents; remove it");
    }
    let subresources: BTreeSet<String> = documents
        .iter()
        .flat_map(Document::requests)
        .filter_map(|request| request.subresource)
        .collect();
    for (name, _) in KEEPS_NO_IMAGE {
        assert!(subresources.contains(*name), "no subresource `{name}`; remove it");
    }
}

#[test]
fn a_row_that_is_missing_shows_as_holes() {
    let Some(documents) = read() else { return };
    let all = rules(cluster().unwrap(), "validating");
    for role in ["container", "init container", "ephemeral container", "image volume"] {
        let finds = |found: &Use| found.role.as_str() != role;
        let (holes, _) = holes(documents, &Guard { finds: &finds, rules: &all });
        assert!(holes.len() >= 9 * 2, "{role}: {holes:#?}");
        assert!(holes.iter().all(|hole| hole.why == "not in the table"), "{role}: {holes:#?}");
    }
    for at in 0..all.len() {
        for resource in all[at]["resources"].as_array().unwrap() {
            let mut fewer = all.clone();
            fewer[at]["resources"].as_array_mut().unwrap().retain(|one| one != resource);
            let (holes, _) = holes(documents, &Guard { finds: &|_| true, rules: &fewer });
            assert!(!holes.is_empty(), "{resource} is not needed");
            assert!(holes.iter().all(|hole| hole.why == "not in the rules"), "{holes:#?}");
        }
    }
}

#[test]
fn a_field_or_a_kind_that_kubernetes_adds_shows_as_a_hole() {
    let Some(documents) = read() else { return };
    let all = rules(cluster().unwrap(), "validating");
    let guard = Guard { finds: &|_| true, rules: &all };
    let core = documents
        .iter()
        .find(|d| d.json()["components"]["schemas"]["io.k8s.api.core.v1.Binding"].is_object());
    let core = core.unwrap().json();

    let mut later = core.clone();
    later["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["bootImage"] =
        json!({"type": "string", "description": "What the machine starts from."});
    let (found, _) = holes(&[Document::new(later)], &guard);
    assert!(found.iter().any(|hole| hole.pointer == "/spec/bootImage"), "{found:#?}");

    let mut later = core.clone();
    let method = &mut later["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"];
    method["requestBody"]["content"]["*/*"]["schema"]["$ref"] =
        json!("#/components/schemas/io.k8s.api.core.v1.Pod");
    let (found, _) = holes(&[Document::new(later)], &guard);
    let request = "CREATE /v1 configmaps";
    assert!(found.iter().any(|hole| hole.request == request), "{found:#?}");
}
