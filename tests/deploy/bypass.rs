//! The webhook configurations against a server that is down: what passes all
//! the same, and that nothing that a client can set is a way around.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Answer, Cluster, Try};
use crate::common::free_port;
use crate::rendered;

const NAMESPACE: &str = "gated";

/// One object of every kind that brings pods, with the place of its images.
fn workloads(image: &str) -> Vec<Value> {
    let pod = json!({ "restartPolicy": "Always", "containers": [{ "name": "c", "image": image }] });
    let job = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }] });
    let labels = json!({ "app": "one" });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod });
    let jobs = json!({ "spec": job });
    let selector = json!({ "matchLabels": labels });
    let of = |version: &str, kind: &str, key: &str, content: Value| {
        json!({ "apiVersion": version, "kind": kind, key: content,
            "metadata": { "name": "one", "namespace": NAMESPACE } })
    };
    let set = json!({ "selector": selector, "template": template });
    vec![
        of("v1", "Pod", "spec", pod.clone()),
        of("v1", "PodTemplate", "template", template.clone()),
        of(
            "v1",
            "ReplicationController",
            "spec",
            json!({ "selector": labels, "template": template }),
        ),
        of("apps/v1", "ReplicaSet", "spec", set.clone()),
        of("apps/v1", "Deployment", "spec", set.clone()),
        of("apps/v1", "StatefulSet", "spec", {
            let mut set = set.clone();
            set["serviceName"] = json!("one");
            set
        }),
        of("apps/v1", "DaemonSet", "spec", set),
        of("batch/v1", "Job", "spec", json!({ "template": jobs })),
        of(
            "batch/v1",
            "CronJob",
            "spec",
            json!({ "schedule": "0 0 * * *",
            "jobTemplate": { "spec": { "template": jobs } } }),
        ),
    ]
}

