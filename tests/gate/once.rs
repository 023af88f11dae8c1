//! Questions that share one resolution and one verification.

use std::sync::Arc;
use std::time::Duration;

use ocisign::gate::{Gate, Origin, Settings, Undecided};
use ocisign::image::Depth;
use ocisign::{Decision, Limits};

use crate::common::registry::{Lie, Options, Registry};
use crate::scene::*;

/// So slow that what is asked at once overlaps.
fn slow(registry: &Registry, what: &str) {
    registry.lie(what, Lie::Drip(200, Duration::from_millis(50)));
}

/// A pod of eight containers with one image.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_questions_are_one_verification() {
    let (registry, image) = signed_app();
    slow(&registry, "GET /v2/app/manifests/v1");
    slow(&registry, "GET /v2/app/referrers/*");
    let diary = Arc::new(Diary::default());
    let engine = engine(&signed_by("ana"));
    let gate = Arc::new(Gate::with(engine, places(), Settings::default(), diary.clone()));
    let pod: Vec<_> = (0..8)
        .map(|_| {
            let (gate, question) = (gate.clone(), question(name(&registry, REPOSITORY, ":v1")));
            tokio::spawn(async move { told(gate.judge(&question).await) })
        })
        .collect();
    let mut verified = 0;
    for container in pod {
        let (decision, origin) = container.await.unwrap();
        assert_eq!(decision, Decision::Allow);
        verified += usize::from(origin == Origin::Verified);
    }
    assert_eq!(verified, 1);
    assert_eq!((diary.count("resolved true"), diary.count("verifying")), (1, 1));
    assert_eq!(registry.count("GET /v2/app/manifests/v1"), 1);
    assert_eq!(registry.count(&format!("GET /v2/app/referrers/{}*", image.digest)), 1);
    // the manifest came with the tag, and is not asked for again by its digest
    assert_eq!(registry.count(&format!("GET /v2/app/manifests/{}", image.digest)), 0);
    assert_eq!((gate.load().verifications, gate.load().resolutions), (0, 0));
}

#[tokio::test]
async fn a_name_with_a_digest_is_not_resolved() {
    let (registry, image) = signed_app();
    let gate = gate();
    let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
    assert_eq!(gate.resolve(&question(&pinned)).await.unwrap(), image.digest);
    assert_eq!(registry.requests().len(), 0);
    assert_eq!(ask(&gate, &pinned).await, ALLOWED);
    let asked = registry.requests().len();
    assert_eq!(ask(&gate, &pinned).await, STILL_ALLOWED);
    assert_eq!(registry.requests().len(), asked, "what is remembered of a digest asks nobody");
}

/// Nothing of a tag is remembered: what is judged is what it names now.
#[tokio::test]
async fn a_tag_that_moved_is_judged_by_its_new_digest() {
    let (registry, first) = signed_app();
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let answer = gate.judge(&question(&tagged)).await.unwrap();
    assert_eq!(*answer.admit().unwrap().digest(), first.digest);
    let second = push(&registry, REPOSITORY, "v1", "two");
    assert_eq!(ask(&gate, &tagged).await, DENIED, "nobody has signed the new one");
    sign(&registry, REPOSITORY, &second, "ana", None);
    push(&registry, REPOSITORY, "v1", "one");
    let answer = gate.judge(&question(&tagged)).await.unwrap();
    assert_eq!(*answer.admit().unwrap().digest(), first.digest);
    assert_eq!(answer.origin(), Origin::Remembered);
}

/// The digest that was resolved is the digest that is judged, though the tag
/// moves at that very moment.
#[tokio::test]
async fn a_tag_that_moves_while_it_is_judged_admits_what_was_judged() {
    let (registry, first) = signed_app();
    slow(&registry, "GET /v2/app/referrers/*");
    let gate = gate();
    let asked = {
        let (gate, question) = (gate.clone(), question(name(&registry, REPOSITORY, ":v1")));
        tokio::spawn(async move { gate.judge(&question).await })
    };
    until("the listing is read", || registry.count("GET /v2/app/referrers/*") > 0).await;
    push(&registry, REPOSITORY, "v1", "two");
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(*answer.admit().unwrap().digest(), first.digest);
}

