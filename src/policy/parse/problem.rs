//! What is wrong with a policy, where, and what to write instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::limits::Limits;
use crate::policy::json::{self, Json};

/// Most problems that are reported of one document; after so many, one more
/// says nothing new.
const MOST: usize = 50;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}: {message}{}", place(.pointer), tail(.help))]
pub struct Problem {
    /// What kind of problem it is.
    pub code: Code,
    /// JSON Pointer to the value; empty for the whole document.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
    /// Byte offsets in the source, where it was read from text.
    pub range: Option<Range<usize>>,
}

/// The kinds of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// More bytes than are read.
    Size,
    /// Not UTF-8.
    Encoding,
    /// Not JSON.
    Syntax,
    /// Nested deeper than is read.
    Depth,
    /// A key twice in one object.
    DuplicateKey,
    /// A number that is no 64-bit integer.
    Number,
    /// A field that the language does not have.
    UnknownField,
    /// A field of the language that this version cannot honour.
    NotYet,
    /// A field that must be there is not.
    Missing,
    /// A value of the wrong JSON type.
    Type,
    /// Nothing where something must stand.
    Empty,
    /// A value that its field does not allow.
    Value,
    /// Fields that exclude or need each other.
    Conflict,
    /// A scope or prefix that is malformed, spelled otherwise or double.
    Scope,
    /// The same entry or name twice.
    Duplicate,
    /// A name that nothing in the document has.
    Dangling,
    /// A rule that would permit without proof, or check nothing.
    Vacuous,
    /// A check that can never hold.
    Unsatisfiable,
    /// A schema outside of the strict profile.
    Schema,
    /// Two signers that are one.
    Overlap,
    /// Keys of the document that cannot be used, or were not read.
    Keys,
}

impl Problem {
    /// A problem of a document whose text is not at hand.
    pub fn at(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let message = plain(&message.into());
        Self { code, pointer: pointer.into(), message, help: String::new(), range: None }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = plain(&help.into());
        self
    }
}

/// Text of the document's author, made harmless to a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the document" } else { pointer }
}

fn tail(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!("; {help}") }
}

impl Code {
    /// The word in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Encoding => "encoding",
            Self::Syntax => "syntax",
            Self::Depth => "depth",
            Self::DuplicateKey => "duplicate-key",
            Self::Number => "number",
            Self::UnknownField => "unknown-field",
            Self::NotYet => "not-yet",
            Self::Missing => "missing",
            Self::Type => "type",
            Self::Empty => "empty",
            Self::Value => "value",
            Self::Conflict => "conflict",
            Self::Scope => "scope",
            Self::Duplicate => "duplicate",
            Self::Dangling => "dangling",
            Self::Vacuous => "vacuous",
            Self::Unsatisfiable => "unsatisfiable",
            Self::Schema => "schema",
            Self::Overlap => "overlap",
            Self::Keys => "keys",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Problems as they are found, at most [`MOST`].
#[derive(Debug, Default)]
pub(in crate::policy) struct Problems {
    found: Vec<Problem>,
    spare: Option<Problem>,
}

impl Problems {
    /// Adds a problem; the caller may add what to do about it.
    pub(in crate::policy) fn add(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Found<'_> {
        let problem = Problem { range: Some(range), ..Problem::at(code, "", message) };
        if self.found.len() < MOST {
            self.found.push(problem);
            return Found(self.found.last_mut());
        }
        Found(Some(self.spare.insert(problem)))
    }

    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are, to see whether a part added any.
    pub(in crate::policy) fn len(&self) -> usize {
        self.found.len() + usize::from(self.spare.is_some())
    }

    /// All of them in the order of the text, each with its pointer.
    pub(in crate::policy) fn finish(self, root: Option<&Json>) -> Vec<Problem> {
        let mut found = self.found;
        for problem in &mut found {
            if let (Some(root), Some(range)) = (root, &problem.range) {
                problem.pointer = plain(&root.pointer_to(range));
            }
        }
        found.sort_by_key(|p| p.range.clone().map(|r| (r.start, r.end)));
        found.dedup();
        found
    }
}

/// A problem that was just added.
pub(in crate::policy) struct Found<'a>(Option<&'a mut Problem>);

