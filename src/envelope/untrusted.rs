//! Distrust as a type.

use serde::Serialize;

/// Something that was parsed and not verified: anybody may have written it.
///
/// There is no `Deref` and no `Display`, so that it cannot slip into a
/// decision or a sentence; whoever takes it out writes `unverified`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Untrusted<T>(T);

impl<T> Untrusted<T> {
    pub(super) fn new(content: T) -> Self {
        Self(content)
    }

    /// The content: to be verified, or to be shown as unverified. Its texts
    /// may hold control characters; escape them for a terminal.
    pub fn unverified(&self) -> &T {
        &self.0
    }
}
