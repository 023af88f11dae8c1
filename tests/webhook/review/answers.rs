//! What is said: message, warnings and annotations, all of them bounded.

use ocisign::webhook::review::{Outcome, Refusal, mutate, refuse, validate};

use super::*;

const ENFORCE: Options = Options { audit: false, pinned_only: false };
const AUDIT: Options = Options { audit: true, pinned_only: false };

fn of(webhook: Webhook, images: &[&str], options: &Options) -> (Response, Value) {
    answered(webhook, &review("CREATE", &pod(images), None), options)
}

fn warnings(answer: &Value) -> Vec<String> {
    let warnings = answer["response"].get("warnings").cloned().unwrap_or(json!([]));
    serde_json::from_value(warnings).unwrap()
}

fn annotation(answer: &Value, index: usize) -> Value {
    let text = &answer["response"]["auditAnnotations"][format!("image-{index}")];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[test]
fn an_allow_repeats_the_uid_and_says_on_what_grounds() {
    let (response, answer) = of(validate, &["registry.example/app:v1"], &ENFORCE);
    assert_eq!(response.outcome(), Outcome::Allowed);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], "uid-1");
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"].get("status"), None);
    let told = annotation(&answer, 0);
    assert_eq!(told["decision"], "allow");
    assert_eq!(told["digest"], digest_of("v1").to_string());
    assert_eq!(told["rule"], "open");
    assert_eq!(told["depth"], "manifests");
    assert_eq!(told["image"], "registry.example/app:v1");
    assert!(told["policy"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn a_denial_names_each_image_and_the_failing_check() {
    let images = ["signed.example/app:v1", "registry.example/app:v1", "bad.example/app:v2"];
    let (response, answer) = of(validate, &images, &ENFORCE);
    assert_eq!(response.outcome(), Outcome::Denied);
    let status = &answer["response"]["status"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(403), &json!("Forbidden")));
    let lines: Vec<&str> = status["message"].as_str().unwrap().lines().collect();
    let found = format!("{}: no signature counts, 1 needed", digest_of("v1"));
    assert_eq!(
        lines,
        [
            format!(
                "ocisign: container `c0`: signed.example/app:v1 denied: these checks do not \
                 hold: release/signed (a signature of ana; found: {found})"
            ),
            "container `c2`: bad.example/app:v2 denied: rejected by rule `closed`: a test"
                .to_owned(),
        ]
    );
    assert_eq!(annotation(&answer, 0)["decision"], "deny");
    assert_eq!(annotation(&answer, 1)["decision"], "allow");
}

#[test]
fn what_could_not_be_judged_is_a_denial_that_says_so() {
    let (response, answer) = of(validate, &["gone.example/app:v1"], &ENFORCE);
    assert_eq!(response.outcome(), Outcome::Undecided);
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("gone.example/app:v1 undecided: "), "{message}");
    let (response, _) = of(validate, &["gone.example/app:v1", "bad.example/app:v1"], &ENFORCE);
    assert_eq!(response.outcome(), Outcome::Denied, "trying again does not help");
}

#[test]
fn a_text_that_names_no_image_is_denied_with_the_reason() {
    for text in ["", " nginx", "docker://nginx", "registry.example/App:v1"] {
        let (response, answer) = of(mutate, &[text], &ENFORCE);
        assert_eq!(response.outcome(), Outcome::Denied, "{text}");
        let message = answer["response"]["status"]["message"].as_str().unwrap();
        assert!(message.contains(" denied: "), "{message}");
    }
}

#[test]
fn an_answer_counts_for_its_own_question_alone() {
    let body = review("CREATE", &pod(&["registry.example/a:v1", "bad.example/b:v1"]), None);
    let (review, plan) = (parsed(&body), planned(&body));
    let right = judged(&plan);
    let wrong: [(&str, Vec<Judged>); 4] = [
        ("none", Vec::new()),
        ("too few", right[..1].to_vec()),
        ("swapped", right.iter().rev().cloned().collect()),
        ("the allow for both", vec![right[0].clone(), right[0].clone()]),
    ];
    for (name, judged) in wrong {
        for webhook in [validate as Webhook, mutate] {
            let response = webhook(&review, &plan, &judged, &ENFORCE);
            assert_eq!(response.outcome(), Outcome::Undecided, "{name}");
        }
    }
    assert_eq!(validate(&review, &plan, &right, &ENFORCE).outcome(), Outcome::Denied);
    // a digest in the text is the one that must have been judged
    let pinned = format!("registry.example/a:v1@{}", digest_of("v2"));
    let body = super::review("CREATE", &pod(&[pinned.as_str()]), None);
    let (review, plan) = (parsed(&body), planned(&body));
    let other = Judged::Answered(judge(&"registry.example/a:v1".parse().unwrap()).unwrap());
    assert_eq!(validate(&review, &plan, &[other], &ENFORCE).outcome(), Outcome::Undecided);
}

#[test]
fn a_tag_that_can_move_is_warned_of_and_denied_where_pins_are_asked_for() {
    let (_, answer) = of(validate, &["nginx:1.27"], &ENFORCE);
    let told = warnings(&answer);
    assert!(told.len() == 1 && told[0].contains("its tag can move"), "{told:?}");
    assert_eq!(warnings(&of(mutate, &["nginx:1.27"], &ENFORCE).1), [] as [&str; 0]);
    let strict = Options { pinned_only: true, ..ENFORCE };
    let (response, answer) = of(validate, &["nginx:1.27"], &strict);
    assert_eq!(response.outcome(), Outcome::Denied);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("pin it to sha256:") && message.contains("/mutate"), "{message}");
    let pinned = format!("nginx:1.27@{}", digest_of("1.27"));
    let (response, answer) = of(validate, &[&pinned], &strict);
    assert_eq!(response.outcome(), Outcome::Allowed);
    assert_eq!(warnings(&answer), [] as [&str; 0]);
    assert_eq!(of(mutate, &["nginx"], &strict).0.outcome(), Outcome::Allowed, "it pins");
}

