//! What a gate is asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::Keyring;
use crate::engine;
use crate::image::{Depth, Reference};
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
    pub(super) verdict: Arc<Verdict>,
    pub(super) source: Origin,
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
        match self.verdict.admitted() {
            Some(admitted) => Ok(admitted.clone()),
            None => Err(Box::new(Verdict::clone(&self.verdict))),
        }
    }
}

/// Why there is no verdict. Deny, and do not remember it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// The asker's patience ended first. The work goes on in the background,
    /// so asking again can be quick.
    #[error("not decided within {} ms; try again, or look at the registry", .0.as_millis())]
    Deadline(Duration),
    /// The image or its signatures could not be read.
    #[error("{0}")]
    Failed(Arc<engine::Error>),
    /// There is more to verify than can be; nothing was begun for this
    /// question.
    #[error("{0} verifications are under way or waiting; try again in a moment")]
    Busy(usize),
    /// The verification ended without an answer: it panicked, or the event
    /// loop is ending.
    #[error(
        "the verification ended without an answer; try again, and report it as a bug of ocisign or of the store if it stays"
    )]
    Lost,
}

impl From<engine::Error> for Undecided {
    fn from(error: engine::Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}
