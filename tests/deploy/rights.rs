//! No right too many.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::rendered::{self, title};

/// Every rule of every role, by the account that has it: where, and what.
type Rights = BTreeMap<String, Vec<(String, Value)>>;

#[test]
fn an_account_may_do_what_its_pod_does_and_nothing_else() {
    let certificate = vec![
        (
            "everywhere".to_owned(),
            json!([{ "apiGroups": ["admissionregistration.k8s.io"],
                "resources": ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
                "resourceNames": ["ocisign"], "verbs": ["get", "patch"] }]),
        ),
        (
            "ocisign".to_owned(),
            json!([{ "apiGroups": [""], "resources": ["secrets"],
                "resourceNames": ["ocisign-tls"], "verbs": ["get", "patch"] }]),
        ),
    ];
    let secrets = json!([{ "apiGroups": [""], "resources": ["secrets", "serviceaccounts"],
        "verbs": ["get"] }]);
    let own = || ("ocisign/ocisign-certificate".to_owned(), certificate.clone());
    let server =
        |place: &str| ("ocisign/ocisign".to_owned(), vec![(place.to_owned(), secrets.clone())]);
    let pull_secrets = vec!["pullSecrets.enabled=true"];
    let in_one = vec!["pullSecrets.enabled=true", "pullSecrets.namespaces={a}"];
    let cases: [(Option<Vec<Value>>, Rights); 7] = [
        (rendered::overlay("self-managed"), [own()].into()),
        (rendered::overlay("audit"), [own()].into()),
        (rendered::overlay("cert-manager"), [].into()),
        (rendered::helm(&[]), [own()].into()),
        (rendered::helm(&["certificate.mode=cert-manager"]), [].into()),
        (rendered::helm(&pull_secrets), [own(), server("everywhere")].into()),
        (rendered::helm(&in_one), [own(), server("a")].into()),
    ];
    for (objects, expected) in cases {
        let Some(objects) = objects else { return };
        assert_eq!(rights(&objects), expected);
    }
}

#[test]
fn pull_secrets_are_read_by_whom_is_let() {
    let folder = tempfile::tempdir().unwrap();
    let text = "resources: [{base}/overlays/self-managed]\n\
                components: [{base}/components/pull-secrets]\n";
    let Some(objects) = rendered::customised(folder.path(), ".", text) else { return };
    let rights = rights(&objects);
    let everywhere = &rights["ocisign/ocisign"];
    assert_eq!(everywhere.len(), 1, "{everywhere:?}");
    assert_eq!(everywhere[0].1[0]["verbs"], json!(["get"]));
    let server = rendered::only(&objects, "Deployment", "ocisign");
    assert_eq!(server["spec"]["template"]["spec"]["automountServiceAccountToken"], true);
}

#[test]
fn who_needs_no_rights_gets_no_token() {
    for overlay in rendered::OVERLAYS {
        let Some(objects) = rendered::overlay(overlay) else { return };
        for object in &objects {
            let accounts = object["kind"] == "ServiceAccount";
            assert!(!accounts || object["automountServiceAccountToken"] == false);
            let Some(template) = rendered::pod_template(object) else { continue };
            let certificate = title(object).contains("certificate");
            let wanted = if certificate { "ocisign-certificate" } else { "ocisign" };
            assert_eq!(template["spec"]["serviceAccountName"], wanted);
            assert_eq!(template["spec"]["automountServiceAccountToken"], certificate);
        }
    }
}

/// The job that audits lists what has images, and changes nothing.
#[test]
fn the_audit_reads_what_has_images() {
    let rights = rights(&rendered::manifest("audit-job.yaml"));
    assert_eq!(rights.len(), 1, "{rights:?}");
    for (_, rules) in rights.values().flatten() {
        for rule in rules.as_array().unwrap() {
            let verbs = rule["verbs"].as_array().unwrap();
            assert!(verbs.iter().all(|verb| verb == "list" || verb == "get"), "{rule}");
            let resources = rule["resources"].as_array().unwrap();
            assert!(resources.iter().all(|one| one != "*" && one != "secrets"), "{rule}");
        }
    }
}

fn rights(objects: &[Value]) -> Rights {
    let mut rights = Rights::new();
    for binding in objects.iter().filter(|one| title(one).contains("RoleBinding ")) {
        let role = &binding["roleRef"];
        let rules = objects
            .iter()
            .find(|one| one["kind"] == role["kind"] && one["metadata"]["name"] == role["name"]);
        let rules = &rules.unwrap_or_else(|| panic!("no role for {}", title(binding)))["rules"];
        let place = binding["metadata"]["namespace"].as_str().unwrap_or("everywhere");
        for subject in binding["subjects"].as_array().unwrap() {
            assert_eq!(subject["kind"], "ServiceAccount");
            let text = |key: &str| subject[key].as_str().unwrap();
            let account = format!("{}/{}", text("namespace"), text("name"));
            rights.entry(account).or_default().push((place.to_owned(), rules.clone()));
        }
    }
    rights.values_mut().for_each(|all| all.sort_by(|a, b| a.0.cmp(&b.0)));
    rights
}
