//! One strict pass over JSON text, before anything decodes it.
//!
//! Runtimes read JSON with Go, ocisign reads it with Rust, and the two
//! disagree: Go takes keys in any letter case and the last of two equal keys.
//! A text that two parsers may read in two ways is refused here, so that what
//! is decoded afterwards means the same to everybody (RFC 7493, I-JSON).

mod scanner;

use scanner::Scanner;
use serde::de::DeserializeOwned;

/// Why a text was refused. `at` is an offset in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Two parsers may read it in two ways: equal keys, twins of a known key,
    /// text that is no Unicode.
    #[error("ambiguous JSON at byte {at}: {why}")]
    Ambiguous {
        /// Where.
        at: usize,
        /// What has two readings, and what to do.
        why: String,
    },
    /// No JSON, a number out of range, or not what the document needs.
    #[error("malformed JSON at byte {at}: {why}")]
    Malformed {
        /// Where.
        at: usize,
        /// Which rule is broken, and what to do.
        why: String,
    },
    /// More arrays and objects inside each other than the limit.
    #[error("JSON at byte {at} nests deeper than {limit} levels; flatten it")]
    TooDeep {
        /// Where.
        at: usize,
        /// The limit.
        limit: usize,
    },
}

/// What a text must obey, beside being JSON.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'k> {
    /// Keys with a meaning. A key that Go would take for one of them, and
    /// that is not it byte by byte, is refused.
    pub known: &'k [&'k str],
    /// Keys of free-form maps, such as annotations. The keys directly in one
    /// are the author's, compared byte by byte in Go too: they have no twins.
    pub maps: &'k [&'k str],
    /// Arrays and objects inside each other, the outermost counting as one.
    pub max_depth: usize,
    /// Refuses numbers with a fraction or exponent, and `-0`.
    pub integers_only: bool,
}

/// Checks `bytes` with floats allowed: for documents of others, where they
/// may stand in fields that nobody reads.
///
/// # Errors
/// [`JsonError`], at the first byte that breaks a rule.
pub fn scan(bytes: &[u8], known: &[&str], max_depth: usize) -> Result<(), JsonError> {
    Scan { known, maps: &[], max_depth, integers_only: false }.check(bytes)
}

impl Scan<'_> {
    /// Checks `bytes`, in linear time, without recursion, with memory for
    /// the keys of the objects that are open.
    ///
    /// # Errors
    /// [`JsonError`], at the first byte that breaks a rule.
    pub fn check(&self, bytes: &[u8]) -> Result<(), JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|e| JsonError::Ambiguous {
            at: e.valid_up_to(),
            why: "not UTF-8; write the text as UTF-8".to_owned(),
        })?;
        Scanner::new(text, self).document()
    }

    /// Checks `bytes`, then decodes them.
    ///
    /// # Errors
    /// [`JsonError`] of the check, or [`JsonError::Malformed`] where `T` needs
    /// something else.
    pub fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, JsonError> {
        self.check(bytes)?;
        serde_json::from_slice(bytes).map_err(|e| JsonError::Malformed {
            at: offset(bytes, e.line(), e.column()),
            why: strip_position(&e),
        })
    }
}

/// The key of `known` that `key` differs from in case only, as Go compares
/// keys. For maps that were decoded already, where [`Scan`] came too early to
/// know which keys have a meaning.
pub fn twin<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // `ſ` has two bytes and the Kelvin sign three, and both fold to one
    let near =
        |other: &&&str| (other.len()..=3 * other.len()).contains(&key.len()) && **other != key;
    let folded = std::cell::OnceCell::new();
    known
        .iter()
        .filter(near)
        .find(|other| scanner::fold(other) == *folded.get_or_init(|| scanner::fold(key)))
        .copied()
}

/// The offset of a line and column, both counted from one.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        bytes.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// serde's text without its line and column: we say the byte.
fn strip_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