/// Who asks first may leave; the others still get their answer.
#[tokio::test]
async fn an_asker_that_leaves_ends_nothing_for_the_others() {
    let (registry, _) = signed_app();
    slow(&registry, "GET /v2/app/referrers/*");
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let first = {
        let (gate, question) = (gate.clone(), question(&tagged));
        tokio::spawn(async move { gate.judge(&question).await })
    };
    until("the listing is read", || registry.count("GET /v2/app/referrers/*") > 0).await;
    let second = {
        let (gate, question) = (gate.clone(), question(&tagged));
        tokio::spawn(async move { told(gate.judge(&question).await) })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    first.abort();
    let (decision, _) = second.await.unwrap();
    assert_eq!(decision, Decision::Allow);
    assert_eq!(registry.count("GET /v2/app/referrers/*"), 1);
}

/// Every byte before admission takes long; it goes on in the background, and
/// the second request is quick.
#[tokio::test]
async fn what_takes_too_long_goes_on_and_the_next_request_is_quick() {
    for depth in [Depth::Layers, Depth::Contents] {
        let registry = Registry::start(Options::default());
        let layer = &tar("data", &vec![7; 600 << 10]);
        let image = push_layers(&registry, REPOSITORY, "v1", &[layer]);
        sign(&registry, REPOSITORY, &image, "ana", None);
        let blob = format!("GET /v2/app/blobs/{}", ocisign::Digest::sha256(layer));
        registry.lie(&blob, Lie::Drip(100 << 10, Duration::from_millis(100)));
        let gate = gate();
        let mut asked = question(name(&registry, REPOSITORY, ":v1"));
        (asked.depth, asked.patience) = (depth, Duration::from_millis(200));
        let first = gate.judge(&asked).await;
        assert!(matches!(first, Err(Undecided::Deadline(_))), "{first:?}");
        until("it lands", || gate.load().verifications == 0).await;
        let answer = gate.judge(&asked).await.unwrap();
        assert_eq!(answer.verdict().depth, depth);
        assert_eq!(told(Ok(answer)), STILL_ALLOWED);
        assert_eq!(registry.count(&blob), 1);
    }
}

/// A layer that several images share is fetched once, at each of the depths
/// that read layers.
#[tokio::test]
async fn a_layer_that_was_hashed_is_not_fetched_again() {
    for depth in [Depth::Layers, Depth::Contents] {
        let registry = Registry::start(Options::default());
        let shared = &tar("shared", &vec![1; 700 << 10]);
        let gate = gate();
        for repository in ["one", "two", "three"] {
            let own = tar(repository, repository.as_bytes());
            let image = push_layers(&registry, repository, "v1", &[shared, &own]);
            sign(&registry, repository, &image, "ana", None);
            let mut asked = question(name(&registry, repository, ":v1"));
            asked.depth = depth;
            assert_eq!(told(gate.judge(&asked).await), ALLOWED, "{repository}");
        }
        let fetched = registry.count(&format!("GET */blobs/{}", ocisign::Digest::sha256(shared)));
        assert_eq!(fetched, 1, "{depth:?}");
    }
}

/// What the remembered layer cannot hide: another layer that is wrong.
#[tokio::test]
async fn a_wrong_layer_is_neither_remembered_nor_excused() {
    let registry = Registry::start(Options::default());
    let layer = &tar("data", &vec![3; 700 << 10]);
    let image = push_layers(&registry, REPOSITORY, "v1", &[layer]);
    sign(&registry, REPOSITORY, &image, "ana", None);
    let blob = format!("GET /v2/app/blobs/{}", ocisign::Digest::sha256(layer));
    let mut wrong = layer.clone();
    wrong[1000] ^= 1;
    registry.lie_times(1, &blob, Lie::Body(wrong));
    let hands = Hands::new();
    let gate = gate_with(engine(&signed_by("ana")), hands.settings());
    let mut asked = question(name(&registry, REPOSITORY, ":v1"));
    asked.depth = Depth::Layers;
    assert_eq!(told(gate.judge(&asked).await), DENIED);
    hands.pass(11);
    assert_eq!(told(gate.judge(&asked).await), ALLOWED);
    assert_eq!(registry.count(&blob), 2);
}

/// A deeper answer is another answer.
#[tokio::test]
async fn each_depth_is_verified_by_itself() {
    let (registry, _) = signed_app();
    let gate = gate();
    for depth in [Depth::Manifests, Depth::Layers] {
        let mut asked = question(name(&registry, REPOSITORY, ":v1"));
        asked.depth = depth;
        let answer = gate.judge(&asked).await.unwrap();
        assert_eq!(answer.verdict().depth, depth);
        assert_eq!(told(Ok(answer)), ALLOWED);
        assert_eq!(told(gate.judge(&asked).await), STILL_ALLOWED);
    }
}

/// More than can be held is refused at once, and the rest is not harmed.
#[tokio::test]
async fn more_than_can_wait_is_refused_at_once() {
    let registry = Registry::start(Options::default());
    registry.lie("GET /v2/*", Lie::Drip(1, Duration::from_millis(20)));
    let limits = Limits { verifications: 2, waiting: 2, ..limits() };
    let engine = engine_of(&policy(&signed_by("ana"), &serde_json::json!({})), &limits);
    let gate = gate_with(engine, Settings::default());
    let mut under_way = Vec::new();
    let mut busy = 0;
    for number in 0..6 {
        let image = push(&registry, &format!("app{number}"), "v1", &number.to_string());
        let pinned = name(&registry, &format!("app{number}"), &format!("@{}", image.digest));
        let (gate, question) = (gate.clone(), question(pinned));
        let mut asked = tokio::spawn(async move { gate.judge(&question).await });
        tokio::select! {
            answer = &mut asked => {
                assert!(matches!(answer.unwrap(), Err(Undecided::Busy(3))));
                busy += 1;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => under_way.push(asked),
        }
    }
    // one host gets three quarters of the four
    assert_eq!((under_way.len(), busy), (3, 3));
    under_way.iter().for_each(tokio::task::JoinHandle::abort);
}

/// One registry that stalls takes no room from another.
#[tokio::test]
async fn a_registry_that_stalls_does_not_hold_up_another() {
    let stalled = Registry::start(Options::default());
    stalled.lie("GET /v2/*", Lie::Silent(BOUND));
    let (registry, _) = signed_app();
    let limits = Limits { verifications: 4, ..limits() };
    let engine = engine_of(&policy(&signed_by("ana"), &serde_json::json!({})), &limits);
    let gate = gate_with(engine, Settings::default());
    for number in 0..20 {
        let mut asked = question(name(&stalled, &format!("app{number}"), ":v1"));
        asked.patience = Duration::from_millis(10);
        assert!(matches!(gate.judge(&asked).await, Err(Undecided::Deadline(_))));
    }
    assert_eq!(gate.load().resolutions, 20);
    assert_eq!(ask(&gate, name(&registry, REPOSITORY, ":v1")).await, ALLOWED);
}

/// A tar of one file.
fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes).unwrap();
    tar.into_inner().unwrap()
}
