//! The webhook configurations ask about every kind that the webhook can read.

use std::collections::BTreeSet;

use ocisign::limits::Limits;
use ocisign::webhook::review::Table;
use serde_json::{Value, json};

use crate::rendered::{self, only};

/// API group, version and resource.
type Resource = (String, String, String);

/// Every kind of the webhook's own table, as resources of the API, and the
/// subresource by which a running pod gets another container.
fn readable() -> BTreeSet<Resource> {
    let table = Table::built_in(&Limits::default());
    let resource = |group: &str, version: &str, name: &str| {
        (group.to_owned(), version.to_owned(), name.to_owned())
    };
    // none of them has an irregular plural; a wrong one would be in no rule
    let kinds = table.places().iter().map(|place| {
        resource(place.group, place.version, &format!("{}s", place.kind.to_lowercase()))
    });
    kinds.chain([resource("", "v1", "pods/ephemeralcontainers")]).collect()
}

/// What the rules of a configuration's only webhook select on CREATE and
/// UPDATE.
fn selected(configuration: &Value) -> BTreeSet<Resource> {
    let hooks = configuration["webhooks"].as_array().unwrap();
    assert_eq!(hooks.len(), 1);
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in hooks[0]["rules"].as_array().unwrap() {
        assert_eq!(rule["operations"], json!(["CREATE", "UPDATE"]));
        assert!(rule["scope"].is_null() || rule["scope"] == "Namespaced");
        for group in texts(&rule["apiGroups"]) {
            for version in texts(&rule["apiVersions"]) {
                let named = texts(&rule["resources"]).into_iter();
                all.extend(named.map(|name| (group.clone(), version.clone(), name)));
            }
        }
    }
    all
}

#[test]
fn every_kind_that_can_be_read_is_asked_about() {
    for overlay in rendered::OVERLAYS {
        let Some(objects) = rendered::overlay(overlay) else { return };
        let validating = only(&objects, "ValidatingWebhookConfiguration", "ocisign");
        assert_eq!(selected(validating), readable(), "{overlay}");
        if overlay != "audit" {
            let mutating = only(&objects, "MutatingWebhookConfiguration", "ocisign");
            assert_eq!(selected(mutating), readable(), "{overlay}");
        }
    }
    for (name, values) in rendered::CHARTS {
        let Some(objects) = rendered::helm(values) else { return };
        let validating = only(&objects, "ValidatingWebhookConfiguration", "ocisign");
        let missing: Vec<_> = readable().difference(&selected(validating)).cloned().collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
}

#[test]
fn pinning_can_be_for_pods_alone_and_for_nothing() {
    let Some(pods) = rendered::helm(&["mutation.pin=pods"]) else { return };
    let mutating = selected(only(&pods, "MutatingWebhookConfiguration", "ocisign"));
    let names: Vec<_> = mutating.iter().map(|(_, _, name)| name.as_str()).collect();
    assert_eq!(names, ["pods", "pods/ephemeralcontainers"]);
    for value in ["mutation.pin=off", "mode=audit"] {
        let Some(objects) = rendered::helm(&[value]) else { return };
        assert!(objects.iter().all(|one| one["kind"] != "MutatingWebhookConfiguration"));
    }
}

#[test]
fn the_configurations_fail_closed_and_have_no_way_around() {
    for overlay in ["self-managed", "cert-manager"] {
        let Some(objects) = rendered::overlay(overlay) else { return };
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
            let hook = &only(&objects, kind, "ocisign")["webhooks"][0];
            assert_eq!(hook["failurePolicy"], "Fail");
            assert_eq!(hook["matchPolicy"], "Equivalent");
            assert_eq!(hook["sideEffects"], "None");
            assert_eq!(hook["timeoutSeconds"], 10);
            assert_eq!(hook["admissionReviewVersions"], json!(["v1"]));
            // labels of objects are for clients to set
            assert!(hook["objectSelector"].is_null());
            let selector = json!({ "matchExpressions": [{ "key": "kubernetes.io/metadata.name",
                "operator": "NotIn", "values": ["kube-system", "ocisign"] }] });
            assert_eq!(hook["namespaceSelector"], selector);
            let conditions = hook["matchConditions"].as_array().unwrap();
            assert_eq!(conditions.len(), 1);
            // it looks at what is changed, not at who asks or what it is called
            let expression = conditions[0]["expression"].as_str().unwrap();
            assert!(!expression.contains("userInfo") && !expression.contains("labels"));
        }
        let mutating = only(&objects, "MutatingWebhookConfiguration", "ocisign");
        assert_eq!(mutating["webhooks"][0]["reinvocationPolicy"], "IfNeeded");
    }
    // what enforces nothing stops nothing either
    let Some(objects) = rendered::overlay("audit") else { return };
    let hook = &only(&objects, "ValidatingWebhookConfiguration", "ocisign")["webhooks"][0];
    assert_eq!(hook["failurePolicy"], "Ignore");
    let args = &only(&objects, "Deployment", "ocisign")["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert!(args.as_array().unwrap().contains(&json!("--audit")));
}
