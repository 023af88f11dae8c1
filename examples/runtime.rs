//! A runtime gates its pulls: `cargo run --example runtime`.
//!
//! It brings its own client, here one that reads the layout
//! `tests/data/layouts/demo`, and keeps its own numbers. The gate resolves a
//! name once, verifies an image once for all who ask at the same time, and
//! remembers verdicts for as long as they hold. What pulls takes an
//! [`Admitted`], so it cannot be called with an image that was not checked.
//! The page is docs/library.md.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use ocisign::gate::{Event, Gate, Keyring, Observer, Origin, Places, Question, Settings};
use ocisign::image::{Depth, Descriptor, Digest, Reference, Repository};
use ocisign::store::{Blob, Chunk, RawManifest, Referrers, Store, StoreError, Target};
use ocisign::{Admitted, Engine, Limits};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(Path::new(env!("CARGO_MANIFEST_DIR")), &mut std::io::stdout()).await
}

/// The whole program; `tree` is the directory of this project.
pub(crate) async fn run(tree: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let client = Client { layout: tree.join("tests/data/layouts/demo"), busy: Duration::ZERO };
    let numbers = Arc::new(Numbers::default());

    // once, for the whole life of the runtime
    let engine = Engine::load(&tree.join("policies/demo.json"), &Limits::default())?;
    let places = Arc::new(OurRegistries(client.clone()));
    let settings = Settings::default();
    let gate = Arc::new(Gate::with(engine, places, settings, numbers.clone()));

    // a pull
    let image = "demo.example/app:v1".parse()?;
    let admitted = admit(&gate, &image).await?;
    writeln!(out, "{}", pull(&client, &admitted).await?)?;

    // eight at once: they share what is under way, or take what is remembered
    let pulls: Vec<_> = (0..8)
        .map(|_| {
            let (gate, image) = (gate.clone(), image.clone());
            tokio::spawn(async move { admit(&gate, &image).await })
        })
        .collect();
    for pull in pulls {
        pull.await??;
    }

    // a signature is for its own name
    match admit(&gate, &"demo.example/other:v1".parse()?).await {
        Err(refused) => writeln!(out, "{refused}")?,
        Ok(admitted) => return Err(format!("{} was admitted", admitted.reference()).into()),
    }

    cancelled(tree, out).await?;
    writeln!(out, "{numbers}")?;
    Ok(())
}

/// Asks the gate. This is all that stands between a name and its pull.
///
/// `Err` is not always a no: the gate may not have been able to decide. Both
/// refuse the pull, and neither is remembered by the caller: the gate
/// remembers what may be.
async fn admit(gate: &Gate, image: &Reference) -> Result<Admitted, String> {
    let question = Question {
        reference: image.clone(),
        // the runtime rehashes layers as it pulls them
        depth: Depth::Manifests,
        // credentials that came with this request, if any did
        keyring: None,
        patience: Duration::from_secs(8),
    };
    let answer =
        gate.judge(&question).await.map_err(|why| format!("cannot pull {image}: {why}"))?;
    answer.admit().map_err(|verdict| format!("may not pull {image}: {}", verdict.summary))
}

/// The runtime's own pull: by the digest that was judged, never by a tag.
async fn pull(client: &Client, image: &Admitted) -> Result<String, StoreError> {
    let manifest = client.get(image.digest())?;
    Ok(format!("pulled {}, {} bytes of manifest", image.reference(), manifest.len()))
}

/// A caller that goes away drops the future, and that is all. What it had
/// begun goes on, so the next one is quick.
async fn cancelled(tree: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let busy = Duration::from_millis(200);
    let client = Client { layout: tree.join("tests/data/layouts/demo"), busy };
    let engine = Engine::load(&tree.join("policies/demo.json"), &Limits::default())?;
    let numbers = Arc::new(Numbers::default());
    let places = Arc::new(OurRegistries(client));
    let gate = Gate::with(engine, places, Settings::default(), numbers.clone());
    let image = "demo.example/app:v1".parse()?;
    tokio::select! {
        answer = admit(&gate, &image) => return Err(format!("too quick: {answer:?}").into()),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    admit(&gate, &image).await?;
    let verified = numbers.verified.load(Ordering::Relaxed);
    writeln!(out, "cancelled and asked again: {verified} verification")?;
    Ok(())
}

/// Where the gate finds images: the registries that this runtime pulls from.
struct OurRegistries(Client);

impl Places for OurRegistries {
    fn open(
        &self,
        repository: &Repository,
        _keyring: Option<&Keyring>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(OurRepository { client: self.0.clone(), repository: repository.clone() }))
    }
}

