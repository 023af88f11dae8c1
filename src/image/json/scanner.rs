//! The scanner: one pass over the bytes, no recursion.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{JsonError, Scan};

/// A key as Go compares keys: ASCII letters without case, and the two other
/// characters that Unicode folds to ASCII letters.
pub(super) fn fold(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// A container whose end was not seen yet; an object with its keys so far.
enum Open<'a> {
    Array,
    Object { keys: HashSet<Cow<'a, str>>, map: bool },
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Open<'a>>,
    exact: HashSet<&'a str>,
    folded: HashSet<String>,
    maps: &'a [&'a str],
    /// Whether the value that comes next is a free-form map.
    map_next: bool,
    max_depth: usize,
    integers_only: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, rules: &Scan<'a>) -> Self {
        Self {
            text,
            at: 0,
            open: Vec::new(),
            exact: rules.known.iter().copied().collect(),
            folded: rules.known.iter().map(|key| fold(key)).collect(),
            maps: rules.maps,
            map_next: false,
            max_depth: rules.max_depth,
            integers_only: rules.integers_only,
        }
    }

    pub(super) fn document(&mut self) -> Result<(), JsonError> {
        loop {
            if self.opens_container()? {
                continue;
            }
            if !self.goes_on_after_value()? {
                return self.end();
            }
        }
    }

    /// Reads a scalar or an empty container whole, or the start of a
    /// container up to its first value; says whether that value comes next.
    fn opens_container(&mut self) -> Result<bool, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                let map = std::mem::take(&mut self.map_next);
                self.start(Open::Object { keys: HashSet::new(), map }, b'}')
            }
            Some(b'[') => {
                self.map_next = false;
                self.start(Open::Array, b']')
            }
            Some(b'"') => self.string().map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.malformed("a value must stand here")),
        }
    }

    fn start(&mut self, container: Open<'a>, close: u8) -> Result<bool, JsonError> {
        if self.open.len() >= self.max_depth {
            return Err(JsonError::TooDeep { at: self.at, limit: self.max_depth });
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        let object = matches!(container, Open::Object { .. });
        self.open.push(container);
        if object {
            self.key()?;
        }
        Ok(true)
    }

    /// After a value: closes containers, up to the comma before the next
    /// value. False at the end of the outermost value.
    fn goes_on_after_value(&mut self) -> Result<bool, JsonError> {
        loop {
            let object = match self.open.last() {
                None => return Ok(false),
                Some(open) => matches!(open, Open::Object { .. }),
            };
            self.skip_space();
            match (self.peek(), object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_space();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.open.pop();
                }
                (_, true) => return Err(self.malformed("a `,` or `}` must stand here")),
                (_, false) => return Err(self.malformed("a `,` or `]` must stand here")),
            }
        }
    }

    /// Reads a key and its colon, and holds it against the keys before it.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed("a key in quotes must stand here"));
        }
        let at = self.at;
        let key = unescape(self.string()?);
        let in_map = matches!(self.open.last(), Some(Open::Object { map: true, .. }));
        if !in_map && !self.exact.contains(&*key) && self.folded.contains(&fold(&key)) {
            let why =
                format!("`{}` differs from a known key in case only; spell it so", clip(&key));
            return Err(JsonError::Ambiguous { at, why });
        }
        self.map_next = !in_map && self.maps.contains(&&*key);
        let shown = clip(&key);
        let new = match self.open.last_mut() {
            Some(Open::Object { keys, .. }) => keys.insert(key),
            _ => true,
        };
        if !new {
            let why = format!("`{shown}` stands twice in one object; keep one");
            return Err(JsonError::Ambiguous { at, why });
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.malformed("a `:` must stand here"));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a string; gives what stands between its quotes, still escaped.
    fn string(&mut self) -> Result<&'a str, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.malformed("a control character must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.malformed("a string must end; add the closing quote")),
            }
        }
        self.at += 1;
        Ok(self.text.get(start..self.at - 1).unwrap_or_default())
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let at = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xd800..0xdc00 if self.low_surrogate()? => Ok(()),
                0xd800..0xe000 => Err(JsonError::Ambiguous {
                    at,
                    why: "half of a surrogate pair is no character; write both or none".to_owned(),
                }),
                _ => Ok(()),
            },
            _ => Err(self.malformed("this escape does not exist; write `\\\\` for a backslash")),
        }
    }

    fn low_surrogate(&mut self) -> Result<bool, JsonError> {
        if self.peek() != Some(b'\\') || self.peek_at(1) != Some(b'u') {
            return Ok(false);
        }
        self.at += 1;
        Ok(matches!(self.unit()?, 0xdc00..0xe000))
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u16, JsonError> {
        self.at += 1;
        let hex = self.text.get(self.at..self.at + 4).filter(|h| is_hex(h));
        let Some(unit) = hex.and_then(|h| u16::from_str_radix(h, 16).ok()) else {
            return Err(self.malformed("`\\u` takes four hexadecimal digits"));
        };
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let negative = self.take(b'-');
        if !self.take(b'0') && !self.digits() {
            return Err(self.malformed("a digit must stand here"));
        }
        let mut float = false;
        if self.take(b'.') {
            float = true;
            if !self.digits() {
                return Err(self.malformed("a digit must stand here"));
            }
        }
        if self.take(b'e') || self.take(b'E') {
            float = true;
            let _sign = self.take(b'+') || self.take(b'-');
            if !self.digits() {
                return Err(self.malformed("a digit must stand here"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let why = if self.integers_only && (float || text == "-0") {
            "only whole numbers without exponent may stand here"
        } else if !in_range(text, float, negative) {
            "the number is out of range; at most 64 bits, or a finite double"
        } else {
            return Ok(());
        };
        Err(JsonError::Malformed { at: start, why: why.to_owned() })
    }

    fn word(&mut self, word: &str) -> Result<bool, JsonError> {
        if !self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            return Err(self.malformed("a value must stand here"));
        }
        self.at += word.len();
        Ok(false)
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("text after the end of the document; remove it")),
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn malformed(&self, why: &str) -> JsonError {
        JsonError::Malformed { at: self.at, why: why.to_owned() }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn in_range(text: &str, float: bool, negative: bool) -> bool {
    match (float, negative) {
        (true, _) => text.parse::<f64>().is_ok_and(f64::is_finite),
        (false, true) => text.parse::<i64>().is_ok(),
        (false, false) => text.parse::<u64>().is_ok(),
    }
}

/// The characters of a string whose escapes were checked.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let quoted = format!("\"{raw}\"");
    match serde_json::from_str(&quoted) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(raw),
    }
}

fn clip(key: &str) -> String {
    key.chars().take(64).collect()
}
