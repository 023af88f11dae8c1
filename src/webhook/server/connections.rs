//! Connections: how many, how long, and which one goes when there is no room.
//!
//! A flood cannot keep the API server out: at the bound, the connection that
//! is longest without a request ends for each new one, those that never made
//! a request first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::Limits;
use crate::webhook::metrics::Metrics;

/// How soon to look again for a connection that can go.
const RETRY: Duration = Duration::from_millis(20);

/// The open connections.
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    freed: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Activity>>,
}

/// What a connection is doing.
struct Activity {
    requests: AtomicUsize,
    served: AtomicBool,
    since: Mutex<Instant>,
    end: Notify,
}

/// The right to have one connection; it ends with this.
pub(super) struct Slot {
    id: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

/// A request under way on a connection.
pub(super) struct Busy(Arc<Activity>);

/// Why a connection is ended by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It made no request in time.
    Silent,
    /// It was not used for long.
    Idle,
    /// Another one needed the room.
    Room,
}

impl Cut {
    /// The word for it in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Room => "room",
        }
    }
}

impl Connections {
    /// None yet, and so many at most.
    pub(super) fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        let (open, freed) = (Mutex::default(), Notify::new());
        Self { max: max.max(1), open, freed, metrics }
    }

    /// Waits for room, and makes some.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot {
        loop {
            let freed = self.freed.notified();
            if let Some(slot) = self.take() {
                return slot;
            }
            // one that is in use now may be unused soon, and nobody says so
            let _ = timeout(RETRY, freed).await;
        }
    }

    /// A slot where there is room; else one connection is told to end.
    fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut open = self.lock();
        if open.all.len() >= self.max {
            let unused = open.all.values().filter(|one| one.requests() == 0);
            if let Some(longest) = unused.min_by_key(|one| (one.served(), *one.since())) {
                longest.end.notify_one();
            }
            return None;
        }
        let id = open.next;
        open.next += 1;
        let activity = Arc::new(Activity::new());
        open.all.insert(id, Arc::clone(&activity));
        self.metrics.connections.set(i64::try_from(open.all.len()).unwrap_or(i64::MAX));
        Some(Slot { id, activity, connections: Arc::clone(self) })
    }

    /// Waits until the last connection is gone.
    pub(super) async fn all_ended(&self) {
        loop {
            let freed = self.freed.notified();
            if self.lock().all.is_empty() {
                return;
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// A request begins.
    pub(super) fn request(&self) -> Busy {
        self.activity.requests.fetch_add(1, Ordering::AcqRel);
        self.activity.served.store(true, Ordering::Release);
        Busy(Arc::clone(&self.activity))
    }

    /// Waits until the connection should end.
    pub(super) async fn cut(&self, limits: &Limits) -> Cut {
        tokio::select! {
            () = self.activity.end.notified() => Cut::Room,
            cut = self.unused(limits) => cut,
        }
    }

    async fn unused(&self, limits: &Limits) -> Cut {
        loop {
            let (patience, cut) = match self.activity.served() {
                true => (limits.connection_idle, Cut::Idle),
                // the handshake, then the head of a request
                false => (limits.handshake_timeout * 2, Cut::Silent),
            };
            let busy = self.activity.requests() > 0;
            let since = if busy { Instant::now() } else { *self.activity.since() };
            let until = since + patience;
            if !busy && until <= Instant::now() {
                return cut;
            }
            sleep_until(until).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.all.remove(&self.id);
        let left = i64::try_from(open.all.len()).unwrap_or(i64::MAX);
        self.connections.metrics.connections.set(left);
        drop(open);
        // the one who accepts, and the one who waits for the end
        self.connections.freed.notify_waiters();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.since() = Instant::now();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            requests: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            end: Notify::new(),
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    fn served(&self) -> bool {
        self.served.load(Ordering::Acquire)
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
