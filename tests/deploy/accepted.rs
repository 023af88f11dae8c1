//! Every rendering, applied to a real API server that refuses what it does
//! not know and remarks on what it does not like.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Try};
use crate::common::peer;
use crate::rendered::{self, pod_template, title};

#[tokio::test(flavor = "multi_thread")]
async fn the_overlays_of_kustomize_are_accepted_to_the_last_field() {
    let Some(cluster) = Cluster::shared().await else { return };
    for overlay in rendered::OVERLAYS {
        let Some(objects) = rendered::overlay(overlay) else { return };
        accept(&cluster, overlay, objects).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_accepted_to_the_last_field() {
    let Some(cluster) = Cluster::shared().await else { return };
    for (name, values) in rendered::CHARTS {
        let Some(objects) = rendered::helm(values) else { return };
        accept(&cluster, name, objects).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_audits_is_accepted_to_the_last_field() {
    let Some(cluster) = Cluster::shared().await else { return };
    accept(&cluster, "audit-job.yaml", rendered::manifest("audit-job.yaml")).await;
}

/// Pods of these templates may run in a namespace that takes nothing but the
/// strictest: `restricted` of the Pod Security Standards.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_are_restricted() {
    let Some(cluster) = Cluster::shared().await else { return };
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted" });
    cluster.namespace("restricted", labels).await;
    let mut objects = rendered::manifest("audit-job.yaml");
    for overlay in rendered::OVERLAYS {
        let Some(more) = rendered::overlay(overlay) else { return };
        objects.extend(more);
    }
    let Some(chart) = rendered::helm(&[]) else { return };
    objects.extend(chart);
    let templates = objects.iter().filter_map(|one| Some((title(one), pod_template(one)?)));
    let mut seen = 0;
    for (title, template) in templates {
        let mut pod = json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "one", "namespace": "restricted" }, "spec": template["spec"] });
        // a pod by itself; a deployment's says nothing or Always
        pod["spec"]["restartPolicy"] = json!("Never");
        cluster.create(&pod, Try::Dry).await.passes(&title);
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

/// Everything is only tried: nothing can run here, and the webhook
/// configurations must not gate other tests.
async fn accept(cluster: &Cluster, rendering: &str, objects: Vec<Value>) {
    assert!(!objects.is_empty());
    if objects.iter().any(|one| one["apiVersion"] == "cert-manager.io/v1") {
        let Some(definitions) = cert_manager() else { return };
        for definition in definitions {
            cluster.apply(&definition, Try::Real).await.passes(&title(&definition));
        }
        served(cluster, &objects).await;
    }
    cluster.namespace("ocisign", json!({})).await;
    cluster.namespace("a", json!({})).await;
    for object in &objects {
        let what = format!("{rendering}: {}", title(object));
        cluster.apply(object, Try::Dry).await.passes(&what);
    }
}

/// cert-manager's own definitions of its resources.
fn cert_manager() -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for name in ["cert-manager.io_issuers.yaml", "cert-manager.io_certificates.yaml"] {
        let path = peer(&format!("cert-manager-crds/{name}"))?;
        all.extend(rendered::documents(&std::fs::read_to_string(path).unwrap()));
    }
    Some(all)
}

/// Waits until the API server serves the kinds that it was just told of.
async fn served(cluster: &Cluster, objects: &[Value]) {
    let new = objects.iter().filter(|one| one["apiVersion"] == "cert-manager.io/v1");
    for object in new {
        let path = "/apis/cert-manager.io/v1";
        for attempt in 0.. {
            let answer = cluster.send("GET", path, "application/json", &Value::Null).await;
            let listed = answer.body["resources"].as_array().cloned().unwrap_or_default();
            if listed.iter().any(|one| one["kind"] == object["kind"]) {
                break;
            }
            assert!(attempt < 200, "{} is not served", title(object));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}
