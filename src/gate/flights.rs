//! Work that several questions share while it is under way.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Undecided;

/// Of all that is under way or waits, one registry gets so many quarters: one
/// that stalls takes no room from the others.
const QUARTERS: usize = 3;

/// Work under way, by what it is about.
///
/// Each flight is a task of its own: who loses patience neither ends it for
/// the others nor loses what it finds. It lands however it ends, a panic
/// included, and what waits for it learns so.
pub(super) struct Flights<K, T> {
    air: Arc<Mutex<Air<K, T>>>,
    room: Arc<Room>,
    most: usize,
}

/// What is under way or waits for room.
struct Air<K, T> {
    flights: HashMap<K, Seat<T>>,
    by_host: HashMap<String, usize>,
}

type Seat<T> = watch::Receiver<Option<T>>;

/// How a question gets its answer.
pub(super) enum Boarded<T> {
    /// It was there already.
    Known(T),
    /// From a flight that was under way.
    Joined(Waiting<T>),
    /// From one that was begun for it.
    Begun(Waiting<T>),
}

/// A flight that somebody waits for.
pub(super) struct Waiting<T>(Seat<T>);

impl<T: Clone> Waiting<T> {
    pub(super) async fn landed(mut self) -> Result<T, Undecided> {
        match self.0.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().ok_or(Undecided::Lost),
            Err(_) => Err(Undecided::Lost),
        }
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// `at_once` fly at once, `waiting` wait behind them.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            air: Arc::new(Mutex::new(Air { flights: HashMap::new(), by_host: HashMap::new() })),
            room: Arc::new(Room::new(at_once)),
            most: at_once.max(1).saturating_add(waiting),
        }
    }

    /// Joins the flight for `key`, takes what is `known`, or begins one.
    ///
    /// All three under one lock: a flight that lands between two of these
    /// steps would otherwise be flown again.
    pub(super) fn board<F>(
        &self,
        key: &K,
        host: &str,
        known: impl FnOnce() -> Option<T>,
        work: impl FnOnce(Arc<Room>) -> F,
    ) -> Result<Boarded<T>, Undecided>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut air = lock(&self.air);
        if let Some(seat) = air.flights.get(key) {
            return Ok(Boarded::Joined(Waiting(seat.clone())));
        }
        if let Some(known) = known() {
            return Ok(Boarded::Known(known));
        }
        let of_host = air.by_host.get(host).copied().unwrap_or_default();
        if air.flights.len() >= self.most || of_host >= share(self.most) {
            return Err(Undecided::Busy(air.flights.len()));
        }
        let (tell, seat) = watch::channel(None);
        air.flights.insert(key.clone(), seat.clone());
        *air.by_host.entry(host.to_owned()).or_default() += 1;
        drop(air);
        let landing = Landing { air: self.air.clone(), key: key.clone(), host: host.to_owned() };
        let work = work(Arc::clone(&self.room));
        tokio::spawn(async move {
            let landing = landing;
            let answer = work.await;
            drop(landing);
            // nobody may be left to hear it
            let _ = tell.send(Some(answer));
        });
        Ok(Boarded::Begun(Waiting(seat)))
    }

    /// How many are under way or wait.
    pub(super) fn count(&self) -> usize {
        lock(&self.air).flights.len()
    }
}

/// Takes a flight out of the air, however it ends.
struct Landing<K: Eq + Hash, T> {
    air: Arc<Mutex<Air<K, T>>>,
    key: K,
    host: String,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut air = lock(&self.air);
        air.flights.remove(&self.key);
        if let Some(count) = air.by_host.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                air.by_host.remove(&self.host);
            }
        }
    }
}

/// Room for so many flights at once.
pub(super) struct Room {
    all: Arc<Semaphore>,
    /// Room of each host that something flies to or waits for.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    each: usize,
}

impl Room {
    fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            all: Arc::new(Semaphore::new(at_once)),
            hosts: Mutex::default(),
            each: share(at_once),
        }
    }

    /// Waits until there is room, in the order of asking.
    pub(super) async fn enter(&self, host: &str) -> Result<Entered, Undecided> {
        let own = self.host(host);
        // first the host's, so that who waits for that holds nothing of all
        let own = own.acquire_owned().await.map_err(|_| Undecided::Lost)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Undecided::Lost)?;
        Ok(Entered { _own: own, _all: all })
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = lock(&self.hosts);
        if !hosts.contains_key(host) {
            // a semaphore that nobody else holds is one that nobody is in
            hosts.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own =
            hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Arc::clone(own)
    }
}

/// Room that is taken until this is dropped.
pub(super) struct Entered {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

fn share(all: usize) -> usize {
    (all.saturating_mul(QUARTERS) / 4).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