#[test]
fn audit_lets_everything_through_and_says_what_it_would_not() {
    let images = ["bad.example/app:v1", "gone.example/app:v1", "nginx:1.27"];
    let (response, answer) = of(validate, &images, &AUDIT);
    assert_eq!(response.outcome(), Outcome::AuditedDeny);
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["auditAnnotations"]["outcome"], "audit-deny");
    let told = warnings(&answer);
    assert!(told[0].contains("bad.example/app:v1 denied"), "{told:?}");
    assert!(told[1].contains("gone.example/app:v1 undecided"), "{told:?}");
    assert_eq!(annotation(&answer, 0)["decision"], "deny");
    let (response, _) = of(validate, &["gone.example/app:v1"], &AUDIT);
    assert_eq!(response.outcome(), Outcome::AuditedUndecided);
}

#[test]
fn what_is_refused_unread_is_denied_or_in_audit_warned_of() {
    let why = Refusal::Unreadable("no such kind".to_owned());
    let busy = Refusal::Undecided("no time left".to_owned());
    for (refusal, options, outcome, allowed) in [
        (&why, ENFORCE, Outcome::Denied, false),
        (&busy, ENFORCE, Outcome::Undecided, false),
        (&why, AUDIT, Outcome::AuditedDeny, true),
        (&busy, AUDIT, Outcome::AuditedUndecided, true),
    ] {
        let response = refuse("uid-2", refusal, &options);
        assert_eq!(response.outcome(), outcome);
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(answer["response"]["uid"], "uid-2");
        assert_eq!(answer["response"]["allowed"], allowed);
        assert_eq!(warnings(&answer).len(), usize::from(allowed), "{answer}");
        let annotations = &answer["response"]["auditAnnotations"];
        assert_eq!(annotations["message"], response.message().unwrap());
    }
}

#[test]
fn a_rule_in_its_trial_warns() {
    for webhook in [validate as Webhook, mutate] {
        let (response, answer) = of(webhook, &["trial.example/app:v1"], &ENFORCE);
        assert_eq!(response.outcome(), Outcome::Allowed);
        let told = warnings(&answer);
        assert!(told[0].contains("audit lets through: trial/signed"), "{told:?}");
        assert_eq!(annotation(&answer, 0)["wouldDeny"], json!(["trial/signed"]));
    }
}

/// Bounds of the API server, and of Events.
fn is_bounded(response: &Response, answer: &Value) {
    let warnings = warnings(answer);
    for warning in &warnings {
        assert!(warning.len() <= 256, "{warning}");
        assert!(warning.bytes().all(|b| (b' '..=b'~').contains(&b)), "{warning}");
    }
    assert!(warnings.iter().map(String::len).sum::<usize>() <= 4096);
    let mut all = 0;
    for (key, value) in answer["response"]["auditAnnotations"].as_object().unwrap() {
        assert!(key.len() <= 63 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        all += value.as_str().unwrap().len();
        assert!(value.as_str().unwrap().len() <= 1024, "{value}");
    }
    assert!(all < 100 << 10, "{all}");
    assert!(response.message().is_none_or(|message| message.len() <= 1024));
}

#[test]
fn answers_stay_small_however_much_there_is_to_say() {
    let long = format!("bad.example/{}:v1", "a".repeat(200));
    let junk = "\u{202e}\u{7}é".repeat(300);
    for text in [long.as_str(), &junk, "trial.example/app:v1", "gone.example/app:v1", "nginx"] {
        for count in [1, 2, 40, 256] {
            for options in [ENFORCE, AUDIT] {
                for webhook in [validate as Webhook, mutate] {
                    let (response, answer) = of(webhook, &vec![text; count], &options);
                    is_bounded(&response, &answer);
                    let told = annotation(&answer, count - 1);
                    assert!(told["decision"].is_string(), "every image has its decision");
                }
            }
        }
    }
    let (response, _) = of(validate, &vec![long.as_str(); 40], &ENFORCE);
    let message = response.message().unwrap();
    assert!(message.ends_with(" more"), "{message}");
}

#[test]
fn texts_of_others_reach_nobody_s_terminal_unescaped() {
    let mut object = pod(&["bad.example/app:v1"]);
    object["spec"]["containers"][0]["name"] = json!("a\u{1b}[2J\u{202e}b\nc");
    let body = review("CREATE", &object, None);
    for options in [ENFORCE, AUDIT] {
        let (response, answer) = answered(validate, &body, &options);
        is_bounded(&response, &answer);
        let message = response.message().unwrap();
        assert!(message.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{message:?}");
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn what_stays_is_counted() {
    let object = pod(&[&format!("registry.example/app:v1@{}", digest_of("v1"))]);
    let (response, answer) =
        answered(validate, &review("UPDATE", &object, Some(&object)), &ENFORCE);
    assert_eq!(response.outcome(), Outcome::Allowed);
    assert_eq!(answer["response"]["auditAnnotations"]["kept"], "1");
}
