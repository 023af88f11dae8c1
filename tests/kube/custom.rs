//! Custom resources: images where the table of `--resources` says.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::eventually;
use super::kinds::{Place, object};
use super::world::{Hook, World};

const RESOURCES: &str = r#"{
  "ocisign": "image-places/1",
  "kinds": [
    { "group": "example.test", "version": "v1", "kind": "Rollout",
      "podSpecs": ["$.spec.template.spec"], "images": ["$.spec.hook.image"] }
  ]
}"#;

/// A rollout with a pod template and an image of its own beside it.
fn definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.example.test"},
        "spec": {"group": "example.test", "scope": "Namespaced",
            "names": {"plural": "rollouts", "singular": "rollout", "kind": "Rollout"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open}}}}]}})
}

fn define(w: &World) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = w.cluster.create(path, &definition());
    assert!(matches!(made.status, 201 | 409), "{made:#?}");
    let served = || w.cluster.read(&w.collection("Rollout")).status == 200;
    assert!(eventually(Duration::from_secs(30), served));
}

/// The rules of deploy/, and one for the custom resource.
fn with_rollouts(webhook: &mut Value) {
    let rule = json!({"apiGroups": ["example.test"], "apiVersions": ["v1"],
        "resources": ["rollouts"], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"});
    webhook["rules"].as_array_mut().unwrap().push(rule);
}

fn rollout(name: &str, template: &str, hook: &str) -> Value {
    let mut rollout = object("Rollout", name, &Place::Container.spec(template, template));
    rollout["spec"]["hook"] = json!({"image": hook});
    rollout
}

#[test]
fn the_table_says_where_the_images_of_a_custom_resource_are() {
    let Some(mut w) = World::new("custom") else { return };
    define(&w);
    w.sandbox.write("resources.json", RESOURCES);
    w.serve("--resources resources.json");
    w.register(&[Hook::Validate, Hook::Mutate], with_rollouts);
    let create = |rollout: &Value| w.cluster.create(&w.collection("Rollout"), rollout);
    let made = create(&rollout("good", &w.signed, &w.signed)).succeeds().json;
    for pointer in ["/spec/template/spec/containers/0/image", "/spec/hook/image"] {
        let image = made.pointer(pointer).unwrap().as_str().unwrap();
        assert!(image.starts_with(&format!("{}@sha256:", w.signed)), "{pointer}: {image}");
    }
    for bad in [rollout("bad", &w.unsigned, &w.signed), rollout("bad", &w.signed, &w.unsigned)] {
        assert!(create(&bad).denied().contains(&w.unsigned));
    }
    let path = w.path("Rollout", "good");
    let patch = json!({"spec": {"hook": {"image": w.unsigned}}});
    assert!(w.cluster.merge(&path, &patch).denied().contains(&w.unsigned));
}

#[test]
fn a_kind_that_the_webhook_cannot_read_is_denied() {
    let Some(mut w) = World::new("unknown-kind") else { return };
    define(&w);
    w.serve("");
    w.register(&[Hook::Validate], with_rollouts);
    let rollout = rollout("good", &w.signed, &w.signed);
    let reply = w.cluster.create(&w.collection("Rollout"), &rollout);
    let message = reply.denied();
    assert!(message.contains("Rollout") && message.contains("resources"), "{message}");
}
