//! How long a gate waits and remembers, and by which clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::image::Depth;
use crate::policy::{Decision, Verdict};
use crate::store::Shelf;

/// How long a deny is remembered at most, so that an image that is signed
/// now is admitted soon.
pub const DENY_FOR: Duration = Duration::from_secs(10);

/// What a caller may choose. Nothing here makes a gate admit more.
#[derive(Clone)]
pub struct Settings {
    /// How long an allow is remembered. Never past the instant at which time
    /// alone could change it ([`Verdict::until`]).
    pub allow_for: Duration,
    /// How long a deny is remembered, and an allow that audit let through;
    /// at most [`DENY_FOR`].
    pub deny_for: Duration,
    /// How long a resolution, or a verification of manifests, may take. It
    /// goes on where its asker has left.
    pub foreground: Duration,
    /// The same for a verification that reads layers.
    pub background: Duration,
    /// Where bytes are remembered; `None` for memory of
    /// [`Limits::remembered_bytes`](crate::Limits).
    pub shelf: Option<Arc<dyn Shelf>>,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_for: Duration::from_secs(600),
            deny_for: DENY_FOR,
            foreground: Duration::from_secs(60),
            background: Duration::from_secs(600),
            shelf: None,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

impl Settings {
    /// How long this verdict may be remembered: not at all where it is none.
    pub(super) fn keep_for(&self, verdict: &Verdict) -> Duration {
        let denied = self.deny_for.min(DENY_FOR);
        match verdict.decision {
            Decision::Allow if verdict.would_deny.is_empty() => self.allow_for,
            // who signs it now wants the warning to go
            Decision::Allow => self.allow_for.min(denied),
            Decision::Deny => denied,
            Decision::Undecided => Duration::ZERO,
        }
    }

    pub(super) fn flight(&self, depth: Depth) -> Duration {
        match depth {
            Depth::Manifests => self.foreground,
            Depth::Layers | Depth::Contents => self.background,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("allow_for", &self.allow_for)
            .field("deny_for", &self.deny_for)
            .field("foreground", &self.foreground)
            .field("background", &self.background)
            .field("shelf", &self.shelf)
            .finish_non_exhaustive()
    }
}

/// Tells the time in two ways, because one of them can be set by hand and
/// the other stands still while a machine sleeps.
pub trait Clock: Send + Sync {
    /// The time of day: what policies are judged by.
    fn wall(&self) -> Timestamp;

    /// The time since some instant in the past; it never goes back.
    fn elapsed(&self) -> Duration;
}

/// The clocks of the system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
