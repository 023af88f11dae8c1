//! `WWW-Authenticate`: RFC 9110, section 11.6.1, and RFC 6750, section 3.

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case, such as `bearer`.
    pub(super) scheme: String,
    params: Vec<(String, String)>,
}

/// Longest header that is read; a real one is under 1 KiB.
const HEADER_BYTES: usize = 8 << 10;

impl Challenge {
    /// A parameter; of a repeated one the first.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges of all headers, in their order. Parsing of a header stops
/// where it breaks the grammar; what stood before is kept.
pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found = Vec::new();
    for header in headers.filter(|text| text.len() <= HEADER_BYTES) {
        Parser { rest: header }.challenges(&mut found);
    }
    found
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn challenges(&mut self, found: &mut Vec<Challenge>) {
        let first = found.len();
        loop {
            self.skip(|c| c == ',' || c.is_ascii_whitespace());
            let Some(word) = self.token() else { return };
            let at_end = self.rest.trim_start();
            if let (Some(after), true) = (at_end.strip_prefix('='), found.len() > first) {
                self.rest = after.trim_start();
                let Some(value) = self.value() else { return };
                if let Some(challenge) = found.last_mut() {
                    challenge.params.push((word.to_ascii_lowercase(), value));
                }
            } else {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), params: Vec::new() });
                self.skip_token68();
            }
        }
    }

    fn skip(&mut self, which: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(which);
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// `Negotiate YII=` carries one opaque word in place of parameters.
    fn skip_token68(&mut self) {
        let text = self.rest.trim_start();
        let word = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let after = text.trim_start_matches(word).trim_start_matches('=');
        if text.len() > after.len() && (after.is_empty() || after.starts_with(',')) {
            self.rest = after;
        }
    }

    fn value(&mut self) -> Option<String> {
        match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted()
            }
            None => self.token().map(str::to_owned),
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(header: &str) -> Vec<Challenge> {
        parse(std::iter::once(header))
    }

    #[test]
    fn a_bearer_challenge_has_commas_inside_its_quotes() {
        let all = one(
            r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull,push""#,
        );
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].scheme, "bearer");
        assert_eq!(all[0].param("realm"), Some("https://auth.example/token"));
        assert_eq!(all[0].param("scope"), Some("repository:a:pull,push"));
    }

    #[test]
    fn several_challenges_stand_in_one_header_or_in_many() {
        let text = r#"Negotiate YII=, Basic realm="a \"b\", c" , BEARER Realm = x, service=y"#;
        let all = one(text);
        let schemes: Vec<_> = all.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(all[1].param("realm"), Some(r#"a "b", c"#));
        assert_eq!(all[2].param("realm"), Some("x"));
        assert_eq!(parse(["Basic realm=x", "Bearer realm=y"].into_iter()).len(), 2);
    }

    #[test]
    fn broken_headers_end_without_a_panic() {
        for text in [
            "",
            ",,,",
            "Bearer realm=\"open",
            "Bearer realm=\"x\\",
            "=",
            "Bearer =x",
            "ü",
            "\"",
            "Bearer realm=",
        ] {
            let _ = one(text);
        }
        assert_eq!(
            one("Bearer realm=\"open").first().and_then(|c| c.param("realm").map(str::len)),
            None
        );
        assert!(one(&format!("Bearer realm={}", "x".repeat(10_000))).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_parser_panic_or_run_on(text in r#"([a-zA-Z=," \\ü]|Bearer |realm=){0,200}"#) {
            let found = one(&text);
            proptest::prop_assert!(found.len() <= text.len());
        }
    }
}
