//! The verdict as JSON: `docs/verdict.md`, `docs/verdict-1.schema.json`.

use std::fmt::Write as _;

use super::escape::is_plain;
use crate::policy::Verdict;

/// The verdict as indented JSON in the version that its `version` names.
///
/// Pure ASCII where it matters: what a terminal could act on is written as
/// `\uXXXX`, so that the text may be shown as it is and still parses to the
/// same strings.
pub fn json(verdict: &Verdict) -> String {
    // a verdict is plain data with text keys, so this cannot fail; an empty
    // text would be no verdict at all
    printable(&serde_json::to_string_pretty(verdict).unwrap_or_default())
}

/// JSON that serde_json wrote, safe to show and with the same meaning.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // outside of strings the only control is the line feed of the layout;
        // inside of them serde_json has escaped it already
        if is_plain(c) || c == '\n' {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // writing into a String does not fail
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}
