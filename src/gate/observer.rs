//! What a gate tells of its work, for metrics and logs.

use std::time::Duration;

use super::{Answer, Undecided};
use crate::image::{Digest, Reference};
use crate::policy::Verdict;

/// Told of what the gate does. Called on the path of every question and
/// under no lock of the gate, so it must be quick and may ask the gate.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&self, _: &Event<'_>) {}
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
    /// A tag was resolved, for one question or for several.
    Resolved {
        /// The name as asked.
        reference: &'a Reference,
        /// Its digest, or why there is none.
        outcome: Result<&'a Digest, &'a Undecided>,
        /// How long it took, waiting for room left out.
        took: Duration,
    },
    /// A verification begins: it waited until there was room.
    Verifying {
        /// The name as asked.
        reference: &'a Reference,
        /// The digest that is judged.
        digest: &'a Digest,
        /// How long it waited for room.
        waited: Duration,
    },
    /// A verification ended, whether somebody still waits for it or not.
    Verified {
        /// The name as asked.
        reference: &'a Reference,
        /// The digest that was judged.
        digest: &'a Digest,
        /// The verdict, or why there is none.
        outcome: Result<&'a Verdict, &'a Undecided>,
        /// How long it took, waiting for room left out.
        took: Duration,
    },
}

/// What a gate has in hand at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Tags that are being resolved or wait for it.
    pub resolutions: usize,
    /// Verifications under way or waiting.
    pub verifications: usize,
    /// Verdicts that are remembered, those included that hold no more.
    pub verdicts: u64,
}