/// One repository, over the runtime's own client. It promises nothing of what
/// it gives: the gate hashes all of it.
#[derive(Debug)]
struct OurRepository {
    client: Client,
    repository: Repository,
}

#[async_trait]
impl Store for OurRepository {
    fn place(&self) -> String {
        self.repository.to_string()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let listed = self.client.list().await?;
        let found = match target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(tag) => listed.iter().find(|entry| tagged(entry, tag)).and_then(digest),
            Target::Only => None,
        };
        // only a place that answered, and does not have it, is `Absent`
        let found = found.ok_or_else(|| self.client.absent(&format!("{target:?}")))?;
        let bytes = self.client.get(&found)?;
        if bytes.len() as u64 > max {
            return Err(StoreError::TooLarge { what: found.to_string(), limit: max });
        }
        Ok(RawManifest { bytes, media_type: None, claimed: None })
    }

    async fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, StoreError> {
        let chunk = Chunk::from(self.client.get(digest)?);
        Ok(Blob::Stream(stream::iter([Ok(chunk)]).boxed()))
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let mut entries = Vec::new();
        for entry in self.client.list().await? {
            let Ok(descriptor) = serde_json::from_value::<Descriptor>(entry) else { continue };
            let manifest: Value = parse(&self.client.get(&descriptor.digest)?)?;
            if text(&manifest, "/subject/digest") == Some(&subject.to_string()) {
                entries.push(descriptor);
            }
        }
        Ok(Referrers { entries, truncated: None })
    }
}

/// Stands for the client that a runtime has: it knows nothing of ocisign.
#[derive(Debug, Clone)]
struct Client {
    layout: PathBuf,
    /// How long the network takes.
    busy: Duration,
}

impl Client {
    async fn list(&self) -> Result<Vec<Value>, StoreError> {
        tokio::time::sleep(self.busy).await;
        let index: Value = parse(&self.read("index.json")?)?;
        Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        self.read(&format!("blobs/{}/{}", digest.algorithm(), digest.hex()))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        std::fs::read(self.layout.join(name)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.absent(name),
            _ => StoreError::Io { what: format!("reading `{name}`"), source: error },
        })
    }

    fn absent(&self, what: &str) -> StoreError {
        StoreError::Absent { what: what.to_owned(), place: self.layout.display().to_string() }
    }
}

fn parse(bytes: &[u8]) -> Result<Value, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Protocol {
        place: "the layout".to_owned(),
        reason: error.to_string(),
    })
}

fn tagged(entry: &Value, tag: &str) -> bool {
    text(entry, "/annotations/org.opencontainers.image.ref.name") == Some(tag)
}

fn digest(entry: &Value) -> Option<Digest> {
    text(entry, "/digest")?.parse().ok()
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

/// The runtime's own numbers, for whatever reads them.
#[derive(Debug, Default)]
struct Numbers {
    asked: AtomicU64,
    verified: AtomicU64,
    shared: AtomicU64,
    refused: AtomicU64,
    undecided: AtomicU64,
}

impl Observer for Numbers {
    fn event(&self, event: &Event<'_>) {
        let count = |number: &AtomicU64| number.fetch_add(1, Ordering::Relaxed);
        match event {
            Event::Answered { answer, .. } => {
                count(&self.asked);
                if answer.admit().is_err() {
                    count(&self.refused);
                }
                match answer.origin() {
                    Origin::Verified => {}
                    Origin::Joined | Origin::Remembered => drop(count(&self.shared)),
                }
            }
            Event::Undecided { .. } => {
                count(&self.asked);
                count(&self.undecided);
            }
            Event::Verified { .. } => drop(count(&self.verified)),
            _ => {}
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        write!(
            f,
            "{} questions, {} verifications, {} answers shared; {} refused, {} undecided",
            of(&self.asked),
            of(&self.verified),
            of(&self.shared),
            of(&self.refused),
            of(&self.undecided),
        )
    }
}
