//! One gate for many requests: resolves a name once, verifies an image once,
//! remembers verdicts for as long as they hold.
//!
//! ```text
//! Question ─► resolve ─► remembered? ─► in flight? ─► Engine::check ─► Answer
//!  reference   one tag,     verdict        join it       bounded        verdict
//!  keyring     one digest
//! ```
//!
//! The webhook, the containerd plugin and audits use it, and so does a
//! runtime that gates its pulls.

mod flights;
mod layers;
mod observer;
mod places;
mod question;
mod settings;
mod verdicts;
mod work;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flights::{Boarded, Flights};
use layers::Layers;
pub use observer::{Event, Load, Observer, Unobserved};
pub use places::{Keyring, Places, RegistryPlaces};
pub use question::{Answer, Origin, Question, Undecided};
pub use settings::{Clock, DENY_FOR, Settings, SystemClock};
use verdicts::{Key, Verdicts};
use work::{Name, Work};

use crate::engine::Engine;
use crate::image::Digest;
use crate::policy::Verdict;
use crate::store::cached::MemoryShelf;

/// Decides on many images, several at once. Cheap to share: `Arc<Gate>`.
///
/// It answers within a tokio event loop. What it begins is a task of that
/// loop and goes on when its asker has left.
pub struct Gate {
    engine: RwLock<Arc<Engine>>,
    work: Arc<Work>,
    resolutions: Flights<Name, Result<Digest, Undecided>>,
    verifications: Flights<Key, Result<Arc<Verdict>, Undecided>>,
}

impl Gate {
    /// A gate that knows nothing yet, with the usual settings, observed by
    /// nobody.
    pub fn new(engine: Engine, places: Arc<dyn Places>) -> Self {
        Self::with(engine, places, Settings::default(), Arc::new(Unobserved))
    }

    /// A gate that knows nothing yet. What it holds at once and remembers is
    /// bounded by the limits of `engine`; later engines do not change that.
    pub fn with(
        engine: Engine,
        places: Arc<dyn Places>,
        settings: Settings,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let limits = engine.limits();
        let shelf = settings.shelf.clone();
        let flights = (limits.verifications, limits.waiting);
        let work = Work {
            places,
            shelf: shelf.unwrap_or_else(|| Arc::new(MemoryShelf::new(limits.remembered_bytes))),
            layers: Layers::new(limits.remembered_layers),
            verdicts: Verdicts::new(limits.remembered_verdict_bytes),
            settings,
            observer,
        };
        Self {
            work: Arc::new(work),
            resolutions: Flights::new(flights.0, flights.1),
            verifications: Flights::new(flights.0, flights.1),
            engine: RwLock::new(Arc::new(engine)),
        }
    }

    /// Puts another policy with its keys in place. Questions under way are
    /// answered by the one that they began with; no later one is, not even
    /// from what is remembered.
    pub fn replace(&self, engine: Engine) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
    }

    /// The policy, keys and bounds that decide now.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in hand now.
    pub fn load(&self) -> Load {
        Load {
            resolutions: self.resolutions.count(),
            verifications: self.verifications.count(),
            verdicts: self.work.verdicts.count(),
        }
    }

    /// The digest that a name stands for now. A name with a digest stands
    /// for that, and nobody is asked.
    ///
    /// # Errors
    /// [`Undecided`] where the place does not say, or not in time.
    pub async fn resolve(&self, question: &Question) -> Result<Digest, Undecided> {
        let begun = self.work.elapsed();
        let outcome = within(question.patience, self.digest(&self.engine(), question)).await;
        if let Err(why) = &outcome {
            self.undecided(question, why, begun);
        }
        outcome
    }

    /// Decides on one image.
    ///
    /// The name is resolved once, and the digest that it resolved to is the
    /// one that is judged and admitted.
    ///
    /// # Errors
    /// [`Undecided`] where there is no verdict. A verdict may say
    /// [`Decision::Undecided`](crate::Decision::Undecided) too; only
    /// [`Answer::admit`] tells whether the image may run.
    pub async fn judge(&self, question: &Question) -> Result<Answer, Undecided> {
        self.judge_by(&self.engine(), question).await
    }

    /// As [`Self::judge`], by an engine that was in place a moment ago: one
    /// who asks several questions gets answers of one policy.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub async fn judge_by(
        &self,
        engine: &Arc<Engine>,
        question: &Question,
    ) -> Result<Answer, Undecided> {
        let begun = self.work.elapsed();
        let outcome = within(question.patience, self.answer(engine, question)).await;
        match &outcome {
            Ok(answer) => {
                let took = self.work.since(begun);
                self.work.observer.event(&Event::Answered { answer, took });
            }
            Err(why) => self.undecided(question, why, begun),
        }
        outcome
    }

    fn undecided(&self, question: &Question, why: &Undecided, begun: Duration) {
        let (reference, took) = (&question.reference, self.work.since(begun));
        self.work.observer.event(&Event::Undecided { reference, why, took });
    }

    async fn digest(&self, engine: &Arc<Engine>, question: &Question) -> Result<Digest, Undecided> {
        if let Some(digest) = question.reference.digest() {
            return Ok(digest.clone());
        }
        let name = Name::of(question);
        let boarded = self.resolutions.board(
            &name,
            question.reference.repository().host(),
            || None,
            |room| Arc::clone(&self.work).resolve(room, engine.clone(), question.clone()),
        )?;
        match boarded {
            Boarded::Known(digest) => digest,
            Boarded::Joined(waiting) | Boarded::Begun(waiting) => waiting.landed().await?,
        }
    }

    async fn answer(&self, engine: &Arc<Engine>, question: &Question) -> Result<Answer, Undecided> {
        let digest = self.digest(engine, question).await?;
        let key = Key::new(engine, question, digest);
        let engine = Arc::clone(engine);
        let work = &self.work;
        let boarded = self.verifications.board(
            &key,
            question.reference.repository().host(),
            || work.verdicts.find(&key, &work.settings).map(Ok),
            |room| Arc::clone(work).verify(room, engine, key.clone(), question.keyring.clone()),
        )?;
        let (verdict, source) = match boarded {
            Boarded::Known(verdict) => (verdict?, Origin::Remembered),
            Boarded::Joined(waiting) => (waiting.landed().await??, Origin::Joined),
            Boarded::Begun(waiting) => (waiting.landed().await??, Origin::Verified),
        };
        Ok(Answer { verdict, source })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("load", &self.load()).finish_non_exhaustive()
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Undecided>>,
) -> Result<T, Undecided> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(Undecided::Deadline(patience)),
    }
}
