//! What is not decided is denied, and says so.

use std::time::{Duration, Instant};

use super::cluster::eventually;
use super::common::registry::{Lie, Options, Registry};
use super::world::{Hook, World, simple_pod};

#[test]
fn a_registry_that_stalls_is_a_denial_within_the_time_of_the_api_server() {
    let Some(mut w) = World::new("stalls") else { return };
    let stalled = Registry::start(Options::default());
    stalled.lie("*", Lie::Silent(Duration::from_secs(60)));
    w.serve("");
    w.register(&[Hook::Validate], |webhook| webhook["timeoutSeconds"] = 3.into());
    let began = Instant::now();
    let image = format!("{}/app:v1", stalled.host());
    let reply = w.cluster.create(&w.collection("Pod"), &simple_pod("p", &image));
    let took = began.elapsed();
    let message = reply.denied();
    assert!(message.contains("undecided") && message.contains(&image), "{message}");
    assert!(took < Duration::from_secs(3), "the webhook answers first: {took:?}");
    // and others are not held up
    w.cluster.create(&w.collection("Pod"), &simple_pod("q", &w.signed)).succeeds();
}

#[test]
fn a_registry_that_fails_or_is_gone_is_undecided() {
    let Some(mut w) = World::guarded("fails", &[Hook::Validate]) else { return };
    let failing = Registry::start(Options::default());
    failing.lie("*", Lie::Status(500));
    let image = format!("{}/app:v1", failing.host());
    let reply = w.cluster.create(&w.collection("Pod"), &simple_pod("p", &image));
    assert!(reply.denied().contains("undecided"), "{reply:#?}");
    w.close_registry();
    let other = w.signed.replace("/signed:", "/other:");
    let reply = w.cluster.create(&w.collection("Pod"), &simple_pod("p", &other));
    assert!(reply.denied().contains("undecided"), "{reply:#?}");
}

#[test]
fn without_the_webhook_nothing_is_admitted_until_it_is_back() {
    let Some(mut w) = World::guarded("killed", &[Hook::Validate]) else { return };
    let create = |w: &World, name: &str| {
        w.cluster.create(&w.collection("Pod"), &simple_pod(name, &w.signed))
    };
    create(&w, "a").succeeds();
    w.kill();
    let reply = create(&w, "b");
    assert!(reply.fails().contains("failed calling webhook"), "{reply:#?}");
    assert_eq!(w.cluster.read(&w.path("Pod", "b")).status, 404);
    w.serve("");
    create(&w, "b").succeeds();
    w.cluster.create(&w.collection("Pod"), &simple_pod("c", &w.unsigned)).denied();
}

#[test]
fn a_webhook_that_stands_still_is_a_denial_by_the_api_server() {
    let Some(mut w) = World::new("still") else { return };
    w.serve("");
    w.register(&[Hook::Validate], |webhook| webhook["timeoutSeconds"] = 1.into());
    w.signal("-STOP");
    let reply = w.cluster.create(&w.collection("Pod"), &simple_pod("p", &w.signed));
    assert!(reply.fails().contains("failed calling webhook"), "{reply:#?}");
    w.signal("-CONT");
    let again = || w.cluster.create(&w.collection("Pod"), &simple_pod("p", &w.signed)).status;
    assert!(eventually(Duration::from_secs(10), || again() == 201));
}

#[test]
fn an_image_that_is_signed_after_its_denial_is_soon_admitted() {
    let Some(w) = World::guarded("soon", &[Hook::Validate]) else { return };
    let image = w.push("late:v1");
    let create = || w.cluster.create(&w.collection("Pod"), &simple_pod("late", &image));
    create().denied();
    w.sandbox.ocisign(&format!("sign --key me.key {image}")).exits(0);
    let admitted = eventually(Duration::from_secs(12), || create().status == 201);
    assert!(admitted, "{:#?}", create());
}

#[test]
fn a_new_policy_decides_without_a_restart_and_a_broken_one_does_not() {
    let Some(mut w) = World::new("reload") else { return };
    w.serve("--reload-every 200ms");
    w.register(&[Hook::Validate], |_| {});
    let create = |name: &str, image: &str| {
        w.cluster.create(&w.collection("Pod"), &simple_pod(name, image)).status
    };
    let second = Duration::from_secs(1);
    w.sandbox.write("policy.json", "{ broken");
    std::thread::sleep(second);
    assert_eq!(create("a", &w.signed), 201, "the old one decides");
    assert_eq!(create("b", &w.unsigned), 403, "{}", w.log());
    w.sandbox.ocisign("key generate --no-password --output other").exits(0);
    let other = super::world::POLICY.replace("me.pub", "other.pub");
    w.sandbox.write("policy.json", other);
    assert!(eventually(second * 10, || create("c", &w.signed) == 403), "{}", w.log());
}
