//! Verdicts that are remembered, for as long as they hold.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;

use super::{Question, Settings};
use crate::engine::Engine;
use crate::image::{Depth, Digest, Reference};
use crate::policy::{self, Verdict};

/// What an entry takes beside the texts of its verdict: key, vectors,
/// counters.
const OVERHEAD: u32 = 2048;

/// All that a verdict depends on, time and what a registry lists left out.
///
/// The name is in it as it was asked, tag and digest included: one image
/// under two names is judged by two rules. So is the keyring, because what
/// one may read is not another's to learn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) reference: Reference,
    pub(super) digest: Digest,
    /// The greater of what is asked and what the policy asks.
    pub(super) depth: Depth,
    policy: Digest,
    epoch: Digest,
    keyring: Option<Digest>,
}

impl Key {
    pub(super) fn new(engine: &Engine, question: &Question, digest: Digest) -> Self {
        let asked = policy::required_depth(engine.policy(), question.reference.repository());
        Self {
            reference: question.reference.clone(),
            digest,
            depth: asked.map_or(question.depth, |asked| asked.max(question.depth)),
            policy: engine.policy().document().digest.clone(),
            epoch: engine.epoch().clone(),
            keyring: question.keyring.as_ref().map(|keyring| keyring.id().clone()),
        }
    }
}

/// When a verification began to look, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) elapsed: Duration,
}

impl Moment {
    pub(super) fn now(settings: &Settings) -> Self {
        Self { wall: settings.clock.wall(), elapsed: settings.clock.elapsed() }
    }
}

#[derive(Debug, Clone)]
struct Kept {
    verdict: Arc<Verdict>,
    since: Moment,
    keep_for: Duration,
    weight: u32,
}

impl Kept {
    /// Young by both clocks, and before its next breakpoint. A clock that
    /// was set back or forth ends it.
    fn holds(&self, now: Moment) -> bool {
        let young = now.elapsed.saturating_sub(self.since.elapsed) < self.keep_for;
        let age = now.wall.duration_since(self.since.wall);
        let keep_for = SignedDuration::try_from(self.keep_for).unwrap_or(SignedDuration::MAX);
        young && age < keep_for && holds(&self.verdict, now.wall)
    }
}

/// Whether a verdict is still what it was when it was judged.
pub(super) fn holds(verdict: &Verdict, now: Timestamp) -> bool {
    verdict.now <= now && verdict.until().is_none_or(|until| now < until)
}

/// The verdicts that are remembered, bounded in bytes.
#[derive(Debug)]
pub(super) struct Verdicts {
    kept: Cache<Key, Kept>,
}

impl Verdicts {
    pub(super) fn new(bytes: u64) -> Self {
        let weight = |_: &Key, kept: &Kept| kept.weight;
        Self { kept: Cache::builder().max_capacity(bytes).weigher(weight).build() }
    }

    pub(super) fn find(&self, key: &Key, settings: &Settings) -> Option<Arc<Verdict>> {
        let kept = self.kept.get(key)?;
        if kept.holds(Moment::now(settings)) {
            return Some(kept.verdict);
        }
        self.kept.invalidate(key);
        None
    }

    pub(super) fn keep(
        &self,
        key: Key,
        verdict: &Arc<Verdict>,
        since: Moment,
        settings: &Settings,
    ) {
        let keep_for = settings.keep_for(verdict);
        if keep_for.is_zero() {
            return;
        }
        let weight = weight(verdict);
        let verdict = Arc::clone(verdict);
        self.kept.insert(key, Kept { verdict, since, keep_for, weight });
    }

    pub(super) fn count(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.entry_count()
    }
}

/// About what a verdict takes: its texts are what can grow.
fn weight(verdict: &Verdict) -> u32 {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, verdict) {
        Ok(()) => u32::try_from(count.0).unwrap_or(u32::MAX).saturating_add(OVERHEAD),
        Err(_) => u32::MAX,
    }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
