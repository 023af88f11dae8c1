//! Regular expressions that match the whole text and nothing by accident.

/// Longest pattern, in bytes.
const LONGEST: usize = 1000;

/// Says what is wrong with a pattern and what to write, before it is
/// compiled.
pub(super) fn check(pattern: &str) -> Result<(), (String, &'static str)> {
    if pattern.len() > LONGEST {
        let message = format!("the pattern has {} bytes", pattern.len());
        return Err((message, "at most 1000 are allowed; write `enum` or a shorter one"));
    }
    let body = pattern.strip_prefix('^').and_then(|p| p.strip_suffix('$'));
    let Some(body) = body.filter(|b| !ends_in_escape(b)) else {
        let message = "the pattern is not anchored, so that it may match a part of the text";
        return Err((message.to_owned(), "begin it with `^` and end it with `$`"));
    };
    if has_flags(body) {
        let message = "a group with flags or a name changes what `^` and `$` mean, or nothing";
        return Err((message.to_owned(), "write groups as `(...)` or `(?:...)`"));
    }
    if splits(body) {
        let message = "`|` outside of a group leaves one end of each side without an anchor";
        return Err((message.to_owned(), "put the alternatives into a group: `^(a|b)$`"));
    }
    Ok(())
}

fn ends_in_escape(body: &str) -> bool {
    let slashes = body.bytes().rev().take_while(|b| *b == b'\\').count();
    slashes % 2 == 1
}

/// The characters that are neither escaped nor in a class, with the depth of
/// groups at each.
fn plain(body: &str) -> Vec<(char, usize)> {
    let mut plain = Vec::new();
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for c in body.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                // so that what an escape splits does not look joined
                plain.push(('\\', depth));
                continue;
            }
            '\\' => {
                escaped = true;
                continue;
            }
            '[' if !class => class = true,
            ']' if class => class = false,
            _ if class => continue,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        plain.push((c, depth));
    }
    plain
}

fn splits(body: &str) -> bool {
    plain(body).iter().any(|(c, depth)| *c == '|' && *depth == 0)
}

fn has_flags(body: &str) -> bool {
    let plain = plain(body);
    plain.windows(3).any(|w| matches!(w, [('(', _), ('?', _), (c, _)] if *c != ':'))
        || matches!(plain.as_slice(), [.., ('(', _), ('?', _)])
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_whole_texts_are_matched() {
        for good in ["^$", "^a$", "^(a|b)$", "^[|]$", "^\\|$", "^(?:a|(b|c))$", "^\\(\\?i$"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["", "^", "$", "a", "^a", "a$", "^a\\$", "^a|b$", "^(a)|b$", "^(?i)a$", "^(?=a)a$"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    /// `]` first in a class is a literal to the engine and ends the class
    /// here. That can only show more alternatives than there are, except
    /// where the rest reads as a new class, which the engine takes as nested.
    #[test]
    fn odd_classes_do_not_hide_an_alternative() {
        assert!(check("^[]|a]|b$").is_err());
        assert!(check("^a[^]]|b[]]$").is_err());
    }
}
