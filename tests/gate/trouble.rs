//! Registries that stall, stores that panic, loops that end: each question
//! gets an answer, in time, and none of them is allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ocisign::Decision;
use ocisign::gate::{Gate, Keyring, Places, Settings, Undecided, Unobserved};
use ocisign::image::{Descriptor, Digest, Repository};
use ocisign::store::{Blob, RawManifest, Referrers, Store, StoreError, Target};

use crate::common::registry::{Lie, Options, Registry};
use crate::scene::*;

/// Wherever the registry stalls, the answer comes when patience ends.
#[tokio::test]
async fn a_registry_that_stalls_is_waited_for_no_longer_than_patience() {
    for what in ["manifests/v1", "referrers/*", "blobs/*", "manifests/sha256*"] {
        for lie in [Lie::Silent(BOUND), Lie::Drip(1, Duration::from_millis(200))] {
            let (registry, _) = signed_app();
            registry.lie(&format!("GET /v2/app/{what}"), lie.clone());
            let gate = gate();
            let mut asked = question(name(&registry, REPOSITORY, ":v1"));
            asked.patience = Duration::from_millis(300);
            let begun = Instant::now();
            let why = gate.judge(&asked).await.unwrap_err();
            assert!(matches!(why, Undecided::Deadline(_)), "{what} {lie:?}: {why}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{what} {lie:?}");
        }
    }
}

/// A flight has a deadline of its own, so that what stalls does not stay in
/// the air when everyone has left.
#[tokio::test]
async fn what_nobody_waits_for_ends_too() {
    let (registry, _) = signed_app();
    registry.lie("GET /v2/app/manifests/v1", Lie::Silent(BOUND));
    let short = Settings { foreground: Duration::from_millis(300), ..Settings::default() };
    let gate = gate_with(engine(&signed_by("ana")), short);
    let mut asked = question(name(&registry, REPOSITORY, ":v1"));
    asked.patience = Duration::from_millis(50);
    assert!(gate.judge(&asked).await.is_err());
    assert_eq!(gate.load().resolutions, 1);
    until("it ends", || gate.load().resolutions == 0).await;
    asked.patience = BOUND;
    let why = gate.judge(&asked).await.unwrap_err();
    assert!(matches!(why, Undecided::Failed(_)), "{why}");
}

/// Panics in one of its calls, which is counted down to.
#[derive(Debug, Clone)]
struct Panics {
    store: Arc<dyn Store>,
    left: Arc<AtomicUsize>,
}

impl Panics {
    async fn maybe(&self) {
        // so that those who ask at once are all there
        tokio::time::sleep(Duration::from_millis(50)).await;
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(left != Ok(1), "a panic, as the test wants it");
    }
}

#[async_trait]
impl Store for Panics {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        self.maybe().await;
        self.store.manifest(target, max).await
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        self.maybe().await;
        self.store.blob(digest, size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        self.maybe().await;
        self.store.referrers(subject).await
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.store.has_blob(digest, size).await
    }

    async fn push_blob(&self, _: &Descriptor, _: Blob) -> Result<(), StoreError> {
        unreachable!("a gate writes nothing")
    }

    async fn push_manifest(
        &self,
        _: &Descriptor,
        _: &[u8],
        _: Option<&str>,
    ) -> Result<(), StoreError> {
        unreachable!("a gate writes nothing")
    }
}

/// Opens stores that panic; the opening does so too, so many times.
struct Panicking {
    places: Arc<dyn Places>,
    left: Arc<AtomicUsize>,
    opening: AtomicUsize,
}

impl Places for Panicking {
    fn open(
        &self,
        repository: &Repository,
        keyring: Option<&Keyring>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let opening =
            self.opening.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(opening.is_err(), "a panic, as the test wants it");
        let store = self.places.open(repository, keyring)?;
        Ok(Arc::new(Panics { store, left: self.left.clone() }))
    }
}

