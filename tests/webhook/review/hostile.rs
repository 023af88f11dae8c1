//! Input that is meant to hurt: too long, too many, too deep, nearly right.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Generous: the machine may be busy. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(20);

fn reason(body: &[u8]) -> String {
    let began = Instant::now();
    let reason = match Review::parse(body, &Limits::default()) {
        Err(bad) => bad.reason,
        Ok(review) => review.plan(&table()).map(|_| ()).unwrap_err().reason,
    };
    assert!(began.elapsed() < SOON, "{reason}");
    reason
}

#[test]
fn what_is_too_long_or_too_many_is_refused_before_it_is_decoded() {
    let most = usize::try_from(Limits::default().review_bytes).unwrap();
    assert!(reason(&vec![b' '; most + 1]).contains("longer than 8388608 bytes"));
    let values = format!("[{}0]", "0,".repeat(200_000));
    let body = json!({"request": {"x": "VALUES"}}).to_string().replace("\"VALUES\"", &values);
    assert!(reason(body.as_bytes()).contains("more than 100000 values"));
    // commas in a text are no values
    let mut object = pod(&["nginx"]);
    object["metadata"]["annotations"] = json!({"a": ",[{".repeat(200_000)});
    let body = review("CREATE", &object, None).to_string();
    assert!(Review::parse(body.as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn thousands_of_containers_are_one_refusal() {
    let names: Vec<String> = (0..20_000).map(|n| format!("registry.example/app:v{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let body = review("CREATE", &pod(&names), None).to_string();
    assert!(reason(body.as_bytes()).contains("more than 256 images"));
    // in the old object alone they vouch for nothing, and harm nobody
    let body = review("UPDATE", &pod(&["nginx"]), Some(&pod(&names)));
    assert_eq!(planned(&body).uses.len(), 1);
}

#[test]
fn many_images_below_a_long_key_take_no_memory() {
    let images: Vec<Value> = (0..200).map(|_| json!({"image": "nginx"})).collect();
    let spec = json!({"k".repeat(4 << 20): images});
    let object = json!({"apiVersion": "odd.example/v1", "kind": "Odd", "spec": spec});
    let body = review("CREATE", &object, None).to_string();
    assert!(reason(body.as_bytes()).contains("below keys of more than 1024 bytes"));
}

#[test]
fn many_pull_secrets_are_one_refusal() {
    let secrets: Vec<Value> = (0..20_000).map(|n| json!({"name": format!("s{n}")})).collect();
    let mut object = pod(&["nginx"]);
    object["spec"]["imagePullSecrets"] = json!(secrets);
    let body = review("CREATE", &object, None).to_string();
    assert!(reason(body.as_bytes()).contains("pull secrets"));
}

#[test]
fn a_review_shown_for_debugging_shows_no_object() {
    let mut object = pod(&["nginx"]);
    object["spec"]["containers"][0]["env"] = json!([{"name": "T", "value": "hunter2"}]);
    let shown = format!("{:?}", parsed(&review("UPDATE", &object, Some(&object))));
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// A bad byte anywhere is refused, or read as what stands there then. Where
/// the webhook would see fewer images than the object has, the bytes that make
/// the difference must be the webhook's own: a key of the way, or a kind.
#[test]
fn every_byte_of_a_review_flipped_panics_nowhere() {
    let object = pod(&["registry.example/app:v1", "registry.example/b:v1"]);
    let body = review("CREATE", &object, None).to_string().into_bytes();
    let table = table();
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut bytes = body.clone();
            bytes[at] ^= 1 << bit;
            let Ok(review) = Review::parse(&bytes, &Limits::default()) else { continue };
            let Ok(plan) = review.plan(&table) else { continue };
            let answers = plan.inquiries().iter().map(|_| unasked()).collect();
            let judged = plan.judged(answers);
            let response =
                ocisign::webhook::review::mutate(&review, &plan, &judged, &Options::default());
            let answer: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(answer["response"]["allowed"], plan.uses.is_empty());
        }
    }
}

fn unasked() -> Result<Answer, Undecided> {
    Err(Undecided::Deadline(Duration::from_secs(1)))
}

/// One spelling of a key in another case, of each key on the way.
#[test]
fn no_key_on_the_way_to_an_image_can_be_spelt_otherwise() {
    let object = json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate":
    {"spec": {"template": {"spec": {
        "containers": [{"name": "a", "image": "nginx"}],
        "initContainers": [{"name": "a", "image": "nginx"}],
        "ephemeralContainers": [{"name": "a", "image": "nginx"}],
        "volumes": [{"name": "v", "image": {"reference": "nginx"}}],
        "imagePullSecrets": [{"name": "one"}], "serviceAccountName": "a",
    }}}}}});
    let body = review("CREATE", &object, None).to_string();
    assert_eq!(planned(&serde_json::from_str(&body).unwrap()).uses.len(), 4);
    let keys = [
        "uid",
        "operation",
        "object",
        "jobTemplate",
        "template",
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
        "image",
        "reference",
        "imagePullSecrets",
        "serviceAccountName",
    ];
    for key in keys {
        let quoted = format!("\"{key}\":");
        assert!(body.contains(&quoted), "{key}");
        let upper = body.replace(&quoted, &format!("\"{}\":", key.to_uppercase()));
        assert!(reason(upper.as_bytes()).contains("in case only"), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Review::parse(&bytes, &Limits::default()).is_err());
        prop_assert!(Table::parse(&bytes, &Limits::default()).is_err());
    }

    #[test]
    fn any_text_is_normalised_or_refused(text in "\\PC{0,40}|[a-zA-Z0-9.:/@_-]{0,80}") {
        let plan = planned(&review("CREATE", &pod(&[&text]), None));
        prop_assert_eq!(&plan.uses[0].text, &text);
        if let Ok(reference) = &plan.uses[0].reference {
            let normal = reference.to_string();
            prop_assert_eq!(&normal.parse::<Reference>().unwrap(), reference, "{}", normal);
        }
    }
}
