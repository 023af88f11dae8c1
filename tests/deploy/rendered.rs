//! Manifests as the real kustomize and the real helm render them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::peer;
use crate::common::run::source;

/// The overlays of deploy/kustomize: the server and its part of the API
/// server.
pub const OVERLAYS: [&str; 3] = ["self-managed", "cert-manager", "audit"];

/// What the chart is rendered with: a name, and values.
pub const CHARTS: &[(&str, &[&str])] = &[
    ("self-managed", &[]),
    ("cert-manager", &["certificate.mode=cert-manager"]),
    ("audit", &["mode=audit"]),
    ("pull-secrets", &["pullSecrets.enabled=true"]),
    ("pull-secrets in one namespace", &["pullSecrets.enabled=true", "pullSecrets.namespaces={a}"]),
    ("pods only", &["mutation.pin=pods"]),
    ("no autoscaling", &["autoscaling.enabled=false", "replicas=4"]),
    (
        "everything",
        &[
            "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "registry.existingSecret=registries",
            "registry.existingCaConfigMap=ca",
            "imagePullSecrets={mine}",
            "webhook.exemptNamespaces={storage}",
            "webhook.namespaceExpressions[0].key=ocisign/admission",
            "webhook.namespaceExpressions[0].operator=In",
            "webhook.namespaceExpressions[0].values={enforce}",
            "extraArgs={--pinned-only}",
            "nodeSelector.disk=ssd",
            "tolerations[0].operator=Exists",
            "networkPolicy.extraEgress[0].ports[0].port=5000",
            "podAnnotations.note=yes",
            "extraRules[0].apiGroups={argoproj.io}",
            "extraRules[0].apiVersions={v1alpha1}",
            "extraRules[0].resources={rollouts}",
            "extraRules[0].operations={CREATE,UPDATE}",
        ],
    ),
];

/// What kustomize makes of a folder of deploy/kustomize; `None` where it is
/// not installed.
pub fn kustomize(folder: &str) -> Option<Vec<Value>> {
    build(&source("deploy/kustomize").join(folder))
}

/// An overlay with its webhook configurations.
pub fn overlay(name: &str) -> Option<Vec<Value>> {
    let mut all = kustomize(&format!("overlays/{name}"))?;
    all.extend(kustomize(&format!("overlays/{name}/webhooks"))?);
    Some(all)
}

/// What kustomize makes of a folder over one of deploy/kustomize, which
/// `{base}` stands for.
pub fn customised(folder: &Path, base: &str, text: &str) -> Option<Vec<Value>> {
    let base = source("deploy/kustomize").join(base).canonicalize().unwrap();
    let folder = folder.canonicalize().unwrap();
    let up = "../".repeat(folder.components().count() - 1);
    let base = format!("{up}{}", base.strip_prefix("/").unwrap().display());
    std::fs::write(folder.join("kustomization.yaml"), text.replace("{base}", &base)).unwrap();
    build(&folder)
}

fn build(folder: &Path) -> Option<Vec<Value>> {
    let text = run(Command::new(peer("kustomize")?).arg("build").arg(folder));
    Some(documents(&text))
}

/// What helm makes of the chart as release `ocisign` in namespace `ocisign`.
pub fn helm(values: &[&str]) -> Option<Vec<Value>> {
    let mut command = helm_template("ocisign", "ocisign")?;
    for value in values {
        command.args(["--set", value]);
    }
    Some(documents(&run(&mut command)))
}

/// `helm template` of the chart with a policy. Built from source helm has no
/// cluster's version in it.
pub fn helm_template(release: &str, namespace: &str) -> Option<Command> {
    let mut command = Command::new(peer("helm")?);
    let policy = format!("policy.document={}", policy().display());
    command.arg("template").arg(release).arg(source("deploy/helm/ocisign"));
    command.args(["--namespace", namespace, "--kube-version", "1.34.0", "--set-file", &policy]);
    Some(command)
}

/// The policy that kustomize's base has.
pub fn policy() -> PathBuf {
    source("deploy/kustomize/base/policy/policy.json")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The documents of a YAML stream, empty ones left out.
pub fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|one| !one.is_null()).collect()
}

/// A file of deploy/, as it lies there.
pub fn manifest(name: &str) -> Vec<Value> {
    documents(&std::fs::read_to_string(source("deploy").join(name)).unwrap())
}

/// The only object of a kind and name.
#[track_caller]
pub fn only<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = all.iter().filter(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    let one = found.next().unwrap_or_else(|| panic!("no {kind} `{name}`"));
    assert!(found.next().is_none(), "two of {kind} `{name}`");
    one
}

/// `Kind name`, for messages and for sorting.
pub fn title(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap();
    format!("{} {name}", object["kind"].as_str().unwrap())
}

/// The pod templates of an object, wherever its kind has them.
pub fn pod_template(object: &Value) -> Option<&Value> {
    let spec = match object["kind"].as_str().unwrap() {
        "Deployment" | "Job" => &object["spec"],
        "CronJob" => &object["spec"]["jobTemplate"]["spec"],
        _ => return None,
    };
    Some(&spec["template"])
}
