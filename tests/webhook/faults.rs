//! Ten thousand requests while registry, cache and policy fail at random.
//!
//! What may be admitted is settled before the first fault, by the plain engine
//! on true content: for each policy and each digest, its verdict. A request may
//! be admitted only if a policy that could be in place while it was under way
//! allows each of its images; where a patch says which digest was verified,
//! that one. None is lost, and none outlasts its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ocisign::gate::{Clock, SystemClock};
use ocisign::image::{Depth, media_type};
use ocisign::store::cached::MemoryShelf;
use ocisign::store::{Chunk, Shelf};
use ocisign::{Access, Ask, Decision, Digest, Engine, Image, Limits, Source};
use serde_json::Value;

use crate::common::registry::Lie;
use crate::served::*;

/// Requests in all, and clients that ask at once.
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 32;

/// What a request gives the server, and what the machine may add to it.
const TIMEOUT: Duration = Duration::from_millis(800);
const SLACK: Duration = Duration::from_millis(1_500);

/// A small generator (SplitMix64): the same seed, the same faults.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The seed of this run: `OCISIGN_SEED`, else the time.
fn seed() -> u64 {
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = std::env::var("OCISIGN_SEED").map_or_else(|_| now(), |text| text.parse().unwrap());
    eprintln!("OCISIGN_SEED={seed}");
    seed
}

