//! Creating every kind of workload, with the image at every place.

use serde_json::json;

use super::kinds::{KINDS, PLACES, Place, object};
use super::world::{Hook, World, simple_pod};

#[test]
fn every_image_of_every_kind_is_verified() {
    let Some(w) = World::guarded("kinds", &[Hook::Validate]) else { return };
    for (kind, _) in KINDS {
        for place in PLACES {
            let name = format!("{kind}-{place:?}").to_lowercase();
            let bad = object(kind, &name, &place.spec(&w.unsigned, &w.signed));
            let reply = w.cluster.create(&w.collection(kind), &bad);
            let message = reply.denied();
            for part in [&w.unsigned, "signed-by-me", "validate.admission.ocisign"] {
                assert!(message.contains(part), "{kind} {place:?}: no `{part}` in {message}");
            }
            assert!(!message.contains(&w.signed), "{kind} {place:?}: {message}");
            let good = object(kind, &name, &place.spec(&w.signed, &w.signed));
            w.cluster.create(&w.collection(kind), &good).succeeds();
        }
    }
}

#[test]
fn every_image_of_every_kind_is_pinned_to_the_digest_that_was_verified() {
    let Some(w) = World::guarded("pins", &[Hook::Validate, Hook::Mutate]) else { return };
    let listed =
        w.sandbox.ocisign(&format!("verify --output json --key me.pub {}", w.signed)).exits(0);
    let digest = listed.json()["digest"].as_str().unwrap().to_owned();
    let pinned = format!("{}@{digest}", w.signed);
    for (kind, spec) in KINDS {
        for place in PLACES {
            let name = format!("{kind}-{place:?}").to_lowercase();
            let bad = object(kind, &name, &place.spec(&w.unsigned, &w.signed));
            w.cluster.create(&w.collection(kind), &bad).denied();
            let good = object(kind, &name, &place.spec(&w.signed, &w.signed));
            let made = w.cluster.create(&w.collection(kind), &good).succeeds().json;
            for pointer in [place.pointer(), "/containers/0/image"] {
                let at = format!("{spec}{pointer}");
                assert_eq!(made.pointer(&at).unwrap(), pinned.as_str(), "{kind} {at}");
            }
            // what is pinned stays as it is
            let again = w.cluster.replace(&w.path(kind, &name), &made).succeeds().json;
            assert_eq!(again.pointer(spec), made.pointer(spec), "{kind} {place:?}");
        }
    }
}

#[test]
fn a_denial_names_each_image_that_is_denied_and_why() {
    let Some(w) = World::guarded("denials", &[Hook::Validate]) else { return };
    let none = w.signed.replace("/signed:", "/none:");
    let spec = json!({
        "containers": [
            {"name": "good", "image": w.signed},
            {"name": "bad", "image": w.unsigned},
            {"name": "gone", "image": none},
        ],
        "initContainers": [{"name": "odd", "image": "Registry.example/UPPER:v1"}],
    });
    let reply = w.cluster.create(&w.collection("Pod"), &object("Pod", "p", &spec));
    let message = reply.denied();
    for part in ["bad", &w.unsigned, "signed-by-me", "gone", &none, "odd", "UPPER"] {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
    assert!(!message.contains(&w.signed), "{message}");
    let reply = w.cluster.create(&w.collection("Pod"), &simple_pod("p", ""));
    assert!(reply.fails().contains("image"), "{reply:#?}");
}

#[test]
fn a_dry_run_is_decided_like_any_other_and_stores_nothing() {
    let Some(w) = World::guarded("dry-run", &[Hook::Validate, Hook::Mutate]) else { return };
    let dry = format!("{}?dryRun=All", w.collection("Pod"));
    w.cluster.create(&dry, &simple_pod("bad", &w.unsigned)).denied();
    let made = w.cluster.create(&dry, &simple_pod("good", &w.signed)).succeeds().json;
    let image = made.pointer("/spec/containers/0/image").unwrap().as_str().unwrap();
    assert!(image.starts_with(&format!("{}@sha256:", w.signed)), "{image}");
    assert_eq!(w.cluster.read(&w.path("Pod", "good")).status, 404);
}

#[test]
fn a_pod_of_eight_containers_with_one_image_is_one_verification() {
    let Some(w) = World::guarded("eight", &[Hook::Validate]) else { return };
    let image = w.push("eight:v1");
    w.sandbox.ocisign(&format!("sign --key me.key {image}")).exits(0);
    let verified = || w.metric("ocisign_verdicts_total", &["origin=\"verified\""]);
    let before = verified();
    let containers: Vec<_> =
        (0..8).map(|n| json!({"name": format!("c{n}"), "image": image})).collect();
    let pod = object("Pod", "eight", &json!({"containers": containers}));
    w.cluster.create(&w.collection("Pod"), &pod).succeeds();
    assert_eq!(verified() - before, 1.0, "{}", w.log());
    // and none for the same image in another pod
    w.cluster.create(&w.collection("Pod"), &simple_pod("ninth", &image)).succeeds();
    assert_eq!(verified() - before, 1.0, "{}", w.log());
}

#[test]
fn server_side_apply_is_decided_and_what_was_pinned_can_be_applied_again() {
    let Some(w) = World::guarded("apply", &[Hook::Validate, Hook::Mutate]) else { return };
    let path = w.path("Deployment", "app");
    let spec = |image: &str| object("Deployment", "app", &Place::Container.spec(image, image));
    w.cluster.apply(&path, &spec(&w.unsigned)).denied();
    let first = w.cluster.apply(&path, &spec(&w.signed)).succeeds().json;
    let image = "/spec/template/spec/containers/0/image";
    assert!(first.pointer(image).unwrap().as_str().unwrap().contains("@sha256:"));
    // the applier still owns the field, so the same manifest meets no conflict
    let second = w.cluster.apply(&path, &spec(&w.signed)).succeeds().json;
    assert_eq!(second.pointer(image), first.pointer(image));
    assert_eq!(second["metadata"]["generation"], first["metadata"]["generation"]);
    w.cluster.apply(&path, &spec(&w.unsigned)).denied();
}
