//! What the server answers, to whom, when, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ocisign::gate::{Keyring, Places};
use ocisign::image::Repository;
use ocisign::store::{Store, StoreError};
use ocisign::webhook::{Ended, Keychain, LogLevel, PodAccess};
use serde_json::json;

use crate::common::registry::{Certificates, Lie};
use crate::served::*;

#[tokio::test]
async fn probes_and_scrapes_are_answered_with_tls_and_without() {
    let mut setup = Setup::new();
    let probes = crate::common::free_port();
    setup.settings.probe_listen = Some(([127, 0, 0, 1], probes).into());
    let served = setup.start().await;
    let plain = client(&served.certificates);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = plain.get(format!("http://127.0.0.1:{probes}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    // reviews are for TLS alone
    let answer = plain.post(format!("http://127.0.0.1:{probes}/validate")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(served.get("/healthz").await, (200, "ok\n".to_owned()));
    let (status, ready) = served.get("/readyz").await;
    assert_eq!(status, 200);
    assert!(ready.starts_with("ready\npolicy test sha256:"), "{ready}");
    assert_eq!(served.end().await, Ended::Finished);
}

#[tokio::test]
async fn metrics_are_text_that_parses() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let served = Setup::new().start().await;
    let signed = images.name("app", "v1");
    let gone = images.name("app", "gone");
    served.review("/validate", &pod("1", &[&signed])).await;
    served.review("/mutate", &pod("2", &[&signed])).await;
    served.review("/validate", &pod("3", &[&gone])).await;
    served.post("/validate", "noise").await;
    let (_, text) = served.get("/metrics").await;
    let mut types = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} is declared twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let name = series.split('{').next().unwrap();
            assert!(types.keys().any(|declared| name.starts_with(declared)), "{line}");
            assert!(!series.contains("app:"), "names of images are no labels: {line}");
        }
    }
    assert!(text.ends_with("# EOF\n"));
    for (name, value) in [
        (
            r#"ocisign_admission_requests_total{endpoint="validate",operation="CREATE",decision="allow"}"#,
            1.0,
        ),
        (
            r#"ocisign_admission_requests_total{endpoint="validate",operation="CREATE",decision="undecided"}"#,
            1.0,
        ),
        (
            r#"ocisign_admission_requests_total{endpoint="mutate",operation="CREATE",decision="allow"}"#,
            1.0,
        ),
        (r#"ocisign_admission_duration_seconds_count{endpoint="validate"}"#, 2.0),
        (r#"ocisign_verdicts_total{decision="allow",row="holds",origin="verified"}"#, 1.0),
        (r#"ocisign_http_refusals_total{reason="malformed"}"#, 1.0),
        ("ocisign_admission_in_flight", 0.0),
        ("ocisign_panics_total", 0.0),
    ] {
        assert_eq!(metric_of(&text, name), value, "{name} in\n{text}");
    }
    assert!(metric_of(&text, "process_resident_memory_bytes") > 1e6);
    assert!(metric_of(&text, "ocisign_certificate_expiry_timestamp_seconds") > 1e9);
}

#[tokio::test]
async fn every_image_of_every_request_is_a_line_of_the_log() {
    let images = Images::new();
    let digest = images.signed("app", "v1").await;
    images.unsigned("app", "v2");
    let served = Setup::new().start().await;
    let (signed, unsigned) = (images.name("app", "v1"), images.name("app", "v2"));
    let mut review = pod("u-1", &[&signed, &unsigned, &signed]);
    review["request"]["userInfo"]["username"] =
        json!("eve\u{1b}[31m\n{\"event\":\"decision\"}\u{202e}");
    served.review("/validate", &review).await;
    served.until("it is logged", async |s| s.logged("decision").len() >= 2).await;
    let lines = served.logged("decision");
    assert_eq!(lines.len(), 2, "each image once: {lines:#?}");
    let line = |image: &str| lines.iter().find(|line| line["image"] == image).unwrap().clone();
    let allowed = line(&signed);
    for (field, value) in [
        ("uid", json!("u-1")),
        ("endpoint", json!("validate")),
        ("operation", json!("CREATE")),
        ("namespace", json!("default")),
        ("name", json!("app")),
        ("kind", json!("Pod")),
        ("allowed", json!(false)),
        ("decision", json!("allow")),
        ("row", json!("holds")),
        ("rule", json!("all")),
        ("origin", json!("verified")),
        ("digest", json!(digest.to_string())),
        ("policy", json!("test")),
        ("depth", json!("manifests")),
    ] {
        assert_eq!(allowed[field], value, "{field} in {allowed:#}");
    }
    assert!(allowed["took_ms"].as_f64().unwrap() > 0.0);
    let denied = line(&unsigned);
    assert_eq!(denied["decision"], "deny");
    assert_eq!(denied["failed"], json!(["all/signed"]));
    let user = allowed["user"].as_str().unwrap();
    assert!(user.starts_with("eve\\u{1b}[31m"), "{user}");
}

#[tokio::test]
async fn the_log_can_be_only_of_denials() {
    let images = Images::new();
    images.signed("app", "v1").await;
    images.unsigned("app", "v2");
    let mut setup = Setup::new();
    setup.settings.log = LogLevel::Denials;
    let served = setup.start().await;
    for tag in ["v1", "v2"] {
        served.review("/validate", &pod(tag, &[&images.name("app", tag)])).await;
    }
    served.until("it is logged", async |s| !s.logged("decision").is_empty()).await;
    let uids: Vec<_> = served.logged("decision").iter().map(|l| l["uid"].clone()).collect();
    assert_eq!(uids, ["v2"]);
}

#[tokio::test]
async fn audit_allows_and_says_what_it_would_deny() {
    let images = Images::new();
    images.unsigned("app", "v1");
    let mut setup = Setup::new();
    setup.settings.options.audit = true;
    let served = setup.start().await;
    let answer = served.review("/validate", &pod("1", &[&images.name("app", "v1")])).await;
    assert_eq!(answer["allowed"], true);
    let warnings = answer["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|text| text.as_str().unwrap().contains("signed")), "{answer}");
}

#[tokio::test]
async fn only_pinned_references_are_admitted_where_that_is_asked_for() {
    let images = Images::new();
    let digest = images.signed("app", "v1").await;
    let mut setup = Setup::new();
    setup.settings.options.pinned_only = true;
    let served = setup.start().await;
    let tagged = images.name("app", "v1");
    let denied = served.review("/validate", &pod("1", &[&tagged])).await;
    assert_eq!(denied["allowed"], false, "{denied}");
    let pinned = format!("{tagged}@{digest}");
    let allowed = served.review("/validate", &pod("2", &[&pinned])).await;
    assert_eq!(allowed["allowed"], true, "{allowed}");
    let mutated = served.review("/mutate", &pod("3", &[&tagged])).await;
    let replaced = patch(&mutated).into_iter().find(|op| op["op"] == "replace").unwrap();
    assert_eq!(replaced["value"], pinned.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_containers_with_one_image_cost_one_verification() {
    let images = Images::new();
    let digest = images.signed("app", "v1").await;
    let before = images.registry.requests().len();
    let served = Arc::new(Setup::new().start().await);
    let image = images.name("app", "v1");
    let asking: Vec<_> = (0..10)
        .map(|at| {
            let (served, review) = (Arc::clone(&served), pod(&at.to_string(), &[&*image; 8]));
            tokio::spawn(async move { served.review("/validate", &review).await })
        })
        .collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap()["allowed"], true);
    }
    let verdicts = |origin: &str| {
        format!(r#"ocisign_verdicts_total{{decision="allow",row="holds",origin="{origin}"}}"#)
    };
    assert_eq!(served.metric(&verdicts("verified")).await, 1.0);
    let shared = served.metric(&verdicts("joined")).await;
    assert_eq!(shared + served.metric(&verdicts("remembered")).await, 9.0);
    let asked = images.registry.requests().split_off(before);
    let listings = asked.iter().filter(|request| request.target.contains("/referrers/"));
    assert_eq!(listings.count(), 1);
    // pinned and remembered: nobody is asked
    let before = images.registry.requests().len();
    let pinned = format!("{image}@{digest}");
    for uid in ["a", "b"] {
        assert_eq!(served.review("/validate", &pod(uid, &[&pinned])).await["allowed"], true);
    }
    let asked = images.registry.requests().split_off(before);
    assert!(asked.iter().all(|request| !request.target.ends_with("/v1")), "{asked:?}");
    let before = images.registry.requests().len();
    assert_eq!(served.review("/mutate", &pod("c", &[&pinned])).await["allowed"], true);
    assert_eq!(images.registry.requests().len(), before, "all of it is remembered");
}

/// A cluster whose secrets cannot be read.
struct Locked;

#[async_trait]
impl Keychain for Locked {
    async fn keyring(&self, _: &str, access: &PodAccess) -> Result<Option<Keyring>, StoreError> {
        assert_eq!(access.pull_secrets, ["mine"]);
        let reason = "the secret `mine` may not be read; allow it".to_owned();
        Err(StoreError::Unauthorized { place: "the cluster".to_owned(), reason })
    }
}

#[tokio::test]
async fn a_pull_secret_that_cannot_be_read_is_a_denial_that_names_it() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let before = images.registry.requests().len();
    let mut setup = Setup::new();
    setup.keychain = Some(Arc::new(Locked));
    let served = setup.start().await;
    let mut review = pod("1", &[&images.name("app", "v1")]);
    review["request"]["object"]["spec"]["imagePullSecrets"] = json!([{"name": "mine"}]);
    let answer = served.review("/validate", &review).await;
    assert_eq!(answer["allowed"], false);
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.contains("`mine`"), "{message}");
    assert_eq!(images.registry.requests().len(), before, "nobody is asked without it");
}

/// A registry that begins to answer and does not go on.
#[tokio::test]
async fn what_is_not_decided_in_time_is_a_denial_that_says_so() {
    let images = Images::new();
    images.signed("app", "v1").await;
    images.signed("quick", "v1").await;
    images.registry.lie("GET /v2/app/manifests/*", Lie::Drip(1, Duration::from_secs(5)));
    let served = Setup::new().start().await;
    let (slow, quick) = (images.name("app", "v1"), images.name("quick", "v1"));
    for path in ["/validate", "/mutate"] {
        let began = Instant::now();
        let review = pod("1", &[&slow, &quick]);
        let answer = served.review(&format!("{path}?timeout=1s"), &review).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(answer["allowed"], false);
        let message = answer["status"]["message"].as_str().unwrap();
        assert!(message.contains(&slow) && message.contains("not decided"), "{message}");
        assert!(!message.contains(&quick), "the other one is not to blame: {message}");
        assert!(answer.get("patch").is_none());
    }
    let verdicts = r#"ocisign_verdicts_total{decision="undecided",row="deadline",origin="none"}"#;
    assert_eq!(served.metric(verdicts).await, 2.0);
}

#[tokio::test]
async fn a_registry_that_fails_is_a_denial() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let served = Setup::new().start().await;
    let review = pod("1", &[&images.name("app", "v1")]);
    for lie in [Lie::Status(500), Lie::Hangup, Lie::Status(401), Lie::Body(b"{}".to_vec())] {
        images.registry.lie_times(3, "GET /v2/app/*", lie);
        let answer = served.review("/validate?timeout=3s", &review).await;
        assert_eq!(answer["allowed"], false, "{answer}");
    }
    served
        .until("it is admitted once the registry is well", async |s| {
            s.review("/validate", &review).await["allowed"] == true
        })
        .await;
}

/// A defect.
struct Defective;

#[async_trait]
impl Keychain for Defective {
    async fn keyring(&self, _: &str, _: &PodAccess) -> Result<Option<Keyring>, StoreError> {
        panic!("as told")
    }
}

impl Places for Defective {
    fn open(&self, _: &Repository, _: Option<&Keyring>) -> Result<Arc<dyn Store>, StoreError> {
        panic!("as told")
    }
}

#[tokio::test]
async fn a_defect_is_a_denial() {
    let mut setup = Setup::new();
    setup.keychain = Some(Arc::new(Defective));
    let mut other = Setup::new();
    other.places = Arc::new(Defective);
    for setup in [setup, other] {
        let served = setup.start().await;
        for path in ["/validate", "/mutate"] {
            let answer = served
                .review(&format!("{path}?timeout=3s"), &pod("1", &["r.example/app:v1"]))
                .await;
            assert_eq!(answer["allowed"], false, "{answer}");
            assert!(answer.get("patch").is_none());
        }
        assert_eq!(served.get("/healthz").await.0, 200);
    }
}

#[tokio::test]
async fn only_clients_of_the_named_authority_get_reviews() {
    let images = Images::new();
    images.signed("app", "v1").await;
    let mut setup = Setup::new();
    let ca = setup.folder.path().join("clients.crt");
    std::fs::write(&ca, &setup.certificates.ca).unwrap();
    setup.settings.tls.client_ca = Some(ca);
    let served = setup.start().await;
    let review = pod("1", &[&images.name("app", "v1")]).to_string();
    let (status, said) = served.post("/validate", review.clone()).await;
    assert_eq!(status, 403, "{said}");
    // probes have no certificate
    assert_eq!(served.get("/readyz").await.0, 200);
    let known = known_client(&served.certificates);
    let answer = known.post(served.url("/validate")).body(review).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let stranger = known_client_of(&Certificates::generate(), &served.certificates);
    assert!(stranger.get(served.url("/readyz")).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_announced_and_loses_no_request() {
    let images = Images::new();
    images.signed("app", "v1").await;
    images.registry.lie("GET /v2/app/manifests/v1", Lie::Drip(200, Duration::from_millis(300)));
    let mut setup = Setup::new();
    setup.settings.lame_duck = Duration::from_millis(500);
    let served = Arc::new(setup.start().await);
    let review = pod("1", &[&images.name("app", "v1")]);
    let slow = {
        let served = Arc::clone(&served);
        tokio::spawn(async move { served.review("/validate", &review).await })
    };
    served
        .until("it is asked", async |_| images.registry.count("GET /v2/app/manifests/v1") > 0)
        .await;
    served.control.end();
    assert_eq!(served.get("/readyz").await.0, 503);
    assert_eq!(served.get("/healthz").await.0, 200);
    let late = pod("2", &["127.0.0.1:9/app:v1"]);
    assert_eq!(served.review("/validate", &late).await["allowed"], false, "still answered");
    assert_eq!(slow.await.unwrap()["allowed"], true);
    let served = Arc::into_inner(served).unwrap();
    assert_eq!(served.ended().await, Ended::Finished);
}

#[tokio::test]
async fn what_takes_too_long_does_not_keep_the_server_from_ending() {
    let images = Images::new();
    images.registry.lie("GET *", Lie::Silent(Duration::from_secs(20)));
    let mut setup = Setup::new();
    setup.settings.drain = Duration::from_millis(300);
    let served = setup.start().await;
    let review = pod("1", &[&images.name("app", "v1")]).to_string();
    let sent = served.client.post(served.url("/validate?timeout=10s")).body(review).send();
    let asked = tokio::spawn(sent);
    served.until("it is asked", async |_| !images.registry.requests().is_empty()).await;
    assert_eq!(served.end().await, Ended::CutShort);
    assert!(asked.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_answered_while_reviews_wait_for_room() {
    let images = Images::new();
    images.registry.lie("GET *", Lie::Silent(Duration::from_secs(20)));
    let limits = ocisign::Limits { reviews: 2, ..ocisign::Limits::admission() };
    let served = Arc::new(Setup::with_limits(limits).start().await);
    let reviews: Vec<_> = (0..20)
        .map(|at| {
            let served = Arc::clone(&served);
            let review = pod(&at.to_string(), &[&images.name("app", &format!("v{at}"))]);
            tokio::spawn(async move {
                // two that take all the room, for longer than the others wait
                let wait = if at < 2 { "5s" } else { "1s" };
                tokio::time::sleep(Duration::from_millis(at * 20)).await;
                served.review(&format!("/validate?timeout={wait}"), &review).await
            })
        })
        .collect();
    served
        .until("they are under way", async |s| {
            s.metric("ocisign_admission_in_flight").await >= 20.0
        })
        .await;
    let began = Instant::now();
    assert_eq!(served.get("/readyz").await.0, 200);
    assert!(began.elapsed() < Duration::from_millis(500));
    for (at, review) in reviews.into_iter().enumerate() {
        let answer = review.await.unwrap();
        assert_eq!(answer["allowed"], false);
        let message = answer["status"]["message"].as_str().unwrap();
        assert_eq!(message.contains("too many reviews at once"), at >= 2, "{at}: {message}");
    }
}
