//! Lists of images that people and scripts write.

use std::io::{self, BufRead};

use serde::Deserialize;

use super::lines::{Line, Lines};
use super::{Name, Plan, PlanError, User};
use crate::image::json;
use crate::limits::Limits;

/// JSON inside of a line: an object with an array of objects.
const DEPTH: usize = 8;

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is too long.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The system failed.
    #[error("cannot read the list: {0}")]
    Io(#[from] io::Error),
}

/// One image as JSON. Other keys say nothing here, so that the lines of an
/// audit are a list too.
#[derive(Deserialize)]
struct Entry {
    image: String,
    #[serde(default)]
    users: Option<EntryUsers>,
}

#[derive(Default, Deserialize)]
struct EntryUsers {
    #[serde(default)]
    named: Vec<User>,
    #[serde(default)]
    more: u64,
}

/// What one line says.
struct Said {
    name: Name,
    users: Vec<User>,
    more: u64,
}

impl Said {
    fn of(name: Name) -> Self {
        Self { name, users: Vec::new(), more: 0 }
    }
}

/// Adds the images of a list to a plan.
///
/// One image on each line, as a name or as JSON with the key `image`; empty
/// lines say nothing, nor does what follows a `#` at a line's start or after
/// a space. A line that names no image is an item that nobody can decide on,
/// so that one wrong line among thousands neither stops the audit nor is
/// overlooked.
///
/// # Errors
/// [`ListError`] where there are too many images, or the list ends early.
pub fn read_list(reader: impl BufRead, plan: &mut Plan, limits: &Limits) -> Result<(), ListError> {
    let most = limits.audit_line_bytes;
    let mut lines = Lines::new(reader, most);
    loop {
        let found = match lines.next()? {
            None => return Ok(()),
            Some(Line::Whole(bytes) | Line::Torn(bytes)) => entry(bytes),
            Some(Line::TooLong) => {
                let why = format!("the line is longer than the limit of {most} bytes");
                Some(Said::of(Name::invalid("a giant line", why)))
            }
        };
        let line = lines.number();
        let Some(Said { name, users, more }) = found else { continue };
        let name = match name {
            Name::Image(_) => name,
            Name::Invalid { text, why } => {
                Name::Invalid { text, why: format!("line {line}: {why}") }
            }
        };
        let key = name.key();
        plan.add(name, users, Some(line))?;
        plan.count(&key, more);
    }
}

/// What one line names; `None` where it says nothing.
fn entry(bytes: &[u8]) -> Option<Said> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let why = "it is no UTF-8";
        return Some(Said::of(Name::invalid(&String::from_utf8_lossy(bytes), why)));
    };
    let text = text.trim_matches([' ', '\t', '\r']);
    if text.starts_with('{') {
        return Some(from_json(text));
    }
    let name = match text.find([' ', '\t']).map(|at| text.split_at(at)) {
        Some((name, rest)) if rest.trim_start().starts_with('#') => name,
        Some(_) | None => text,
    };
    (!name.is_empty() && !name.starts_with('#')).then(|| Said::of(Name::parse(name)))
}

fn from_json(text: &str) -> Said {
    let known = &["image", "users", "named", "more", "namespace", "kind", "name"];
    let scan = json::Scan { known, maps: &[], max_depth: DEPTH, integers_only: false };
    match scan.decode::<Entry>(text.as_bytes()) {
        Ok(Entry { image, users }) => {
            let EntryUsers { named, more } = users.unwrap_or_default();
            let named = named.iter().map(|u| User::new(&u.namespace, &u.kind, &u.name));
            Said { name: Name::parse(&image), users: named.collect(), more }
        }
        Err(error) => {
            let why = format!("{error}; write a name, or JSON as {{\"image\": \"NAME\"}}");
            Said::of(Name::invalid(text, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(String, Option<u64>)> {
        let limits = Limits { audit_line_bytes: 300, ..Limits::default() };
        let mut plan = Plan::new(&limits);
        read_list(text, &mut plan, &limits).unwrap();
        plan.into_items().map(|item| (item.name.key(), item.line)).collect()
    }

    #[test]
    fn comments_empty_lines_and_line_ends_say_nothing() {
        let text = b"# all\n\n  a.b/c:1\r\na.b/d:2 # why\n\t#\na.b/e:3#x\n{\"image\": \"a.b/f\"}";
        let keys: Vec<String> = read(text).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a.b/c:1", "a.b/d:2", "a.b/e:3#x", "a.b/f:latest"]);
    }

    #[test]
    fn a_line_that_names_no_image_is_kept_as_such() {
        let long = [b"ok.io/a\n".as_slice(), &[b'x'; 1000], b"\nok.io/b\n"].concat();
        assert_eq!(
            read(&long),
            [("a giant line", 2), ("ok.io/a:latest", 1), ("ok.io/b:latest", 3)]
                .map(|(key, line)| (key.to_owned(), Some(line)))
        );
        for bad in [
            &b"a b"[..],
            b"\xff",
            b"a\x1b[31m",
            b"{",
            b"{}",
            b"{\"image\": 1}",
            b"{\"image\": \"a\", \"image\": \"b\"}",
            b"{\"image\": \"a\", \"Image\": \"b\"}",
            b"oci:dir:v1",
        ] {
            let mut plan = Plan::new(&Limits::default());
            read_list(bad, &mut plan, &Limits::default()).unwrap();
            let item = plan.into_items().next().unwrap();
            let Name::Invalid { text, why } = item.name else { panic!("{bad:?} is taken") };
            assert!(why.starts_with("line 1: "), "{why}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn users_come_with_json() {
        let line = br#"{"type":"image","image":"a.b/c","users":{"named":[{"namespace":"n","kind":"Pod","name":"p"}],"more":4}}"#;
        let limits = Limits::default();
        let mut plan = Plan::new(&limits);
        read_list(&line[..], &mut plan, &limits).unwrap();
        let item = plan.into_items().next().unwrap();
        assert_eq!(item.users.named.first().unwrap().to_string(), "Pod n/p");
        assert_eq!(item.users.more, 4);
    }
}
