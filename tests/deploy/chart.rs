//! The chart's life by the real helm against a real API server: installed,
//! upgraded, taken away; and values that it refuses.

use std::process::Command;

use serde_json::json;

use crate::cluster::Cluster;
use crate::common::peer;
use crate::common::run::{Sandbox, copy_folder, source};
use crate::rendered;

/// Values with which the configurations select nothing: no server is there.
const NOBODY: &[&str] = &[
    "webhook.namespaceExpressions[0].key=nobody",
    "webhook.namespaceExpressions[0].operator=Exists",
];

fn helm(sandbox: &Sandbox, words: &[&str], values: &[&str]) -> Option<String> {
    let mut command = Command::new(peer("helm")?);
    command.args(words).env("HOME", sandbox.path(".")).env("NO_PROXY", "127.0.0.1");
    command.arg("--kubeconfig").arg(sandbox.path("kubeconfig"));
    if words[0] != "uninstall" {
        let policy = format!("policy.document={}", rendered::policy().display());
        command.args(["--set-file", &policy]);
    }
    values.iter().for_each(|value| {
        command.args(["--set", value]);
    });
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_certificate_and_trust_and_an_uninstall_leaves_no_gate() {
    let Some(cluster) = Cluster::shared().await else { return };
    let sandbox = Sandbox::new();
    sandbox.write("kubeconfig", cluster.kubeconfig("admin"));
    sandbox.chmod("kubeconfig", 0o600);
    // an API server that was built from source does not know its version
    let chart = sandbox.path("chart");
    copy_folder(&source("deploy/helm/ocisign"), &chart);
    let about = String::from_utf8(sandbox.read("chart/Chart.yaml")).unwrap();
    let lines: Vec<_> = about.lines().filter(|line| !line.starts_with("kubeVersion")).collect();
    sandbox.write("chart/Chart.yaml", lines.join("\n"));
    let chart = chart.to_str().unwrap();
    let release = ["chart", chart, "--namespace", "chart", "--create-namespace"];
    let with = |verb| [&[verb][..], &release].concat();
    let Some(notes) = helm(&sandbox, &with("install"), NOBODY) else { return };
    assert!(notes.contains("kubectl delete mutatingwebhookconfiguration/chart-ocisign"), "{notes}");
    let rotate = "certificate rotate --kubeconfig kubeconfig --namespace chart \
        --service chart-ocisign --secret chart-ocisign-tls \
        --validating chart-ocisign --mutating chart-ocisign";
    sandbox.ocisign(rotate).exits(0).says("a certificate was made");
    let secret = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "chart-ocisign-tls", "namespace": "chart" } });
    let hook = json!({ "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": { "name": "chart-ocisign" } });
    let before = cluster.read(&secret).await.is(200).body["data"].clone();
    let more = [NOBODY, &["webhook.timeoutSeconds=7"]].concat();
    helm(&sandbox, &with("upgrade"), &more).unwrap();
    assert_eq!(cluster.read(&secret).await.is(200).body["data"], before);
    let hooks = cluster.read(&hook).await.is(200).body["webhooks"][0].clone();
    assert_eq!(hooks["timeoutSeconds"], 7);
    assert_eq!(hooks["clientConfig"]["caBundle"], before["ca.crt"]);
    sandbox.ocisign(rotate).exits(0).says("nothing is due").lacks("trusts");
    // the gate alone
    helm(&sandbox, &with("upgrade"), &["webhook.enabled=false"]).unwrap();
    cluster.read(&hook).await.is(404);
    helm(&sandbox, &with("upgrade"), NOBODY).unwrap();
    helm(&sandbox, &["uninstall", "chart", "--namespace", "chart"], &[]).unwrap();
    cluster.read(&hook).await.is(404);
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let Some(_) = peer("helm") else { return };
    for (value, says) in [
        ("mod=audit", "additional properties 'mod' not allowed"),
        ("mode=warn", "value must be one of 'enforce', 'audit'"),
        ("image.tag=latest", "/image/tag"),
        ("image.tag=", "say which build"),
        ("image.digest=sha256:1", "does not match pattern"),
        ("certificate.mode=existing", "/certificate/existingSecret"),
        ("webhook.failurePolicy=Ignore", "additional properties 'failurePolicy' not allowed"),
        ("webhook.timeoutSeconds=60", "maximum"),
        ("policy.document=", "give your policy"),
    ] {
        let mut command = rendered::helm_template("ocisign", "ocisign").unwrap();
        if value.starts_with("policy.document") {
            // the default: no policy is given
            command = Command::new(peer("helm").unwrap());
            command.arg("template").arg(source("deploy/helm/ocisign"));
            command.args(["--kube-version", "1.34.0"]);
        }
        let output = command.args(["--set", value]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} is taken");
        assert!(said.contains(says), "{value}: {said}");
    }
}

/// A policy pins the bytes of its key files, so not one may change on the way.
#[test]
fn policy_and_files_arrive_byte_for_byte() {
    let sandbox = Sandbox::new();
    for text in ["a\n", "a", "a\n\n", "\n a\r\n\tb: {{ c }} 'é' \"<&>\" # d\n", "- x\n...\n---\n"]
    {
        sandbox.write("file", text);
        let Some(mut command) = rendered::helm_template("ocisign", "ocisign") else { return };
        let file = format!("policy.files.release\\.pub={}", sandbox.path("file").display());
        let document = format!("policy.document={}", sandbox.path("file").display());
        let output = command.args(["--set-file", &file, "--set-file", &document]).output().unwrap();
        let objects = rendered::documents(&String::from_utf8(output.stdout).unwrap());
        let data = &rendered::only(&objects, "ConfigMap", "ocisign-policy")["data"];
        assert_eq!(data["release.pub"], text);
        assert_eq!(data["policy.json"], text);
    }
}

#[test]
fn the_chart_is_well_formed() {
    let Some(helm) = peer("helm") else { return };
    let policy = format!("policy.document={}", rendered::policy().display());
    let output = Command::new(helm)
        .arg("lint")
        .arg("--strict")
        .arg(source("deploy/helm/ocisign"))
        .args(["--kube-version", "1.34.0", "--set-file", &policy])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