/// Which policies there are. Names of images carry what they are.
fn policies() -> Vec<(&'static str, String)> {
    vec![
        ("signed", signed_policy(1)),
        ("closed", policy(2, r#""reject": {"reason": "closed"}"#)),
        ("open", policy(3, r#""accept": {"reason": "open"}"#)),
        ("signed again", signed_policy(4)),
    ]
}

/// When a policy could be in place: from the moment it was written until the
/// next one was seen to be.
#[derive(Debug, Clone, Copy)]
struct Reign {
    policy: usize,
    from: Instant,
    until: Option<Instant>,
}

#[derive(Default)]
struct History(Mutex<Vec<Reign>>);

impl History {
    fn begins(&self, policy: usize) {
        self.0.lock().unwrap().push(Reign { policy, from: Instant::now(), until: None });
    }

    /// All but the last are over.
    fn seen(&self) {
        let mut reigns = self.0.lock().unwrap();
        let last = reigns.len() - 1;
        for reign in &mut reigns[..last] {
            reign.until.get_or_insert_with(Instant::now);
        }
    }

    fn during(&self, from: Instant, until: Instant) -> Vec<usize> {
        let reigns = self.0.lock().unwrap();
        let overlap = |r: &&Reign| r.from <= until && r.until.is_none_or(|end| end >= from);
        reigns.iter().filter(overlap).map(|reign| reign.policy).collect()
    }
}

/// Verdicts by policy and digest, on true content.
struct Oracle {
    verdicts: BTreeMap<(usize, Digest), Decision>,
    /// What each name stood for at some time.
    digests: BTreeMap<String, Vec<Digest>>,
}

impl Oracle {
    async fn of(
        folder: &std::path::Path,
        policies: &[(&str, String)],
        digests: BTreeMap<String, Vec<Digest>>,
    ) -> Self {
        let (limits, mut verdicts) = (Limits::default(), BTreeMap::new());
        for (at, (_, text)) in policies.iter().enumerate() {
            let engine = Engine::from_text("p", text.as_bytes(), folder, &limits).unwrap();
            for (name, digest) in
                digests.iter().flat_map(|(n, all)| all.iter().map(move |d| (n, d)))
            {
                let source = Source::parse(&format!("{name}@{digest}")).unwrap();
                let image = Image::open(&source, None, &Access::default(), &limits).unwrap();
                let ask = Ask { depth: Depth::Manifests, ..Ask::default() };
                let verdict = engine.check(&image, &ask, jiff::Timestamp::now()).await.unwrap();
                verdicts.insert((at, digest.clone()), verdict.decision);
            }
        }
        Self { verdicts, digests }
    }

    fn allows(&self, policy: usize, digest: &Digest) -> bool {
        self.verdicts[&(policy, digest.clone())] == Decision::Allow
    }

    /// Whether each image could be one that the policy allows.
    fn may(&self, policy: usize, images: &[&String]) -> bool {
        let one = |image: &&String| self.digests[*image].iter().any(|d| self.allows(policy, d));
        images.iter().all(one)
    }
}

/// A memory that forgets, and now and then gives something else.
#[derive(Debug)]
struct Fickle(MemoryShelf, Mutex<u64>);

impl Fickle {
    fn chance(&self) -> u64 {
        let mut state = self.1.lock().unwrap();
        let mut random = Random(*state);
        let next = random.next();
        *state = random.0;
        next % 8
    }
}

impl Shelf for Fickle {
    fn find(&self, key: &Digest) -> Option<Chunk> {
        match self.chance() {
            0 | 1 => None,
            2 => Some(Chunk::from_static(b"{\"schemaVersion\":2}")),
            _ => self.0.find(key),
        }
    }

    fn keep(&self, key: &Digest, bytes: &[u8]) {
        self.0.keep(key, bytes);
    }
}

/// A clock that somebody sets, back and forth.
#[derive(Default)]
struct Set(SystemClock, AtomicUsize);

impl Clock for Set {
    fn wall(&self) -> jiff::Timestamp {
        let jump = match self.1.fetch_add(1, Ordering::Relaxed) % 400 {
            200..300 => jiff::SignedDuration::from_hours(-1),
            300.. => jiff::SignedDuration::from_hours(1),
            _ => jiff::SignedDuration::ZERO,
        };
        self.0.wall() + jump
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn lie(random: &mut Random) -> Lie {
    match random.below(9) {
        0 => Lie::Status(500),
        1 => Lie::Status(404),
        2 => Lie::Status(429),
        3 => Lie::Hangup,
        4 => Lie::Cut(random.below(200)),
        5 => Lie::Silent(Duration::from_millis(600)),
        6 => Lie::Drip(16, Duration::from_millis(100)),
        7 => Lie::Body(b"{\"schemaVersion\":2}".to_vec()),
        _ => Lie::Header("Docker-Content-Digest", Digest::sha256(b"another").to_string()),
    }
}

struct Run {
    served: Served,
    images: Images,
    names: Vec<String>,
    policies: Vec<(&'static str, String)>,
    oracle: Oracle,
    history: History,
    asked: AtomicUsize,
    allowed: AtomicUsize,
    rightly_allowable: AtomicUsize,
    over: AtomicBool,
}

impl Run {
    /// Faults in the registry: a few at a time, on any path.
    async fn lie_on(&self, mut random: Random) {
        const PATHS: [&str; 5] =
            ["GET *", "GET */manifests/*", "GET */referrers/*", "GET */blobs/*", "GET /v2/s3/*"];
        while !self.over.load(Ordering::Relaxed) {
            let times = 1 + random.below(4);
            self.images.registry.lie_times(
                times,
                PATHS[random.below(PATHS.len())],
                lie(&mut random),
            );
            tokio::time::sleep(Duration::from_millis(random.next() % 20)).await;
        }
    }

    /// Tags that move between an image that is signed and one that is not.
    async fn move_on(&self, mut random: Random) {
        while !self.over.load(Ordering::Relaxed) {
            let at = random.below(MOVING);
            let to = if random.below(2) == 0 { "good" } else { "bad" };
            let repository = format!("m{at}");
            let bytes = self.images.registry.manifest(&repository, to).unwrap();
            let kind = media_type::OCI_MANIFEST;
            self.images.registry.put_manifest(&repository, Some("now"), kind, &bytes);
            tokio::time::sleep(Duration::from_millis(random.next() % 10)).await;
        }
    }

    /// Policies that come and go, some of them broken.
    async fn reload_on(&self, mut random: Random) {
        while !self.over.load(Ordering::Relaxed) {
            match random.below(4) {
                0 => {
                    let text = &self.policies[0].1;
                    self.served.replace("policy.json", &text[..random.below(text.len())]);
                }
                _ => {
                    let next = random.below(self.policies.len());
                    let text = &self.policies[next].1;
                    self.history.begins(next);
                    self.served.replace("policy.json", text);
                    let digest = Digest::sha256(text.as_bytes()).to_string();
                    let began = Instant::now();
                    while !self.served.get("/readyz").await.1.contains(&digest) {
                        assert!(began.elapsed() < BOUND, "the policy is not taken");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    self.history.seen();
                }
            }
            tokio::time::sleep(Duration::from_millis(50 + random.next() % 300)).await;
        }
    }

    async fn ask_on(&self, mut random: Random) {
        while self.asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
            let images: Vec<_> =
                (0..=random.below(3)).map(|_| random.one_of(&self.names)).collect();
            let path = *random.one_of(&["/validate", "/mutate"]);
            let uid = format!("{:x}", random.next());
            if random.below(50) == 0 {
                self.go_away(path, &images).await;
            }
            self.ask(path, &uid, &images).await;
        }
    }

    async fn ask(&self, path: &str, uid: &str, images: &[&String]) {
        let texts: Vec<_> = images.iter().map(|name| name.as_str()).collect();
        let began = Instant::now();
        let review = pod(uid, &texts);
        let path = format!("{path}?timeout={}ms", TIMEOUT.as_millis());
        let answer = self.served.review(&path, &review).await;
        let ended = Instant::now();
        assert!(ended - began < TIMEOUT + SLACK, "{:?} for {answer}", ended - began);
        let live = self.history.during(began, ended);
        let may = live.iter().any(|policy| self.oracle.may(*policy, images));
        self.rightly_allowable.fetch_add(usize::from(may), Ordering::Relaxed);
        if answer["allowed"] == true {
            self.allowed.fetch_add(1, Ordering::Relaxed);
            assert!(may, "{images:?} under {live:?}: {answer}");
            self.pinned(images, &live, &answer);
        } else {
            let message = answer["status"]["message"].as_str().unwrap();
            assert!(!message.is_empty() && answer.get("patch").is_none(), "{answer}");
        }
    }

    /// What was put in place is what one of the policies allows.
    fn pinned(&self, images: &[&String], live: &[usize], answer: &Value) {
        let operations = patch(answer);
        let values = operations.iter().filter(|operation| operation["op"] == "replace");
        let digests: Vec<Digest> = values
            .map(|operation| {
                let (name, digest) = operation["value"].as_str().unwrap().split_once('@').unwrap();
                let digest = digest.parse().unwrap();
                assert!(images.iter().any(|image| *image == name), "{answer}");
                assert!(self.oracle.digests[name].contains(&digest), "{name}: {answer}");
                digest
            })
            .collect();
        let all = |policy: &usize| digests.iter().all(|d| self.oracle.allows(*policy, d));
        assert!(live.iter().any(all), "{digests:?} under {live:?}");
        let distinct: BTreeSet<_> = images.iter().collect();
        assert!(operations.is_empty() || digests.len() >= distinct.len(), "{answer}");
    }

    /// A client that does not wait for its answer.
    async fn go_away(&self, path: &str, images: &[&String]) {
        let texts: Vec<_> = images.iter().map(|name| name.as_str()).collect();
        let asked = self.served.post(path, pod("gone", &texts).to_string());
        let _ = tokio::time::timeout(Duration::from_millis(5), asked).await;
    }
}

/// Repositories whose tag moves.
const MOVING: usize = 3;

/// What is in the registry, by name.
async fn images() -> (Images, BTreeMap<String, Vec<Digest>>) {
    let (images, mut digests) = (Images::new(), BTreeMap::new());
    for at in 0..8 {
        let (signed, unsigned) = (format!("s{at}"), format!("u{at}"));
        digests.insert(images.name(&signed, "v1"), vec![images.signed(&signed, "v1").await]);
        digests.insert(images.name(&unsigned, "v1"), vec![images.unsigned(&unsigned, "v1")]);
    }
    for at in 0..MOVING {
        let name = format!("m{at}");
        let both = vec![images.signed(&name, "good").await, images.unsigned(&name, "bad")];
        let bytes = images.registry.manifest(&name, "bad").unwrap();
        images.registry.put_manifest(&name, Some("now"), media_type::OCI_MANIFEST, &bytes);
        digests.insert(images.name(&name, "now"), both);
    }
    (images, digests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_admitted_by_a_fault() {
    let mut random = Random(seed());
    let (images, digests) = images().await;
    let names = digests.keys().cloned().collect();
    let limits = Limits {
        attempts: 2,
        idle_timeout: Duration::from_millis(200),
        retry_after: Duration::from_millis(50),
        // a few verdicts and bytes, so that most are forgotten soon
        remembered_verdict_bytes: 32 << 10,
        remembered_layers: 2,
        ..Limits::admission()
    };
    let mut setup = Setup::with_limits(limits);
    let shelf = Fickle(MemoryShelf::new(16 << 10), Mutex::new(random.next()));
    setup.settings.gate.shelf = Some(Arc::new(shelf));
    setup.settings.gate.clock = Arc::new(Set::default());
    setup.settings.gate.allow_for = Duration::from_millis(300);
    setup.settings.gate.deny_for = Duration::from_millis(300);
    setup.settings.log = ocisign::webhook::LogLevel::Events;
    let policies = policies();
    let oracle = Oracle::of(setup.folder.path(), &policies, digests).await;
    let run = Arc::new(Run {
        served: setup.start().await,
        images,
        names,
        policies,
        oracle,
        history: History::default(),
        asked: AtomicUsize::new(0),
        allowed: AtomicUsize::new(0),
        rightly_allowable: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    run.history.begins(0);
    let mut fork = || Random(random.next());
    let (lies, reloads, moves) = (fork(), fork(), fork());
    let moving = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.move_on(moves).await }
    });
    let lying = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.lie_on(lies).await }
    });
    let reloading = tokio::spawn({
        let run = Arc::clone(&run);
        async move { run.reload_on(reloads).await }
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (run, random) = (Arc::clone(&run), fork());
            tokio::spawn(async move { run.ask_on(random).await })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    run.over.store(true, Ordering::Relaxed);
    lying.await.unwrap();
    moving.await.unwrap();
    reloading.await.unwrap();

    let (allowed, could) =
        (run.allowed.load(Ordering::Relaxed), run.rightly_allowable.load(Ordering::Relaxed));
    eprintln!("{allowed} of {REQUESTS} admitted, {could} could have been");
    assert!(allowed > REQUESTS / 20, "a gate that admits nothing proves nothing");
    assert!(allowed < could, "faults were to keep some from being admitted");
    let counted = run.served.get("/metrics").await.1;
    let answered: f64 = counted
        .lines()
        .filter(|line| line.starts_with("ocisign_admission_requests_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!(answered >= REQUESTS as f64, "{answered}");
    assert_eq!(metric_of(&counted, "ocisign_panics_total"), 0.0);
}
