//! What `/mutate` changes, and what it leaves alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocisign::webhook::review::{Outcome, mutate, validate};

use super::*;

/// The object after the patch of an answer, as RFC 6902 has it. Operations
/// other than `test` and `replace` are none that may stand there.
pub(super) fn applied(object: &Value, answer: &Value) -> Value {
    let mut object = object.clone();
    for operation in patch(answer) {
        let path = operation["path"].as_str().unwrap();
        let target = object.pointer_mut(path).unwrap_or_else(|| panic!("{path} must exist"));
        match operation["op"].as_str().unwrap() {
            "test" => assert_eq!(*target, operation["value"], "{path}"),
            "replace" => *target = operation["value"].clone(),
            other => panic!("{other}"),
        }
    }
    object
}

fn patch(answer: &Value) -> Vec<Value> {
    let Some(patch) = answer["response"].get("patch") else { return Vec::new() };
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    assert_eq!(answer["response"]["allowed"], true, "a patch of what is denied");
    serde_json::from_slice(&STANDARD.decode(patch.as_str().unwrap()).unwrap()).unwrap()
}

fn mutated(images: &[&str]) -> (Response, Value) {
    answered(mutate, &review("CREATE", &pod(images), None), &Options::default())
}

#[test]
fn a_tag_gets_the_digest_that_was_judged_and_its_name_in_full() {
    let (response, answer) = mutated(&["nginx:1.27"]);
    let path = "/spec/containers/0/image";
    let full = format!("docker.io/library/nginx:1.27@{}", digest_of("1.27"));
    assert_eq!(
        patch(&answer),
        [
            json!({"op": "test", "path": path, "value": "nginx:1.27"}),
            json!({"op": "replace", "path": path, "value": full}),
        ]
    );
    assert_eq!(response.patched(), 1);
}

#[test]
fn a_text_with_a_digest_is_left_as_it_is_written() {
    let (_, answer) = mutated(&[&format!("nginx@{}", digest_of("v1"))]);
    assert_eq!(patch(&answer), [] as [Value; 0]);
}

#[test]
fn containers_of_one_image_get_one_digest() {
    let images = ["registry.example/app:v1"; 8];
    let body = review("CREATE", &pod(&images), None);
    assert_eq!(planned(&body).inquiries().len(), 1, "one question, however many containers");
    let (_, answer) = answered(mutate, &body, &Options::default());
    let after = applied(&pod(&images), &answer);
    let pinned = format!("registry.example/app:v1@{}", digest_of("v1"));
    assert_eq!(after, pod(&[pinned.as_str(); 8]));
}

#[test]
fn nothing_is_patched_where_one_image_is_not_admitted() {
    for other in ["bad.example/app:v1", "gone.example/app:v1", "$(IMAGE)"] {
        let (response, answer) = mutated(&["nginx", other]);
        assert_ne!(response.outcome(), Outcome::Allowed, "{other}");
        assert_eq!(answer["response"]["allowed"], false, "{other}");
        assert_eq!(answer["response"].get("patch"), None, "{other}");
    }
}

/// The template of a Job is immutable: to pin it would fail an update that is
/// about something else.
#[test]
fn an_image_that_stays_is_judged_and_not_rewritten() {
    let object = pod(&["nginx"]);
    let body = review("UPDATE", &object, Some(&object));
    let (response, answer) = answered(mutate, &body, &Options::default());
    assert_eq!(response.images().len(), 1, "judged");
    assert_eq!(patch(&answer), [] as [Value; 0]);
    let strict = Options { pinned_only: true, ..Options::default() };
    let (response, _) = answered(validate, &body, &strict);
    assert_eq!(response.outcome(), Outcome::Allowed, "pinning is asked of new images");
    let denied = pod(&["bad.example/app:v1"]);
    let body = review("UPDATE", &denied, Some(&denied));
    let (response, _) = answered(mutate, &body, &Options::default());
    assert_eq!(response.outcome(), Outcome::Denied, "unpinned, so judged again");
}

#[test]
fn audit_watches_and_rewrites_nothing() {
    let audit = Options { audit: true, ..Options::default() };
    let (_, answer) = answered(mutate, &review("CREATE", &pod(&["nginx"]), None), &audit);
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(patch(&answer), [] as [Value; 0]);
}

#[test]
fn custom_resources_are_patched_at_their_places() {
    let object = json!({"apiVersion": "odd.example/v1", "kind": "Odd",
        "spec": {"a/b": {"c~d": {"image": "nginx"}}, "other": [{"image": "nginx:1.27"}]}});
    let (_, answer) = answered(mutate, &review("CREATE", &object, None), &Options::default());
    let after = applied(&object, &answer);
    let latest = format!("docker.io/library/nginx:latest@{}", digest_of("latest"));
    assert_eq!(after["spec"]["a/b"]["c~d"]["image"], latest);
    let tagged = format!("docker.io/library/nginx:1.27@{}", digest_of("1.27"));
    assert_eq!(after["spec"]["other"][0]["image"], tagged);
}
