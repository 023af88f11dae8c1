//! One strict pass over JSON text, before anything decodes it.
//!
//! Runtimes read JSON with Go, ocisign reads it with Rust, and the two
//! disagree: Go takes keys in any letter case and the last of two equal keys.
//! A text that two parsers may read in two ways is refused here, so that what
//! is decoded afterwards means the same to everybody (RFC 7493, I-JSON).

use std::borrow::Cow;
use std::collections::HashSet;

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
        let mut scanner = Scanner {
            text,
            at: 0,
            open: Vec::new(),
            exact: self.known.iter().copied().collect(),
            folded: self.known.iter().map(|key| fold(key)).collect(),
            maps: self.maps,
            map_next: false,
            max_depth: self.max_depth,
            integers_only: self.integers_only,
        };
        scanner.document()
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

/// A key as Go compares keys: ASCII letters without case, and the two other
/// characters that Unicode folds to ASCII letters.
fn fold(key: &str) -> String {
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

struct Scanner<'a> {
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
    fn document(&mut self) -> Result<(), JsonError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["size", "mediaType", "kind", "annotations"];

    fn word(text: &str) -> &'static str {
        word_of(text.as_bytes())
    }

    fn word_of(bytes: &[u8]) -> &'static str {
        match scan(bytes, KNOWN, 8) {
            Ok(()) => "ok",
            Err(JsonError::Ambiguous { .. }) => "ambiguous",
            Err(JsonError::Malformed { .. }) => "malformed",
            Err(JsonError::TooDeep { .. }) => "deep",
        }
    }

    #[test]
    fn what_parsers_read_in_two_ways_is_refused() {
        for text in [
            r#"{"size":1,"size":2}"#,
            r#"{"size":1,"si\u007ae":2}"#,
            r#"{"a":{"b":[{"c":1,"c":1}]}}"#,
            r#"{"annotations":{"x":"1","x":"2"}}"#,
            r#"{"size":1,"SIZE":7}"#,
            r#"{"Size":1}"#,
            r#"{"mediatype":1}"#,
            "{\"\u{17f}ize\":1}",
            "{\"\u{212a}ind\":1}",
            r#"{"\u212aind":1}"#,
            r#"{"x":"\ud800"}"#,
            r#"{"x":"\udc00\ud800"}"#,
            r#"{"x":"\ud800\u0041"}"#,
            r#"{"x":"\ud800\n"}"#,
        ] {
            assert_eq!(word(text), "ambiguous", "{text}");
        }
        assert_eq!(word_of(b"{\"x\":\"\xff\"}"), "ambiguous");
        assert_eq!(word_of(b"{\"x\":\"\xed\xa0\x80\"}"), "ambiguous");
    }

    #[test]
    fn what_is_no_json_or_out_of_range_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{\"a\"1}",
            "{\"a\":}",
            "[1}",
            "{\"a\":1]",
            "01",
            "+1",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "NaN",
            "Infinity",
            "tru",
            "nul",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "{} {}",
            "1 2",
            "\u{feff}{}",
            "/**/{}",
            "{}\0",
            "18446744073709551616",
            "-9223372036854775809",
            "1e999",
            "\u{a0}1",
        ] {
            assert_eq!(word(text), "malformed", "{text}");
        }
    }

    #[test]
    fn ordinary_json_passes() {
        for text in [
            "{}",
            " [ ] ",
            "null",
            "-0",
            "1e3",
            "1.0",
            "0.5e-7",
            "18446744073709551615",
            "-9223372036854775808",
            r#"{"size":1,"a":[true,false,null,{"size":2}],"b":{"size":3}}"#,
            r#"{"x":"\ud83d\ude00\"\\\/\b\f\n\r\t\u0000"}"#,
            "{\"\":\"\u{7f}\",\"sizes\":1,\"ſ\":1}",
            "\r\n\t{ \"a\" : 1 , \"A\" : 2 }\n",
        ] {
            assert_eq!(word(text), "ok", "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        assert_eq!(word(&format!("{}{}", "[".repeat(8), "]".repeat(8))), "ok");
        assert_eq!(word(&format!("{}{}", "[".repeat(9), "]".repeat(9))), "deep");
        assert_eq!(word(&"{\"a\":".repeat(9)), "deep");
        assert_eq!(word(&"[".repeat(1 << 20)), "deep");
        // Empty containers count too.
        assert_eq!(word(&format!("{}{{}}{}", "[".repeat(8), "]".repeat(8))), "deep");
        let deep = "[".repeat(1 << 20);
        assert!(scan(deep.as_bytes(), KNOWN, usize::MAX).is_err());
    }

    #[test]
    fn integers_only_has_no_fraction_exponent_or_negative_zero() {
        let strict = Scan { known: KNOWN, maps: &[], max_depth: 8, integers_only: true };
        for text in ["1.0", "1e3", "1E3", "-0", "-0.0"] {
            assert!(matches!(strict.check(text.as_bytes()), Err(JsonError::Malformed { .. })));
        }
        for text in ["0", "-1", "10"] {
            assert_eq!(strict.check(text.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn keys_of_a_free_form_map_have_no_twins() {
        let scan = |text: &str| {
            let maps = &["annotations"];
            Scan { known: KNOWN, maps, max_depth: 8, integers_only: false }.check(text.as_bytes())
        };
        assert_eq!(scan(r#"{"annotations":{"Size":"1","size":"2"},"size":1}"#), Ok(()));
        for bad in [
            r#"{"annotations":{"Size":"1","Size":"2"}}"#,
            r#"{"annotations":{"a":{"Size":"1"}}}"#,
            r#"{"annotations":{"annotations":{"Size":"1"}}}"#,
            r#"{"annotations":[{"Size":"1"}]}"#,
            r#"{"annotations":1,"a":{"Size":"1"}}"#,
            r#"{"annotations":{},"Size":1}"#,
            r#"{"Annotations":{}}"#,
        ] {
            assert!(matches!(scan(bad), Err(JsonError::Ambiguous { .. })), "{bad}");
        }
    }

    #[test]
    fn errors_say_where() {
        let at = |text: &str| match scan(text.as_bytes(), KNOWN, 2) {
            Err(
                JsonError::Ambiguous { at, .. }
                | JsonError::Malformed { at, .. }
                | JsonError::TooDeep { at, .. },
            ) => at,
            Ok(()) => usize::MAX,
        };
        assert_eq!(at(r#"{"a":1,"a":2}"#), 7);
        assert_eq!(at(r#"{"Size":2}"#), 1);
        assert_eq!(at("[1 2]"), 3);
        assert_eq!(at("[99999999999999999999]"), 1);
        assert_eq!(at("[[[]]]"), 2);
        let strict = Scan { known: KNOWN, maps: &[], max_depth: 8, integers_only: false };
        let error = strict.decode::<Vec<u8>>(b"[1,\n\"x\"]").unwrap_err();
        assert!(matches!(error, JsonError::Malformed { at: 4..8, .. }), "{error}");
    }

    #[test]
    fn many_keys_take_linear_time() {
        let keys: Vec<String> = (0..200_000).map(|i| format!("\"{i:08x}\":0")).collect();
        assert_eq!(word(&format!("{{{}}}", keys.join(","))), "ok");
    }

    /// Values with keys that are near each other and near the known ones.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,4}", inner), 0..6)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_accepted(value in value()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(scan(text.as_bytes(), KNOWN, 64), Ok(()));
        }

        #[test]
        fn what_is_accepted_serde_reads(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = serde_json::to_vec(&value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if scan(&bytes, KNOWN, 64).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }

        #[test]
        fn what_is_accepted_of_noise_serde_reads(text in r#"[\[\]{}:,"\\u0-9eE.+a-fns \t-]{0,24}"#) {
            let ours = scan(text.as_bytes(), &[], 64);
            let serde = serde_json::from_str::<serde_json::Value>(&text);
            if ours.is_ok() {
                prop_assert!(serde.is_ok(), "{}", text);
            } else if matches!(ours, Err(JsonError::Malformed { .. })) && serde.is_ok() {
                // The only texts that serde reads and this does not: long integers.
                prop_assert!(text.bytes().filter(u8::is_ascii_digit).count() > 18, "{}", text);
            }
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if scan(&bytes, KNOWN, 8).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }
    }
}