/// A panic is an answer to everyone who waits, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_panics_leaves_nobody_waiting() {
    let (registry, image) = signed_app();
    let left = Arc::new(AtomicUsize::new(0));
    let panicking = Arc::new(Panicking { places: places(), left: left.clone(), opening: 1.into() });
    let engine = engine(&signed_by("ana"));
    let hands = Hands::new();
    let gate = Arc::new(Gate::with(engine, panicking, hands.settings(), Arc::new(Unobserved)));
    let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
    // the place itself, then the first, second and third call of its store
    let mut lost = 0;
    for round in 0..4 {
        left.store(round, Ordering::SeqCst);
        let pod: Vec<_> = (0..8)
            .map(|_| {
                let (gate, question) = (gate.clone(), question(&pinned));
                tokio::spawn(async move { gate.judge(&question).await })
            })
            .collect();
        let mut answers = Vec::new();
        for container in pod {
            answers.push(container.await.unwrap());
        }
        assert_eq!(gate.load().verifications, 0);
        for answer in answers {
            match answer {
                Err(Undecided::Lost) => lost += 1,
                // who came after the panic
                answer => assert_eq!(told(answer).0, Decision::Allow),
            }
        }
        hands.pass(601);
    }
    assert!(lost >= 4, "{lost}: each round somebody waited for what panicked");
    left.store(0, Ordering::SeqCst);
    assert_eq!(ask(&gate, &pinned).await, ALLOWED);
}

/// An event loop that ends takes its flights with it, and the gate can be
/// asked again in another.
#[test]
fn an_event_loop_that_ends_leaves_no_flight_in_the_air() {
    let (registry, _) = signed_app();
    registry.lie_times(1, "GET /v2/app/manifests/v1", Lie::Silent(Duration::from_secs(1)));
    let gate = gate();
    let tagged = name(&registry, REPOSITORY, ":v1");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        let mut asked = question(&tagged);
        asked.patience = Duration::from_millis(50);
        assert!(gate.judge(&asked).await.is_err());
    });
    drop(first);
    assert_eq!(gate.load().resolutions, 0);
    assert_eq!(runtime().block_on(ask(&gate, &tagged)), ALLOWED);
}

/// Nothing that a registry answers in place of the truth is an allow, and
/// once it tells the truth so does the gate.
#[tokio::test]
async fn no_lie_is_admitted_and_none_is_remembered_longer_than_a_deny() {
    let lies = || {
        [
            Lie::Status(404),
            Lie::Status(401),
            Lie::Status(500),
            Lie::Status(200),
            Lie::Body(b"{}".to_vec()),
            Lie::Body(Vec::new()),
            Lie::Cut(10),
            Lie::Hangup,
            Lie::Raw(b"nonsense\r\n\r\n"),
            Lie::Header("Content-Type", "text/html".to_owned()),
        ]
    };
    for what in ["GET /v2/app/referrers/*", "GET /v2/app/manifests/*", "GET /v2/app/blobs/*"] {
        for (at, lie) in lies().into_iter().enumerate() {
            let registry = Registry::start(Options::default());
            // nobody has signed it as the policy asks
            let image = push(&registry, REPOSITORY, "v1", "one");
            sign(&registry, REPOSITORY, &image, "bo", None);
            registry.lie_times(3, what, lie);
            let hands = Hands::new();
            let gate = gate_with(engine(&signed_by("ana")), hands.settings());
            let tagged = question(name(&registry, REPOSITORY, ":v1"));
            for _ in 0..4 {
                if let Ok(answer) = gate.judge(&tagged).await {
                    assert!(answer.admit().is_err(), "{what} {at}");
                }
                hands.pass(11);
            }
            sign(&registry, REPOSITORY, &image, "ana", None);
            assert_eq!(told(gate.judge(&tagged).await).0, Decision::Allow, "{what} {at}");
        }
    }
}
