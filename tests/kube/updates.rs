//! Changing what is there already.

use serde_json::{Value, json};

use super::kinds::{KINDS, PLACES, Place, object};
use super::world::{Hook, World, pod, simple_pod};

/// A deployment of one container.
fn deployment(name: &str, image: &str) -> Value {
    object("Deployment", name, &Place::Container.spec(image, image))
}

fn image_patch(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

#[test]
fn a_changed_image_is_verified_in_every_kind_and_place() {
    let Some(w) = World::guarded("changes", &[Hook::Validate]) else { return };
    for (kind, spec) in KINDS {
        for place in PLACES {
            // a pod's volumes and a job's template never change
            if kind == "Job" || (kind == "Pod" && place == Place::Volume) {
                continue;
            }
            let name = format!("{kind}-{place:?}").to_lowercase();
            let object = object(kind, &name, &place.spec(&w.signed, &w.signed));
            let made = w.cluster.create(&w.collection(kind), &object).succeeds().json;
            let at = format!("{spec}{}", place.pointer());
            let mut changed = made.clone();
            *changed.pointer_mut(&at).unwrap() = w.unsigned.as_str().into();
            // whatever else changes with it
            changed["metadata"]["labels"] = json!({"label": "changed"});
            if changed["spec"]["replicas"].is_number() {
                changed["spec"]["replicas"] = json!(0);
            }
            let reply = w.cluster.replace(&w.path(kind, &name), &changed);
            assert!(reply.denied().contains(&w.unsigned), "{kind} {place:?}");
            *changed.pointer_mut(&at).unwrap() = w.signed.as_str().into();
            w.cluster.replace(&w.path(kind, &name), &changed).succeeds();
        }
    }
}

#[test]
fn what_leaves_pinned_images_alone_needs_no_registry() {
    let Some(mut w) = World::guarded("unchanged", &[Hook::Validate, Hook::Mutate]) else { return };
    w.cluster.create(&w.collection("Deployment"), &deployment("app", &w.signed)).succeeds();
    let path = w.path("Deployment", "app");
    // nothing that it verified before is remembered either
    w.kill();
    w.serve("");
    w.close_registry();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    w.cluster.merge(&path, &label).succeeds();
    let asked = w.asked(Hook::Validate);
    w.cluster.merge(&path, &json!({"spec": {"minReadySeconds": 3}})).succeeds();
    assert!(w.asked(Hook::Validate) > asked, "the webhook saw it");
    let scale = json!({"spec": {"replicas": 3}});
    w.cluster.merge(&format!("{path}/scale"), &scale).succeeds();
    let status = json!({"status": {"replicas": 3}});
    w.cluster.merge(&format!("{path}/status"), &status).succeeds();
    let reply = w.cluster.strategic(&path, &image_patch(&w.unsigned));
    assert!(reply.denied().contains("undecided"), "{reply:#?}");
    w.cluster.delete(&path).succeeds();
}

#[test]
fn what_was_there_before_the_webhook_is_verified_once_its_spec_changes() {
    let Some(mut w) = World::new("before") else { return };
    w.cluster.create(&w.collection("Deployment"), &deployment("app", &w.unsigned)).succeeds();
    w.serve("");
    w.register(&[Hook::Validate], |_| {});
    let path = w.path("Deployment", "app");
    // metadata and the number of replicas say nothing of images
    w.cluster.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).succeeds();
    w.cluster.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 2}})).succeeds();
    // its tag may name another image by now
    let reply = w.cluster.merge(&path, &json!({"spec": {"minReadySeconds": 3}}));
    assert!(reply.denied().contains(&w.unsigned), "{reply:#?}");
    w.cluster.strategic(&path, &image_patch(&w.signed)).succeeds();
}

#[test]
fn an_object_that_is_being_deleted_takes_no_other_image() {
    let Some(w) = World::guarded("deleting", &[Hook::Validate]) else { return };
    let mut object = deployment("app", &w.signed);
    object["metadata"]["finalizers"] = json!(["example.test/held"]);
    w.cluster.create(&w.collection("Deployment"), &object).succeeds();
    let path = w.path("Deployment", "app");
    w.cluster.delete(&path).succeeds();
    let held = w.cluster.read(&path).succeeds().json;
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    w.cluster.strategic(&path, &image_patch(&w.unsigned)).denied();
    let mut nothing = image_patch(&w.unsigned);
    nothing["spec"]["replicas"] = json!(0);
    w.cluster.strategic(&path, &nothing).denied();
    w.cluster.merge(&path, &json!({"metadata": {"finalizers": null}})).succeeds();
    assert_eq!(w.cluster.read(&path).status, 404);
}

#[test]
fn an_ephemeral_container_is_verified() {
    let Some(w) = World::guarded("ephemeral", &[Hook::Validate, Hook::Mutate]) else { return };
    w.cluster.create(&w.collection("Pod"), &simple_pod("app", &w.signed)).succeeds();
    let path = format!("{}/ephemeralcontainers", w.path("Pod", "app"));
    // as `kubectl debug app --image IMAGE` does
    let debug = |name: &str, image: &str| {
        let container = json!({"name": name, "image": image, "targetContainerName": "c"});
        json!({"spec": {"ephemeralContainers": [container]}})
    };
    let reply = w.cluster.strategic(&path, &debug("bad", &w.unsigned));
    let message = reply.denied();
    assert!(message.contains(&w.unsigned) && message.contains("bad"), "{message}");
    let made = w.cluster.strategic(&path, &debug("good", &w.signed)).succeeds().json;
    let image = made.pointer("/spec/ephemeralContainers/0/image").unwrap().as_str().unwrap();
    assert!(image.starts_with(&format!("{}@sha256:", w.signed)), "{image}");
}

/// Why the shipped rules need not name these subresources: the API server
/// itself takes no image from them.
#[test]
fn other_subresources_of_a_pod_change_no_image() {
    let Some(w) = World::guarded("subresources", &[Hook::Validate]) else { return };
    let spec = json!({"containers": [{"name": "c", "image": w.signed,
        "resources": {"requests": {"cpu": "100m"}}}]});
    w.cluster.create(&w.collection("Pod"), &pod("app", &spec)).succeeds();
    let path = w.path("Pod", "app");
    let image = json!({"spec": {"containers": [{"name": "c", "image": w.unsigned}]}});
    for subresource in ["status", "resize"] {
        w.cluster.strategic(&format!("{path}/{subresource}"), &image);
        let now = w.cluster.read(&path).succeeds().json;
        assert_eq!(now["spec"]["containers"][0]["image"], w.signed.as_str(), "{subresource}");
    }
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "app"},
        "target": {"kind": "Node", "name": "node"}});
    w.cluster.create(&format!("{path}/binding"), &binding).succeeds();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "app"}});
    w.cluster.create(&format!("{path}/eviction"), &eviction).succeeds();
}
