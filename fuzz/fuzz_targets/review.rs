#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::Limits;
use ocisign::webhook::review::{BadReview, Options, Plan, Refusal, Review, Table, mutate, refuse};
use serde_json::Value;

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let places = include_bytes!("../../tests/data/reviews/places.json");
    Table::parse(places, &LIMITS).expect("a table")
});

/// Images of a pod, found in the plainest way.
fn images(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            found.extend(container["image"].as_str().map(str::to_owned));
        }
    }
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        found.extend(volume["image"]["reference"].as_str().map(str::to_owned));
    }
    found
}

fn check(review: &Review, plan: &Plan) {
    let object = review.object.clone().unwrap_or_default();
    for found in plan.uses.iter().chain(&plan.kept) {
        let text = object.pointer(&found.pointer).and_then(Value::as_str);
        assert_eq!(text.unwrap_or_default(), found.text, "{}", found.pointer);
    }
    if plan.nothing.is_none() && review.kind.to_string() == "v1 Pod" {
        let all = plan.uses.iter().chain(&plan.kept).filter(|found| !found.text.is_empty());
        let mut all: Vec<String> = all.map(|found| found.text.clone()).collect();
        let mut plain: Vec<String> = images(&object).into_iter().filter(|t| !t.is_empty()).collect();
        (all.sort(), plain.sort());
        assert_eq!(all, plain, "every image is found");
    }
    // nobody was asked, so nothing but an object without images is let in
    let response = mutate(review, plan, &plan.judged(Vec::new()), &Options::default());
    let answer: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(answer["response"]["allowed"], plan.uses.is_empty());
    assert_eq!(answer["response"]["uid"], review.uid);
}

fuzz_target!(|data: &[u8]| {
    let _ = Table::parse(data, &LIMITS);
    match Review::parse(data, &LIMITS) {
        Ok(review) => {
            if let Ok(plan) = review.plan(&TABLE) {
                check(&review, &plan);
            }
        }
        Err(BadReview { uid, reason }) => {
            let refusal = Refusal::Unreadable(reason);
            let response = refuse(&uid.unwrap_or_default(), &refusal, &Options::default());
            let answer: Value = serde_json::from_slice(response.body()).expect("JSON");
            assert_eq!(answer["response"]["allowed"], false);
        }
    }
});
