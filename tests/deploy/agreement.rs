//! kustomize and Helm say the same; and both say what deploy/ promises.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common::run::Sandbox;
use crate::rendered::{self, only, pod_template, title};

/// Kinds whose content must be the same but for labels.
const SAME: [&str; 14] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CronJob",
    "Deployment",
    "HorizontalPodAutoscaler",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ValidatingWebhookConfiguration",
];

#[test]
fn the_chart_and_the_overlays_make_the_same_objects() {
    for (overlay, values) in [
        ("self-managed", &[][..]),
        ("cert-manager", &["certificate.mode=cert-manager"]),
        ("audit", &["mode=audit"]),
    ] {
        let (Some(overlay_objects), Some(chart)) =
            (rendered::overlay(overlay), rendered::helm(values))
        else {
            return;
        };
        let (one, other) = (essence(&overlay_objects), essence(&chart));
        assert!(one.len() >= 7, "{:?}", one.keys());
        let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&one), names(&other), "{overlay}");
        for (title, object) in one {
            assert_eq!(object, other[&title], "{overlay}: {title}");
        }
    }
}

/// The objects by name, without what each of the two may say in its own way.
fn essence(objects: &[Value]) -> BTreeMap<String, Value> {
    let same = objects.iter().filter(|one| SAME.contains(&one["kind"].as_str().unwrap()));
    same.map(|one| {
        let mut bare = one.clone();
        without(&mut bare, &["labels", "matchLabels", "selector", "helm.sh/chart"]);
        let audits = title(one) == "CronJob ocisign-certificate";
        if audits {
            // whether to wait, and for what, is each one's own
            let args = "/spec/jobTemplate/spec/template/spec/containers/0/args";
            let args = bare.pointer_mut(args).unwrap().as_array_mut().unwrap();
            args.retain(|arg| {
                !arg.as_str().unwrap().starts_with("--wait") && arg != "--mutating=ocisign"
            });
        }
        (title(one), bare)
    })
    .collect()
}

fn without(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !keys.contains(&key.as_str()));
            map.values_mut().for_each(|value| without(value, keys));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| without(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn renderings() -> Option<Vec<(String, Vec<Value>)>> {
    let mut all = Vec::new();
    for overlay in rendered::OVERLAYS {
        all.push((format!("overlay {overlay}"), rendered::overlay(overlay)?));
    }
    for (name, values) in rendered::CHARTS {
        all.push((format!("chart {name}"), rendered::helm(values)?));
    }
    all.push(("audit-job.yaml".to_owned(), rendered::manifest("audit-job.yaml")));
    Some(all)
}

#[test]
fn every_image_has_a_version() {
    for (rendering, objects) in renderings().unwrap_or_default() {
        for template in objects.iter().filter_map(pod_template) {
            for container in template["spec"]["containers"].as_array().unwrap() {
                let image = container["image"].as_str().unwrap();
                let last = image.rsplit('/').next().unwrap();
                let tagged = last.contains(':') && !last.ends_with(":latest");
                assert!(tagged, "{rendering}: {image}");
            }
        }
    }
}

/// Every command line of a manifest is one of this program: what stops it is
/// that here are no such files and no cluster.
#[test]
fn every_command_line_is_understood() {
    let sandbox = Sandbox::new();
    let mut lines = BTreeSet::new();
    for (_, objects) in renderings().unwrap_or_default() {
        for template in objects.iter().filter_map(pod_template) {
            let args = template["spec"]["containers"][0]["args"].as_array().unwrap();
            let words: Vec<_> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
            lines.insert(words.join(" ").replace("$(JOB_COMPLETION_INDEX)", "0"));
        }
    }
    for line in &lines {
        let ran = sandbox.ocisign(line).exits(2).lacks("Usage").lacks("unexpected");
        let files = ran.stderr.contains("`/etc/ocisign/");
        assert!(files || ran.stderr.contains("--kubeconfig"), "{ran}");
    }
    assert!(lines.is_empty() || lines.len() > 5, "{lines:?}");
}

#[test]
fn every_container_can_do_nothing_but_its_work() {
    for (rendering, objects) in renderings().unwrap_or_default() {
        for object in &objects {
            let Some(template) = pod_template(object) else { continue };
            let what = format!("{rendering}: {}", title(object));
            let pod = &template["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{what}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
                assert!(pod[field].is_null(), "{what}: {field}");
            }
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["readOnlyRootFilesystem"], true, "{what}");
                assert_eq!(context["allowPrivilegeEscalation"], false, "{what}");
                assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{what}");
                assert!(context["capabilities"]["add"].is_null(), "{what}");
                assert!(container["resources"]["requests"]["memory"].is_string(), "{what}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{what}");
            }
        }
    }
}

#[test]
fn the_server_survives_a_node_a_drain_and_an_update() {
    for overlay in rendered::OVERLAYS {
        let Some(objects) = rendered::overlay(overlay) else { return };
        let server = &only(&objects, "Deployment", "ocisign")["spec"];
        assert!(server["replicas"].is_null(), "the autoscaler has the number");
        let scaling = &only(&objects, "HorizontalPodAutoscaler", "ocisign")["spec"];
        assert!(scaling["minReplicas"].as_u64().unwrap() >= 3);
        assert_eq!(scaling["scaleTargetRef"]["name"], "ocisign");
        assert_eq!(server["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        let budget = &only(&objects, "PodDisruptionBudget", "ocisign")["spec"];
        assert_eq!(budget["maxUnavailable"], 1);
        let pod = &server["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        assert!(pod["affinity"]["podAntiAffinity"].is_object());
        let labels = server["template"]["metadata"]["labels"].as_object().unwrap();
        for selector in [&server["selector"]["matchLabels"], &budget["selector"]["matchLabels"]] {
            let wanted = selector.as_object().unwrap();
            assert!(wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
        }
        // longer than the server takes to end: --lame-duck and --drain
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 5 + 30);
    }
}
