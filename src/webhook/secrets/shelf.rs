//! Answers of the API server, for a few seconds: many pods of one namespace
//! ask for the same few secrets, and a rotated one counts soon.
//!
//! Only answers are kept. What could not be read is told to those who waited
//! for it, and the next one asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::OnceCell;

use super::api::Trouble;

type Key = (String, String);
type UnderWay<T> = HashMap<Key, Arc<OnceCell<Result<T, Trouble>>>>;
type Flights<T> = Mutex<UnderWay<T>>;

/// Memory that an entry takes beside what it weighs.
const ENTRY: usize = 256;

/// What was read of objects, by namespace and name.
pub(super) struct Shelf<T> {
    kept: Cache<Key, (T, u32)>,
    flights: Flights<T>,
}

impl<T: Clone + Send + Sync + 'static> Shelf<T> {
    /// Keeps `bytes` at most, each answer for `ttl`.
    pub(super) fn new(bytes: u64, ttl: Duration) -> Self {
        let kept = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &Key, (_, weight): &(T, u32)| *weight)
            .time_to_live(ttl)
            .build();
        Self { kept, flights: Mutex::default() }
    }

    /// What is kept, or what `read` says and weighs. Of several that ask at
    /// once one reads.
    pub(super) async fn get(
        &self,
        namespace: &str,
        name: &str,
        read: impl Future<Output = Result<(T, usize), Trouble>> + Send,
    ) -> Result<T, Trouble> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((kept, _)) = self.kept.get(&key) {
            return Ok(kept);
        }
        let flight = Flight::join(&self.flights, key);
        let land = async {
            let (answer, weight) = read.await?;
            let weight = weight.saturating_add(ENTRY);
            let weight = u32::try_from(weight).unwrap_or(u32::MAX);
            self.kept.insert(flight.key.clone(), (answer.clone(), weight));
            Ok(answer)
        };
        flight.cell.get_or_init(|| land).await.clone()
    }
}

/// A seat in a flight. The last who leaves, or whoever leaves after it has
/// landed, takes it off the list.
struct Flight<'a, T> {
    flights: &'a Flights<T>,
    key: Key,
    cell: Arc<OnceCell<Result<T, Trouble>>>,
}

impl<'a, T> Flight<'a, T> {
    fn join(flights: &'a Flights<T>, key: Key) -> Self {
        let cell = Arc::clone(lock(flights).entry(key.clone()).or_default());
        Self { flights, key, cell }
    }
}

impl<T> Drop for Flight<'_, T> {
    fn drop(&mut self) {
        let mut flights = lock(self.flights);
        let listed = flights.get(&self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // the list and this
        if listed && (self.cell.initialized() || Arc::strong_count(&self.cell) == 2) {
            flights.remove(&self.key);
        }
    }
}

fn lock<T>(flights: &Flights<T>) -> MutexGuard<'_, UnderWay<T>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn shelf(ttl: Duration) -> Shelf<usize> {
        Shelf::new(1 << 20, ttl)
    }

    async fn ask(shelf: &Shelf<usize>, reads: &AtomicUsize, ok: bool) -> Result<usize, Trouble> {
        let read = async {
            let count = reads.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let trouble = Trouble::TooLarge { what: "it".to_owned(), limit: 1 };
            ok.then_some((count, 1)).ok_or(trouble)
        };
        shelf.get("space", "name", read).await
    }

    #[tokio::test]
    async fn several_at_once_are_one_read_and_later_ones_none_until_it_is_old() {
        let (shelf, reads) = (shelf(Duration::from_millis(300)), AtomicUsize::new(0));
        let all = (0..8).map(|_| ask(&shelf, &reads, true));
        assert_eq!(futures_util::future::join_all(all).await, vec![Ok(1); 8]);
        assert_eq!(ask(&shelf, &reads, true).await, Ok(1));
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(ask(&shelf, &reads, true).await, Ok(2));
        assert!(lock(&shelf.flights).is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_not_kept() {
        let (shelf, reads) = (shelf(Duration::from_secs(60)), AtomicUsize::new(0));
        let all = (0..8).map(|_| ask(&shelf, &reads, false));
        assert!(futures_util::future::join_all(all).await.iter().all(Result::is_err));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(ask(&shelf, &reads, true).await, Ok(2));
        assert!(lock(&shelf.flights).is_empty());
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_reading_to_the_next() {
        let (shelf, reads) = (shelf(Duration::from_secs(60)), AtomicUsize::new(0));
        let impatient = tokio::time::timeout(Duration::from_millis(5), ask(&shelf, &reads, true));
        let (first, second) = tokio::join!(impatient, ask(&shelf, &reads, true));
        assert!(first.is_err());
        assert_eq!(second, Ok(2));
        let alone = tokio::time::timeout(Duration::from_millis(5), async {
            shelf.get("space", "other", std::future::pending()).await
        });
        assert!(alone.await.is_err());
        assert!(lock(&shelf.flights).is_empty(), "nobody is left in it");
    }
}