/// A merge patch that gives an object's container another image, and nothing
/// else.
fn another_image(object: &Value) -> Value {
    let containers = json!({ "containers": [{ "name": "c", "image": "registry.example/b:1" }] });
    match object["kind"].as_str().unwrap() {
        "Pod" => json!({ "spec": containers }),
        "PodTemplate" => json!({ "template": { "spec": containers } }),
        "CronJob" => json!({ "spec": { "jobTemplate": { "spec":
            { "template": { "spec": containers } } } } }),
        _ => json!({ "spec": { "template": { "spec": containers } } }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_denies_what_could_bring_an_image_and_nothing_else() {
    let Some(cluster) = Cluster::shared().await else { return };
    let Some(mut configurations) = configurations() else { return };
    // other tests go on beside this one
    for one in &mut configurations {
        let only = json!({ "key": "kubernetes.io/metadata.name", "operator": "In",
            "values": [NAMESPACE, "kube-system"] });
        let selector = &mut one["webhooks"][0]["namespaceSelector"]["matchExpressions"];
        selector.as_array_mut().unwrap().push(only);
    }
    cluster.namespace(NAMESPACE, json!({})).await;
    cluster.namespace("kube-system", json!({})).await;
    for object in workloads("registry.example/a:1") {
        cluster.create(&object, Try::Real).await.is(201);
    }
    for configuration in &configurations {
        cluster.apply(configuration, Try::Real).await.passes("configuration");
    }
    in_force(&cluster).await;
    what_brings_images_is_denied(&cluster).await;
    what_clients_can_set_is_no_way_around(&cluster).await;
    what_brings_none_passes(&cluster).await;
    the_cluster_s_own_namespace_is_open(&cluster).await;
    for configuration in &configurations {
        cluster.delete(configuration).await.is(200);
    }
}

/// The overlay's configurations, of a server at a port where nobody listens.
fn configurations() -> Option<Vec<Value>> {
    let mut all = rendered::kustomize("overlays/self-managed/webhooks")?;
    all.retain(|one| one["kind"].as_str().unwrap().ends_with("WebhookConfiguration"));
    assert_eq!(all.len(), 2);
    for one in &mut all {
        let path = one["webhooks"][0]["clientConfig"]["service"]["path"].as_str().unwrap();
        let url = format!("https://127.0.0.1:{}{path}", free_port());
        one["metadata"]["name"] = json!("down");
        one["webhooks"][0]["clientConfig"] = json!({ "url": url });
    }
    Some(all)
}

async fn in_force(cluster: &Cluster) {
    let mut pod = workloads("registry.example/a:1").remove(0);
    pod["metadata"]["name"] = json!("probe");
    for _ in 0..200 {
        if cluster.create(&pod, Try::Dry).await.is_stopped_by_the_gate() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the API server does not ask");
}

async fn what_brings_images_is_denied(cluster: &Cluster) {
    for mut object in workloads("registry.example/a:1") {
        let change = another_image(&object);
        stopped("image", &object, &cluster.patch(&object, "", &change).await);
        object["metadata"]["name"] = json!("two");
        stopped("create", &object, &cluster.create(&object, Try::Real).await);
    }
    let pod = workloads("registry.example/a:1").remove(0);
    let debug = json!({ "spec": { "ephemeralContainers": [
        { "name": "debug", "image": "registry.example/b:1" }] } });
    stopped("debug", &pod, &cluster.patch(&pod, "/ephemeralcontainers", &debug).await);
}

async fn what_clients_can_set_is_no_way_around(cluster: &Cluster) {
    // a namespace cannot say that it is another one
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": NAMESPACE } });
    let labels = json!({ "metadata": { "labels": {
        "kubernetes.io/metadata.name": "kube-system",
        "admission.kubernetes.io/ignore": "true",
        "control-plane": "true" } } });
    cluster.patch(&namespace, "", &labels).await;
    for mut object in workloads("registry.example/a:1") {
        let mut change = another_image(&object);
        change["metadata"] = json!({ "labels": { "a": "b" }, "annotations": {
            "kubernetes.io/config.mirror": "x", "ocisign/admission": "ignore" } });
        if object["kind"] == "Deployment" {
            change["spec"]["replicas"] = json!(0);
        }
        stopped("labels", &object, &cluster.patch(&object, "", &change).await);
        object["metadata"] = json!({ "name": "three", "namespace": NAMESPACE,
            "labels": { "admission": "ignore" }, "finalizers": ["example.com/a"],
            "annotations": { "kubernetes.io/config.mirror": "x" } });
        if object["kind"] == "Pod" {
            object["metadata"]["annotations"] = json!({});
            object["spec"]["priorityClassName"] = json!("system-cluster-critical");
            object["spec"]["nodeName"] = json!("node");
        }
        stopped("metadata", &object, &cluster.create(&object, Try::Real).await);
    }
}

async fn what_brings_none_passes(cluster: &Cluster) {
    for object in workloads("registry.example/a:1") {
        let change = json!({ "metadata": { "labels": { "a": "b" }, "finalizers": ["example.com/a"],
            "annotations": { "deployment.kubernetes.io/revision": "2" } } });
        cluster.patch(&object, "", &change).await.is(200);
        if ["Deployment", "ReplicaSet", "StatefulSet"].contains(&object["kind"].as_str().unwrap()) {
            let scale = json!({ "spec": { "replicas": 0 } });
            cluster.patch(&object, "/scale", &scale).await.is(200);
        }
        if object["kind"] == "Pod" {
            let status = json!({ "status": { "phase": "Running" } });
            cluster.patch(&object, "/status", &status).await.is(200);
        }
        // deletion waits for the finalizer, and its removal is an update
        cluster.delete(&object).await;
        let without = json!({ "metadata": { "finalizers": null } });
        cluster.patch(&object, "", &without).await.is(200);
    }
}

async fn the_cluster_s_own_namespace_is_open(cluster: &Cluster) {
    for mut object in workloads("registry.example/a:1") {
        object["metadata"]["namespace"] = json!("kube-system");
        cluster.create(&object, Try::Dry).await.is(201);
    }
}

#[track_caller]
fn stopped(what: &str, object: &Value, answer: &Answer) {
    assert!(answer.is_stopped_by_the_gate(), "{what} of {}: {}", object["kind"], answer.body);
}
