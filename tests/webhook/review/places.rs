//! The table of places: its file, and what it must not be able to do.

use ocisign::webhook::review::{Role, images_of};

use super::*;

fn parse(kinds: Value) -> Result<Table, String> {
    let file = json!({"ocisign": "image-places/1", "kinds": kinds}).to_string();
    Table::parse(file.as_bytes(), &Limits::default()).map_err(|bad| bad.reason)
}

fn one(path: &str) -> Result<Table, String> {
    parse(json!([{"group": "x.example", "kind": "Thing", "images": [path]}]))
}

#[test]
fn a_file_that_could_mean_two_things_does_not_load() {
    let kind = |more: Value| {
        let mut kind = json!({"group": "x.example", "kind": "Thing", "images": ["$.image"]});
        kind.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        kind
    };
    let plain = kind(json!({}));
    for (kinds, why) in [
        (json!([plain, plain]), "stands twice"),
        (json!([kind(json!({"version": "v1"})), plain]), "stands twice"),
        (json!([kind(json!({"group": "apps", "kind": "Deployment"}))]), "built in"),
        (json!([kind(json!({"group": "", "kind": "Pod"}))]), "write its group"),
        (json!([kind(json!({"group": "batch", "kind": "Job", "version": "v9"}))]), "built in"),
        (json!([kind(json!({"images": []}))]), "has no paths"),
        (json!([kind(json!({"version": ""}))]), "no usable version"),
        (json!([kind(json!({"Images": []}))]), "case only"),
        (json!([kind(json!({"paths": []}))]), "unknown field"),
        (json!([kind(json!({"images": "$.image"}))]), "invalid type"),
        (json!({}), "invalid type"),
    ] {
        let reason = parse(kinds.clone()).expect_err(&kinds.to_string());
        assert!(reason.contains(why), "{kinds}: {reason}");
    }
    let versions = [kind(json!({"version": "v1"})), kind(json!({"version": "v2"}))];
    assert_eq!(parse(json!(versions)).unwrap().custom_kinds().count(), 2);
    let limits = Limits::default();
    let twice = br#"{"ocisign": "image-places/1", "kinds": [], "kinds": []}"#;
    assert!(Table::parse(twice, &limits).is_err());
    assert!(Table::parse(br#"{"ocisign": "image-places/2", "kinds": []}"#, &limits).is_err());
    let long = vec![b' '; usize::try_from(limits.policy_bytes).unwrap() + 1];
    assert!(Table::parse(&long, &limits).unwrap_err().reason.contains("longer than"));
}

#[test]
fn paths_are_those_of_rfc_9535_whose_work_is_bounded() {
    for good in ["$.spec.image", "$..image", "$.a[*].image", "$.a['b.c'].d", "$.a[?@.b == 1].image"]
    {
        assert!(one(good).is_ok(), "{good}: {:?}", one(good));
    }
    for bad in ["", "spec.image", "$.", "$.a[", "$..", "{.spec.image}"] {
        let reason = one(bad).expect_err(bad);
        assert!(reason.contains("is no JSONPath"), "{bad}: {reason}");
    }
    for slow in ["$..*", "$..[*]", "$..a..b", "$..a[?@.b]", "$.a[?$.b[*]]"] {
        let reason = one(slow).expect_err(slow);
        assert!(reason.contains("could take long"), "{slow}: {reason}");
    }
    assert!(one(&format!("$.{}", "a".repeat(2000))).unwrap_err().contains("longer than"));
}

#[test]
fn a_bare_object_is_read_by_the_kind_that_it_names() {
    let limits = Limits::default();
    let table = Table::built_in(&limits);
    let uses = images_of(&table, &pod(&["nginx", ""])).unwrap();
    assert_eq!(uses.len(), 2);
    assert_eq!(uses[0].role, Role::Container);
    assert_eq!(uses[0].reference.as_ref().unwrap().to_string(), "docker.io/library/nginx:latest");
    assert!(uses[1].reference.is_err());
    for object in [
        json!({}),
        json!([]),
        json!("x"),
        json!({"apiVersion": "v1"}),
        json!({"apiVersion": 1, "kind": "Pod"}),
        json!({"apiVersion": "v1", "kind": "Node"}),
    ] {
        assert!(images_of(&table, &object).is_err(), "{object}");
    }
}

#[test]
fn a_place_that_two_paths_find_is_judged_once() {
    let kinds = json!([{"group": "x.example", "kind": "Thing", "podSpecs": ["$.spec"],
        "images": ["$.spec.containers[*].image", "$..image"]}]);
    let table = parse(kinds).unwrap();
    let object = json!({"apiVersion": "x.example/v1", "kind": "Thing",
        "spec": {"containers": [{"name": "a", "image": "nginx"}]}});
    let uses = images_of(&table, &object).unwrap();
    assert_eq!(uses.len(), 1);
    assert_eq!(uses[0].role, Role::Container, "the pod spec tells more");
}

/// Pods of one object may use different credentials: they are never mixed.
#[test]
fn each_pod_spec_brings_its_own_credentials() {
    let kinds = json!([{"group": "x.example", "kind": "Thing", "podSpecs": ["$.pods[*]"],
        "images": ["$.image"]}]);
    let table = parse(kinds).unwrap();
    let containers = json!([{"name": "a", "image": "nginx"}, {"name": "b", "image": "nginx"}]);
    let object = json!({"apiVersion": "x.example/v1", "kind": "Thing", "image": "nginx", "pods": [
        {"containers": containers, "imagePullSecrets": [{"name": "one"}]},
        {"containers": containers, "serviceAccount": "older-field"},
    ]});
    let plan = parsed(&review("CREATE", &object, None)).plan(&table).unwrap();
    assert_eq!(plan.uses.len(), 5);
    let asked = plan.inquiries();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().any(|a| a.access.pull_secrets == ["one"]));
    assert!(asked.iter().any(|a| a.access.service_account == "older-field"));
}

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admission-reviews.md"))
        .unwrap()
}

#[test]
fn the_page_has_a_table_that_loads() {
    let page = page();
    let block = page.split("```json\n").find(|block| block.contains("image-places/1")).unwrap();
    let file = block.split("```").next().unwrap();
    let table = Table::parse(file.as_bytes(), &Limits::default()).unwrap();
    let kinds: Vec<_> = table.custom_kinds().collect();
    assert_eq!(kinds, [("argoproj.io", "Rollout"), ("tekton.dev", "Task")]);
}

#[test]
fn the_page_lists_every_kind_with_its_place() {
    let mut told = Vec::new();
    for row in page().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some((version, kinds)) = cells[1].split_once("` ") else { continue };
        let way = cells[2].trim_matches('`');
        if way.ends_with("/spec") {
            let kinds = kinds.split(", ").map(|kind| format!("{} {kind} {way}", &version[1..]));
            told.extend(kinds);
        }
    }
    let places = Table::built_in(&Limits::default()).places();
    let known: Vec<String> = places
        .iter()
        .map(|place| {
            let version = match place.group {
                "" => place.version.to_owned(),
                group => format!("{group}/{}", place.version),
            };
            format!("{version} {} /{}", place.kind, place.pod_spec.join("/"))
        })
        .collect();
    told.sort();
    assert_eq!(told, {
        let mut known = known;
        known.sort();
        known
    });
    for field in ocisign::webhook::review::IMAGE_FIELDS {
        assert!(page().contains(&format!("`{}`", field.list)), "{field:?}");
    }
}