impl Found<'_> {
    /// Says what to do.
    pub(in crate::policy) fn help(self, help: impl Into<String>) {
        if let Some(problem) = self.0 {
            problem.help = plain(&help.into());
        }
    }
}

/// The problem with the lines it is about, as compilers show it.
///
/// `source` is the text that was parsed, `filename` what to call it.
pub fn render(problem: &Problem, source: &[u8], filename: &str) -> String {
    let text = String::from_utf8_lossy(source);
    let range = problem
        .range
        .clone()
        .or_else(|| locate(source, &problem.pointer))
        .map_or(0..0, |r| clip(&text, r));
    let label = match problem.code {
        Code::Size | Code::Encoding | Code::Syntax => "here",
        _ => "",
    };
    let title = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let annotation = AnnotationKind::Primary.span(range).label(label);
    let snippet = Snippet::source(text.as_ref()).path(filename).annotation(annotation);
    let mut group = title.element(snippet);
    if !problem.help.is_empty() {
        group = group.element(Level::HELP.message(problem.help.as_str()));
    }
    let mut out = Renderer::plain().render(&[group]);
    out.push('\n');
    out
}

fn locate(source: &[u8], pointer: &str) -> Option<Range<usize>> {
    let root = json::read(source, &Limits::default()).ok()?;
    root.at(pointer).map(|found| found.range.clone())
}

/// Keeps a range inside the text, on one line and between characters.
fn clip(text: &str, range: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (floor(range.start), floor(range.end));
    let line = text.get(start..end).and_then(|t| t.find('\n')).map_or(end, |n| start + n);
    start..line.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_at_line_and_column() {
        let source = b"{\n  \"ocisign\": \"policy/2\"\n}\n";
        let problem = Problem { range: Some(15..25), ..Problem::at(Code::Value, "/ocisign", "no") }
            .help("write `policy/1`");
        let shown = render(&problem, source, "p.json");
        assert!(shown.contains("error[value]: no"), "{shown}");
        assert!(shown.contains("p.json:2:14"), "{shown}");
        assert!(shown.contains("^^^^^^^^^^"), "{shown}");
        assert!(shown.contains("help: write `policy/1`"), "{shown}");
        let found = render(&Problem { range: None, ..problem }, source, "p.json");
        assert!(found.contains("p.json:2:14"), "{found}");
    }

    #[test]
    fn any_range_can_be_shown() {
        let backwards = std::ops::Range { start: 1, end: 0 };
        for (text, range) in [("", 0..0), ("", 5..9), ("ä", 1..1), ("a\nb", 0..3), ("a", backwards)]
        {
            let problem = Problem { range: Some(range), ..Problem::at(Code::Type, "", "x") };
            assert!(render(&problem, text.as_bytes(), "p").contains("error[type]"));
        }
        assert!(render(&Problem::at(Code::Type, "/a", "x"), b"\xff", "p").contains("error[type]"));
    }

    #[test]
    fn nothing_in_a_document_drives_a_terminal() {
        let sources: [&[u8]; 3] =
            [b"{\"\\u001b[31m\": 1}", b"{\"a\": \"\x1b[31m\"}", b"\x1b[31m {\x07}\r\x9b"];
        for source in sources {
            let Err(problems) = crate::policy::parse(source, &Limits::default()) else { panic!() };
            for problem in problems {
                let shown = format!("{problem}{}", render(&problem, source, "p.json"));
                let bad = |c: char| c.is_control() && c != '\n';
                assert!(!shown.contains(bad), "{shown:?}");
            }
        }
    }

    #[test]
    fn many_problems_are_cut_off() {
        let mut problems = Problems::default();
        for i in 0..1000 {
            problems.add(Code::Type, i..i, "x").help("y");
        }
        assert_eq!(problems.finish(None).len(), MOST);
    }
}
