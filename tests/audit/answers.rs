//! What an audit says of each image, and of all.

use super::common::registry::Lie;
use super::{Scene, answers, lines};

#[test]
fn every_answer_has_its_cause() {
    let scene = Scene::new();
    let list = scene.of_each_answer();
    let ran = scene.audit(&list, "--output json").exits(2);
    let found = answers(&ran.stdout);
    for (image, decision, class, at) in [
        ("signed/good:v1", "allow", "", ""),
        ("open/app:v1", "allow", "", ""),
        ("audited/naked:v1", "allow", "", ""),
        ("signed/naked:v1", "deny", "unsigned", "ours/by-me"),
        ("signed/other:v1", "deny", "not-counting", "ours/by-me"),
        ("closed/app:v1", "deny", "rejected", "old"),
        ("stray/app:v1", "deny", "no-rule", ""),
        ("signed/missing:v1", "undecided", "absent", ""),
    ] {
        let line = &found[&scene.name(image)];
        assert_eq!(line["decision"], decision, "{line}");
        let cause = &line["causes"][0];
        assert_eq!(cause["class"].as_str().unwrap_or_default(), class, "{line}");
        assert_eq!(cause["at"].as_str().unwrap_or_default(), at, "{line}");
        assert_eq!(line["digest"].is_string(), decision != "undecided", "{line}");
    }
    let audited = &found[&scene.name("audited/naked:v1")]["wouldDeny"][0];
    assert_eq!((&audited["class"], &audited["at"]), (&"unsigned".into(), &"soon/by-me".into()));
    let all = lines(&ran.stdout);
    assert_eq!(all.first().unwrap()["type"], "audit");
    let summary = all.last().unwrap();
    assert_eq!(
        summary["totals"],
        serde_json::json!({"images": 8, "allow": 3, "deny": 4, "undecided": 1, "wouldDeny": 1})
    );
}

#[test]
fn the_summary_groups_by_cause_and_says_what_to_do() {
    let scene = Scene::new();
    let mut list = scene.of_each_answer();
    for number in 0..15 {
        scene.unsigned(&format!("signed/more-{number:02}"), "v1");
        list.push(scene.name(&format!("signed/more-{number:02}:v1")));
    }
    let ran = scene.audit(&list, "").exits(2);
    let said = &ran.stdout;
    for part in [
        "policy `shop` denies 19 of 23 images and allows 3, 1 of them only because of audit; \
         1 could not be decided on",
        "unsigned ours/by-me: 16 images",
        "needs a signature of me, for this repository; there is no signature",
        "to do: sign what was built by you (`ocisign sign --key KEY IMAGE`)",
        "and 6 more; `--output json` has all",
        "not-counting ours/by-me: 1 image",
        "rejected old: 1 image",
        "end of life",
        "no-rule: 1 image",
        "absent: 1 image",
        "allow only because of audit  1 image",
        "unsigned soon/by-me: 1 image",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{ran}");
    }
    // a person reads the largest group first
    assert!(said.find("16 images") < said.find("rejected old"), "{ran}");
}

#[test]
fn the_exit_code_is_the_greatest_answer() {
    let scene = Scene::new();
    scene.of_each_answer();
    for (images, code) in [
        (&["open/app:v1", "signed/good:v1", "audited/naked:v1"][..], 0),
        (&["open/app:v1", "closed/app:v1"][..], 1),
        (&["open/app:v1", "closed/app:v1", "signed/missing:v1"][..], 2),
        (&["open/app:v1", "no name!"][..], 2),
    ] {
        let list: Vec<String> = images.iter().map(|image| scene.name(image)).collect();
        scene.audit(&list, "").exits(code);
        scene.audit(&list, "--output json").exits(code);
        scene.audit(&list, "--output junit").exits(code);
        scene.audit(&list, "--output sarif").exits(code);
    }
}

