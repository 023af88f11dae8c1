//! Errors of one place, and what of a stranger's text may stand in them.

use std::fmt;

use crate::store::StoreError;

/// The repository as messages name it: `localhost:5000/app`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub(super) fn absent(&self, what: &str) -> StoreError {
        StoreError::Absent { what: what.to_owned(), place: self.0.clone() }
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unreachable { place: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn unauthorized(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unauthorized { place: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn protocol(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Protocol { place: self.0.clone(), reason: reason.into() }
    }

    pub(super) fn read_only(&self, reason: impl Into<String>) -> StoreError {
        StoreError::ReadOnly { place: self.0.clone(), reason: reason.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// At most `max` characters of a stranger's text, none of which can move a
/// terminal's cursor or begin a line of a log.
pub(super) fn printable(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}
