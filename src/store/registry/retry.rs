//! When to ask again, and after how long.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::limits::Limits;
use crate::store::StoreError;

/// One attempt that failed, and whether another may help.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    pub(super) again: Again,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would fail the same way.
    No,
    /// The server said or showed that it did nothing (429, 503, no
    /// connection), so that any request can be sent again. With the pause
    /// that it asked for.
    Unprocessed(Option<Duration>),
    /// It may or may not have been done: only for idempotent requests.
    Unknown(Option<Duration>),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, again: Again::No }
    }
}

impl Failure {
    pub(super) fn unknown(error: StoreError) -> Self {
        Self { error, again: Again::Unknown(None) }
    }
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Tries {
    left: u32,
    made: u32,
    longest: Duration,
    idempotent: bool,
}

/// First pause; doubled each time.
const FIRST: Duration = Duration::from_millis(250);

impl Tries {
    pub(super) fn new(limits: &Limits, idempotent: bool) -> Self {
        let left = limits.attempts.max(1) - 1;
        Self { left, made: 0, longest: limits.retry_after, idempotent }
    }

    /// Waits until the next attempt is due.
    ///
    /// # Errors
    /// The failure's own error, once there is no next attempt.
    pub(super) async fn pause(&mut self, failure: Failure) -> Result<(), StoreError> {
        let asked = match failure.again {
            Again::Unprocessed(asked) => asked,
            Again::Unknown(asked) if self.idempotent => asked,
            Again::No | Again::Unknown(_) => return Err(failure.error),
        };
        if self.left == 0 {
            return Err(failure.error);
        }
        self.left -= 1;
        tokio::time::sleep(self.next_pause(asked)).await;
        Ok(())
    }

    /// What the server asked for, else 250 ms, 500 ms, … with up to half as
    /// much again at random, so that clients that failed together do not
    /// return together. Never more than the limit.
    fn next_pause(&mut self, asked: Option<Duration>) -> Duration {
        let backoff = FIRST.saturating_mul(1 << self.made.min(10));
        self.made += 1;
        let base = asked.unwrap_or(backoff);
        let jittered = if asked.is_some() { base } else { base + jitter(base / 2) };
        jittered.min(self.longest)
    }
}

/// A random part of `most`. Not for secrets: the seed of the standard
/// library's hash maps is random enough to spread clients.
pub(super) fn jitter(most: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    most.mul_f64((random % 1024) as f64 / 1024.0)
}

/// `Retry-After`: RFC 9110, section 10.2.3, seconds or a date.
pub(super) fn retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let when = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(when.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(7)));
        let later: jiff::Timestamp = "1995-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(retry_after(date, later), Some(Duration::ZERO), "a date that passed");
        assert_eq!(
            retry_after("99999999999999999999999", now),
            Some(Duration::from_secs(u64::MAX))
        );
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn pauses_double_and_stay_under_the_limit() {
        let limits = Limits { retry_after: Duration::from_secs(2), ..Limits::default() };
        let mut tries = Tries::new(&limits, true);
        for least in [250, 500, 1000, 2000, 2000] {
            let pause = tries.next_pause(None);
            assert!(pause >= Duration::from_millis(least) && pause <= limits.retry_after);
        }
        assert_eq!(tries.next_pause(Some(Duration::from_secs(u64::MAX))), limits.retry_after);
        assert_eq!(tries.next_pause(Some(Duration::ZERO)), Duration::ZERO);
    }
}
