//! The work itself, each piece in a task that no asker owns.

use std::sync::Arc;
use std::time::Duration;

use super::flights::Room;
use super::layers::Layers;
use super::verdicts::{Key, Moment, Verdicts, holds};
use super::{Event, Keyring, Observer, Places, Question, Settings, Undecided};
use crate::engine::{self, Ask, Engine, Image};
use crate::image::{Digest, Reference, Repository, Source};
use crate::policy::Verdict;
use crate::store::{Cached, Shelf};

/// How often a verdict that its own breakpoint overtook is judged again. The
/// second time all its bytes are remembered.
const JUDGINGS: usize = 3;

/// What a resolution is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    repository: Repository,
    tag: Option<String>,
    keyring: Option<Digest>,
}

impl Name {
    pub(super) fn of(question: &Question) -> Self {
        Self {
            repository: question.reference.repository().clone(),
            tag: question.reference.tag().map(str::to_owned),
            keyring: question.keyring.as_ref().map(|keyring| keyring.id().clone()),
        }
    }
}

/// What all pieces of work share.
pub(super) struct Work {
    pub(super) places: Arc<dyn Places>,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) layers: Layers,
    pub(super) verdicts: Verdicts,
    pub(super) settings: Settings,
    pub(super) observer: Arc<dyn Observer>,
}

impl Work {
    /// The time by the clock that never goes back.
    pub(super) fn elapsed(&self) -> Duration {
        self.settings.clock.elapsed()
    }

    pub(super) fn since(&self, begun: Duration) -> Duration {
        self.elapsed().saturating_sub(begun)
    }

    /// Asks the place what a tag stands for.
    pub(super) async fn resolve(
        self: Arc<Self>,
        room: Arc<Room>,
        engine: Arc<Engine>,
        question: Question,
    ) -> Result<Digest, Undecided> {
        let Question { reference, keyring, .. } = question;
        let _entered = room.enter(reference.repository().host()).await?;
        let begun = self.elapsed();
        let outcome = in_time(self.settings.foreground, async {
            let image = self.image(&engine, &reference, keyring.as_ref())?;
            image.resolve(engine.limits()).await
        })
        .await;
        let (told, took) = (outcome.as_ref(), self.since(begun));
        self.observer.event(&Event::Resolved { reference: &reference, outcome: told, took });
        outcome
    }

    /// Verifies an image and remembers the verdict.
    pub(super) async fn verify(
        self: Arc<Self>,
        room: Arc<Room>,
        engine: Arc<Engine>,
        key: Key,
        keyring: Option<Keyring>,
    ) -> Result<Arc<Verdict>, Undecided> {
        let (reference, digest) = (&key.reference, &key.digest);
        let asked = self.elapsed();
        let _entered = room.enter(reference.repository().host()).await?;
        let begun = self.elapsed();
        let waited = self.since(asked);
        self.observer.event(&Event::Verifying { reference, digest, waited });
        let judging = self.judge(&engine, &key, keyring.as_ref());
        let outcome = in_time(self.settings.flight(key.depth), judging).await;
        let outcome = outcome.map(|(verdict, since)| {
            let verdict = Arc::new(verdict);
            self.verdicts.keep(key.clone(), &verdict, since, &self.settings);
            verdict
        });
        let (told, took) = (outcome.as_deref(), self.since(begun));
        self.observer.event(&Event::Verified { reference, digest, outcome: told, took });
        outcome
    }

    /// A verdict that still holds when it is given.
    async fn judge(
        &self,
        engine: &Engine,
        key: &Key,
        keyring: Option<&Keyring>,
    ) -> Result<(Verdict, Moment), engine::Error> {
        let image = self.image(engine, &key.reference, keyring)?.at_digest(key.digest.clone());
        let ask = Ask { depth: key.depth, hashed: &self.layers, ..Ask::default() };
        for _ in 0..JUDGINGS {
            let since = Moment::now(&self.settings);
            let verdict = engine.check(&image, &ask, since.wall).await?;
            if holds(&verdict, self.settings.clock.wall()) {
                return Ok((verdict, since));
            }
        }
        Err(engine::Error::Usage(
            "the clock went past what the verdict rests on, or back, each time that it was \
             reached; check the clock and try again"
                .to_owned(),
        ))
    }

    fn image(
        &self,
        engine: &Engine,
        reference: &Reference,
        keyring: Option<&Keyring>,
    ) -> Result<Image, engine::Error> {
        let store = self.places.open(reference.repository(), keyring)?;
        let most = engine.limits().remembered_blob_bytes;
        let store = Cached::new(store, Arc::clone(&self.shelf), most);
        Image::from_store(Arc::new(store), &Source::Registry(reference.clone()), None)
    }
}

/// Holds work to its own deadline, which is none of its askers'.
async fn in_time<T>(
    most: Duration,
    work: impl Future<Output = Result<T, engine::Error>>,
) -> Result<T, Undecided> {
    match tokio::time::timeout(most, work).await {
        Ok(done) => done.map_err(Undecided::from),
        Err(_) => Err(engine::Error::Deadline(most).into()),
    }
}
