//! Texts of others, made safe to print.

/// Characters kept of one text.
const LONGEST: usize = 400;

/// `text` on one line, without control characters and at most 400
/// characters long.
///
/// What a terminal or a reader could take for something else is written as
/// `\u{…}`: controls (ANSI sequences begin with one), line and paragraph
/// separators, and characters that turn the direction of text or are not seen
/// (Unicode TR36, "Visual Spoofing").
pub fn escaped(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => visible(text.get(..end).unwrap_or_default()) + "…",
        None => visible(text),
    }
}

/// The same for a text whose length is bounded already.
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match is_plain(c) {
            true => safe.push(c),
            false => safe.extend(c.escape_unicode()),
        }
    }
    safe
}

/// Whether a character stands for itself on every terminal.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_is_left() {
        assert_eq!(escaped("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(escaped("a\nb\u{9b}c"), "a\\u{a}b\\u{9b}c");
        assert_eq!(escaped("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
        assert_eq!(escaped("bücher 猫"), "bücher 猫");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(escaped(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
