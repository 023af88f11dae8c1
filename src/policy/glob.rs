//! The one pattern language: case-sensitive, anchored at both ends.
//!
//! `*` is any run of characters but `/`, `**` any run at all, `\*` a star.
//! At most four stars, so that patterns stay readable and can be compared.

use std::fmt;

use serde::{Serialize, Serializer};

/// A parsed pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Token {
    Char(char),
    Segment,
    Anything,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// An empty pattern would only match the empty text.
    #[error("the pattern is empty; write `*` for any value without `/`")]
    Empty,
    /// More than four stars.
    #[error("the pattern has more than four stars; keep four at most (`**` is two)")]
    Stars,
    /// A backslash before anything but a star.
    #[error("`\\` may stand only before `*`")]
    Escape,
    /// A control character.
    #[error("the pattern has a control character")]
    Control,
}

impl Glob {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`GlobError`] says what is not allowed.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut stars = 0;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    stars += 2;
                    Token::Anything
                }
                '*' => {
                    stars += 1;
                    Token::Segment
                }
                '\\' => match chars.next() {
                    Some('*') => Token::Char('*'),
                    _ => return Err(GlobError::Escape),
                },
                c if c.is_control() => return Err(GlobError::Control),
                c => Token::Char(c),
            });
        }
        match (tokens.is_empty(), stars > 4) {
            (true, _) => Err(GlobError::Empty),
            (_, true) => Err(GlobError::Stars),
            _ => Ok(Self { text: text.to_owned(), tokens }),
        }
    }

    /// The pattern that matches `text` and nothing else.
    pub fn literal(text: &str) -> Self {
        Self { text: text.replace('*', "\\*"), tokens: text.chars().map(Token::Char).collect() }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of `value` matches. Time is at most the product of the
    /// two lengths: every position of the pattern that could come next is
    /// kept, so nothing is tried twice.
    pub fn matches(&self, value: &str) -> bool {
        let mut at = vec![false; self.tokens.len() + 1];
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.skip_stars(&mut at);
        for c in value.chars() {
            let mut next = vec![false; at.len()];
            for (i, token) in self.tokens.iter().enumerate() {
                if !at.get(i).copied().unwrap_or(false) {
                    continue;
                }
                let to = match token {
                    Token::Char(want) if *want == c => i + 1,
                    Token::Segment if c != '/' => i,
                    Token::Anything => i,
                    _ => continue,
                };
                if let Some(slot) = next.get_mut(to) {
                    *slot = true;
                }
            }
            self.skip_stars(&mut next);
            at = next;
        }
        at.last().copied().unwrap_or(false)
    }

    /// A star may also match nothing.
    fn skip_stars(&self, at: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            let here = at.get(i).copied().unwrap_or(false);
            if here
                && !matches!(token, Token::Char(_))
                && let Some(slot) = at.get_mut(i + 1)
            {
                *slot = true;
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_what_the_page_says() {
        for (glob, value, want) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "a/c", false),
            ("a**c", "a/b/c", true),
            ("*", "", true),
            ("v1.*", "v1.2", true),
            ("v1.*", "V1.2", false),
            ("v1.*", "xv1.2", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*@refs/tags/v*", "x@refs/tags/v1", true),
            ("*a*a*a*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true),
        ] {
            assert_eq!(Glob::parse(glob).map(|g| g.matches(value)), Ok(want), "{glob} {value}");
        }
    }

    #[test]
    fn patterns_that_surprise_are_refused() {
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse("*****"), Err(GlobError::Stars));
        assert_eq!(Glob::parse("a\\b"), Err(GlobError::Escape));
        assert_eq!(Glob::parse("a\n"), Err(GlobError::Control));
    }
}
