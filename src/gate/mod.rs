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

mod places;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

pub use places::{Keyring, Places, RegistryPlaces};

use crate::engine::{self, Ask, Engine, Image};
use crate::image::{Depth, Digest, Reference, Source};
use crate::policy::{Admitted, Verdict};

/// One question: may this image run?
#[derive(Debug, Clone)]
pub struct Question {
    /// The name as asked, normalised.
    pub reference: Reference,
    /// How deep to recompute the image; the policy may ask for more.
    pub depth: Depth,
    /// Credentials for this question alone; `None` for those of the place.
    pub keyring: Option<Keyring>,
    /// How long the asker waits.
    pub patience: Duration,
}

/// What the gate says of one image.
#[must_use]
#[derive(Debug, Clone)]
pub struct Answer {
    verdict: Arc<Verdict>,
    source: Origin,
}

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Verified for this question.
    Verified,
    /// Verified for another question that was under way.
    Joined,
    /// Remembered.
    Remembered,
}

impl Answer {
    /// The verdict, with its reasons.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// How it came about.
    pub fn origin(&self) -> Origin {
        self.source
    }

    /// The digest-pinned reference, where the answer is allow.
    ///
    /// # Errors
    /// The verdict, where it is anything else.
    pub fn admit(&self) -> Result<Admitted, Box<Verdict>> {
        Verdict::clone(&self.verdict).admit()
    }
}

/// Why there is no verdict. Deny, and do not remember it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// The asker's patience ended first. The work may go on in the
    /// background, so asking again can be quick.
    #[error("not decided within {} ms; try again, or look at the registry", .0.as_millis())]
    Deadline(Duration),
    /// The image or its signatures could not be read.
    #[error("{0}")]
    Failed(Arc<engine::Error>),
}

/// Told of what the gate does: for metrics and logs. Called on the path of
/// every question, so it must be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What a gate does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A question was answered.
    Answered {
        /// The answer.
        answer: &'a Answer,
        /// How long it took.
        took: Duration,
    },
    /// A question was not answered.
    Undecided {
        /// The name as asked.
        reference: &'a Reference,
        /// Why.
        why: &'a Undecided,
        /// How long it took.
        took: Duration,
    },
}

/// Decides on many images, several at once. Cheap to share: `Arc<Gate>`.
pub struct Gate {
    engine: RwLock<Arc<Engine>>,
    places: Arc<dyn Places>,
}

impl Gate {
    /// A gate that knows nothing yet.
    pub fn new(engine: Engine, places: Arc<dyn Places>) -> Self {
        Self { engine: RwLock::new(Arc::new(engine)), places }
    }

    /// Puts another policy with its keys in place. Questions under way are
    /// answered by the one that they began with; no later one is.
    pub fn replace(&self, engine: Engine) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
    }

    /// The policy, keys and bounds that decide now.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The digest that a name stands for now.
    ///
    /// # Errors
    /// [`Undecided`] where the place does not say, or not in time.
    pub async fn resolve(&self, question: &Question) -> Result<Digest, Undecided> {
        within(question.patience, async {
            let image = self.image(question)?;
            image.resolve(self.engine().limits()).await
        })
        .await
    }

    /// Decides on one image.
    ///
    /// # Errors
    /// [`Undecided`] where there is no verdict. A verdict may say
    /// [`Decision::Undecided`](crate::Decision::Undecided) too; only
    /// [`Answer::admit`] tells whether the image may run.
    pub async fn judge(&self, question: &Question) -> Result<Answer, Undecided> {
        within(question.patience, async {
            let image = self.image(question)?;
            let engine = self.engine();
            let digest = image.resolve(engine.limits()).await?;
            let ask = Ask { depth: question.depth, ..Ask::default() };
            let verdict = engine.check(&image.at_digest(digest), &ask, Timestamp::now()).await?;
            Ok(Answer { verdict: Arc::new(verdict), source: Origin::Verified })
        })
        .await
    }

    fn image(&self, question: &Question) -> Result<Image, engine::Error> {
        let repository = question.reference.repository();
        let store = self.places.open(repository, question.keyring.as_ref())?;
        Image::from_store(store, &Source::Registry(question.reference.clone()), None)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("engine", &self.engine).finish_non_exhaustive()
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, engine::Error>>,
) -> Result<T, Undecided> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done.map_err(|error| Undecided::Failed(Arc::new(error))),
        Err(_) => Err(Undecided::Deadline(patience)),
    }
}