/// Nothing to ask about is no proof that nothing would be denied.
#[test]
fn an_empty_list_is_no_clean_bill() {
    let scene = Scene::new();
    scene.audit(&["# nothing".to_owned()], "").exits(2).says("the list names no image");
}

#[test]
fn changed_bytes_are_denied_for_it() {
    let scene = Scene::new();
    let image = scene.signed("signed/app", "v1");
    let manifest = scene.registry.manifest("signed/app", "v1").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let (digest, config) = (&image.digest, manifest["config"]["digest"].as_str().unwrap());
    let pinned = format!("{}@{digest}", scene.name("signed/app"));
    for (name, asked) in [
        (pinned, format!("GET /v2/signed/app/manifests/{digest}")),
        (scene.name("signed/app:v1"), format!("GET /v2/signed/app/blobs/{config}")),
    ] {
        scene.registry.lie_times(1, &asked, Lie::Body(vec![b'x'; 300]));
        let ran = scene.audit(std::slice::from_ref(&name), "--output json");
        let line = &answers(&ran.stdout)[&name];
        assert_eq!(line["causes"][0]["class"], "integrity", "{ran}");
        ran.exits(1);
    }
}

#[test]
fn a_registry_that_fails_is_one_cause_and_no_denial() {
    let scene = Scene::new();
    let list: Vec<String> = (0..5)
        .map(|number| {
            scene.unsigned(&format!("signed/app-{number}"), "v1");
            scene.name(&format!("signed/app-{number}:v1"))
        })
        .collect();
    scene.registry.lie("GET /v2/*", Lie::Status(403));
    scene.audit(&list, "").exits(2).says("unauthorized: 5 images").lacks("deny  ");
}

#[test]
fn an_image_that_takes_too_long_is_given_up() {
    let scene = Scene::new();
    scene.unsigned("open/slow", "v1");
    scene.unsigned("open/quick", "v1");
    let wait = std::time::Duration::from_secs(20);
    scene.registry.lie("GET /v2/open/slow/*", Lie::Silent(wait));
    let list = [scene.name("open/slow:v1"), scene.name("open/quick:v1")];
    let began = std::time::Instant::now();
    let ran = scene.audit(&list, "--deadline 1 --output json").exits(2);
    assert!(began.elapsed() < wait, "{ran}");
    let found = answers(&ran.stdout);
    assert_eq!(found[&list[0]]["causes"][0]["class"], "deadline", "{ran}");
    assert_eq!(found[&list[1]]["decision"], "allow", "{ran}");
}

/// Two names of one digest are two questions with two answers.
#[test]
fn one_digest_under_two_rules_has_two_answers() {
    let scene = Scene::new();
    for repository in ["open/app", "closed/app"] {
        scene.unsigned(repository, "v1");
    }
    let bytes = scene.registry.manifest("open/app", "v1").unwrap();
    let kind = ocisign::image::media_type::OCI_MANIFEST;
    scene.registry.put_manifest("closed/app", Some("v1"), kind, &bytes);
    let list = [scene.name("open/app:v1"), scene.name("closed/app:v1")];
    let found = answers(&scene.audit(&list, "--output json").stdout);
    assert_eq!(found[&list[0]]["decision"], "allow");
    assert_eq!(found[&list[1]]["decision"], "deny");
}

#[test]
fn the_depth_is_said_and_layers_are_left_alone() {
    let scene = Scene::new();
    scene.unsigned("open/app", "v1");
    let list = [scene.name("open/app:v1")];
    let header = |options: &str| lines(&scene.audit(&list, options).stdout)[0].clone();
    assert_eq!(header("--output json")["depth"], "manifests");
    let layer = ocisign::Digest::sha256(super::LAYER);
    let layers = format!("GET /v2/open/app/blobs/{layer}");
    assert_eq!(scene.registry.count(&layers), 0);
    assert_eq!(header("--output json --depth layers")["depth"], "layers");
    assert_eq!(scene.registry.count(&layers), 1);
}
