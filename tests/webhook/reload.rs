//! Policies and keys: taken while reviews go on, each whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::run::source;
use crate::served::*;

/// Nothing may run.
fn closed(serial: u64) -> String {
    policy(serial, r#""reject": {"reason": "closed"}"#)
}

async fn takes(served: &Served, content: &str) {
    let digest = ocisign::Digest::sha256(content.as_bytes()).to_string();
    served.replace("policy.json", content);
    served.until("the policy is taken", async |s| s.get("/readyz").await.1.contains(&digest)).await;
}

#[tokio::test]
async fn another_policy_decides_without_a_restart() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let served = Setup::new().start().await;
    let review = pod("1", &[&images.name("app", "v1")]);
    assert_eq!(served.review("/validate", &review).await["allowed"], true);

    takes(&served, &closed(2)).await;
    let denied = served.review("/validate", &review).await;
    assert_eq!(denied["allowed"], false);
    assert!(denied["status"]["message"].as_str().unwrap().contains("closed"), "{denied}");

    takes(&served, &signed_policy(3)).await;
    assert_eq!(served.review("/validate", &review).await["allowed"], true);
    let info = "ocisign_policy_info{name=\"test\",serial=\"3\"";
    assert!(served.get("/metrics").await.1.contains(info));
    assert_eq!(served.metric("ocisign_policy_reloads_total{result=\"taken\"}").await, 2.0);
}

#[tokio::test]
async fn a_policy_that_is_broken_is_refused_and_the_old_one_decides() {
    let images = Images::new();
    images.signed("app", "v1").await;
    images.unsigned("app", "v2");
    let served = Setup::new().start().await;
    let good = std::fs::read_to_string(served.path("policy.json")).unwrap();
    let unreadable = good.replace("demo.pub", "gone.pub");
    for broken in ["", "{", "{}", "\0\0\0", &good[..good.len() / 2], unreadable.as_str()] {
        served.replace("policy.json", broken);
        let refused = |text: &str| text.contains("not taken: policy");
        served.until("it is refused", async |s| refused(&s.get("/readyz").await.1)).await;
        let (status, ready) = served.get("/readyz").await;
        assert_eq!(status, 200, "{ready}");
        assert!(ready.contains(&ocisign::Digest::sha256(good.as_bytes()).to_string()), "{ready}");
        for (tag, allowed) in [("v1", true), ("v2", false)] {
            let review = pod("1", &[&images.name("app", tag)]);
            assert_eq!(served.review("/validate", &review).await["allowed"], allowed);
        }
        served.replace("policy.json", &good);
        served.until("it is taken", async |s| !refused(&s.get("/readyz").await.1)).await;
    }
    let told = served.logged("policy-refused");
    assert!(told.len() >= 6, "{told:?}");
    assert!(told.iter().any(|line| line["message"].as_str().unwrap().contains("policy.json:1:1")));
}

#[tokio::test]
async fn a_key_file_that_changes_is_read_again() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let served = Setup::new().start().await;
    let review = pod("1", &[&images.name("app", "v1")]);
    assert_eq!(served.review("/validate", &review).await["allowed"], true);
    let other = std::fs::read_to_string(source("keys-test/ed25519/key.pub")).unwrap();
    served.replace("demo.pub", &other);
    served
        .until("the key is taken", async |s| {
            s.metric("ocisign_policy_reloads_total{result=\"taken\"}").await >= 1.0
        })
        .await;
    let denied = served.review("/validate", &review).await;
    assert_eq!(denied["allowed"], false, "the key that signed it is trusted no more: {denied}");
}

#[tokio::test]
async fn links_that_change_their_target_are_seen() {
    use std::os::unix::fs::symlink;
    let mut setup = Setup::new();
    let path = |name: &str| setup.folder.path().join(name);
    // as a ConfigMap is mounted: policy.json -> ..data/policy.json, ..data -> ..one
    for (folder, content) in [("..one", signed_policy(1)), ("..two", closed(2))] {
        std::fs::create_dir(path(folder)).unwrap();
        std::fs::write(path(folder).join("policy.json"), content).unwrap();
        std::fs::copy(path("demo.pub"), path(folder).join("demo.pub")).unwrap();
    }
    symlink("..one", path("..data")).unwrap();
    std::fs::create_dir(path("mount")).unwrap();
    symlink("../..data/policy.json", path("mount/policy.json")).unwrap();
    symlink("../..data/demo.pub", path("mount/demo.pub")).unwrap();
    setup.settings.policy = path("mount/policy.json");
    let served = setup.start().await;
    symlink("..two", served.path("..new")).unwrap();
    std::fs::rename(served.path("..new"), served.path("..data")).unwrap();
    let digest = ocisign::Digest::sha256(closed(2).as_bytes()).to_string();
    served.until("it is taken", async |s| s.get("/readyz").await.1.contains(&digest)).await;
}

#[tokio::test]
async fn being_told_to_look_needs_no_wait() {
    let mut setup = Setup::new();
    setup.settings.reload_every = Duration::from_secs(3600);
    let served = setup.start().await;
    served.replace("policy.json", &closed(2));
    served.control.reload();
    let digest = ocisign::Digest::sha256(closed(2).as_bytes()).to_string();
    served.until("it is taken", async |s| s.get("/readyz").await.1.contains(&digest)).await;
}

/// Policies flip while clients ask; no answer is lost, and none but those of
/// the two policies is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_change_under_load_without_a_gap() {
    let images = Images::new();
    images.signed("app", "v1").await;
    images.unsigned("app", "v2");
    let served = Arc::new(Setup::new().start().await);
    let (signed, unsigned) = (images.name("app", "v1"), images.name("app", "v2"));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (served, stop) = (Arc::clone(&served), Arc::clone(&stop));
            let (signed, unsigned) = (signed.clone(), unsigned.clone());
            tokio::spawn(async move {
                let mut seen = [0_usize; 2];
                while !stop.load(Ordering::Relaxed) {
                    let uid = format!("{client}-{}", seen[0] + seen[1]);
                    let both = served.review("/validate", &pod(&uid, &[&signed, &unsigned])).await;
                    assert_eq!(both["allowed"], false, "{both}");
                    let one = served.review("/validate", &pod(&uid, &[&signed])).await;
                    seen[usize::from(one["allowed"].as_bool().unwrap())] += 1;
                }
                seen
            })
        })
        .collect();
    for round in 0..10 {
        let next = if round % 2 == 0 { closed(round + 2) } else { signed_policy(round + 2) };
        takes(&served, &next).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen = [0; 2];
    for client in clients {
        let [denied, allowed] = client.await.unwrap();
        seen = [seen[0] + denied, seen[1] + allowed];
    }
    assert!(seen.iter().all(|count| *count > 0), "both policies were asked: {seen:?}");
}
