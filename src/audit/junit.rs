//! JUnit XML: a suite for each rule, a test for each image.
//!
//! A denied image is a failure, one that nobody could decide on an error, one
//! that only audit lets through is skipped: each is what the word means to
//! those who read test reports.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::{Book, Cause, Entry, LogError, Record, Unlisted};
use crate::policy::Decision;
use crate::report::escaped;

/// Counts of a suite, as its attributes.
#[derive(Default, Clone, Copy)]
struct Counts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

/// What an image is in a report of tests.
#[derive(Clone, Copy)]
enum Outcome {
    Passed,
    Failure,
    Error,
    Skipped,
}

impl Outcome {
    fn of(record: &Record) -> Self {
        match record.decision {
            Decision::Allow if record.would_deny.is_empty() => Self::Passed,
            Decision::Allow => Self::Skipped,
            Decision::Deny => Self::Failure,
            Decision::Undecided => Self::Error,
        }
    }

    fn element(self) -> Option<&'static str> {
        match self {
            Self::Passed => None,
            Self::Failure => Some("failure"),
            Self::Error => Some("error"),
            Self::Skipped => Some("skipped"),
        }
    }
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        self.tests += 1;
        match outcome {
            Outcome::Passed => {}
            Outcome::Failure => self.failures += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    fn write(self, element: &mut BytesStart<'_>) {
        let Self { tests, failures, errors, skipped } = self;
        let counts =
            [("tests", tests), ("failures", failures), ("errors", errors), ("skipped", skipped)];
        for (name, count) in counts {
            element.push_attribute((name, count.to_string().as_str()));
        }
    }
}

/// The suite of what could not be looked at.
const NOT_LOOKED_AT: &str = "not looked at";

/// Writes the report.
///
/// # Errors
/// [`LogError`] where the log is not what it was, or nothing can be written.
pub fn junit(book: &Book, out: impl Write) -> Result<(), LogError> {
    let entries = book.sorted(Record::heading)?;
    let mut suites: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut all = Counts::default();
    for entry in &entries {
        let outcome = Outcome::of(&book.record(entry)?);
        suites.entry(&entry.heading).or_default().add(outcome);
        all.add(outcome);
    }
    book.unlisted().iter().for_each(|_| all.add(Outcome::Error));
    let mut page = Page { xml: Writer::new_with_indent(out, b' ', 2) };
    page.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let name = format!("ocisign audit: policy {}", book.header().policy);
    page.open("testsuites", &[("name", &name)], Some(all))?;
    for part in entries.chunk_by(|one, two| one.heading == two.heading) {
        page.suite(book, part, &suites)?;
    }
    page.unlisted(book.unlisted())?;
    page.close("testsuites")?;
    Ok(page.xml.into_inner().write_all(b"\n")?)
}

struct Page<W> {
    xml: Writer<W>,
}

impl<W: Write> Page<W> {
    fn suite(
        &mut self,
        book: &Book,
        entries: &[Entry<String>],
        suites: &BTreeMap<&str, Counts>,
    ) -> Result<(), LogError> {
        let Some(first) = entries.first() else { return Ok(()) };
        let heading = first.heading.as_str();
        let started = book.header().started.to_string();
        let attributes = [("name", heading), ("timestamp", &started)];
        self.open("testsuite", &attributes, suites.get(heading).copied())?;
        for entry in entries {
            self.test(heading, &book.record(entry)?)?;
        }
        Ok(self.close("testsuite")?)
    }

    fn test(&mut self, heading: &str, record: &Record) -> io::Result<()> {
        let (seconds, rest) = (record.milliseconds / 1000, record.milliseconds % 1000);
        let time = format!("{seconds}.{rest:03}");
        let attributes = [("classname", heading), ("name", &record.image), ("time", &time)];
        self.open("testcase", &attributes, None)?;
        if let Some(element) = Outcome::of(record).element() {
            let causes = record.causes.iter().chain(&record.would_deny);
            let titles: Vec<String> = causes.clone().map(Cause::title).collect();
            let text: Vec<String> = causes.map(sentence).collect();
            let message = titles.join(", ");
            self.open(element, &[("type", kind(record)), ("message", &message)], None)?;
            self.text(&[text, users(record)].concat().join("\n"))?;
            self.close(element)?;
        }
        self.close("testcase")
    }

    fn unlisted(&mut self, unlisted: &[Unlisted]) -> io::Result<()> {
        if unlisted.is_empty() {
            return Ok(());
        }
        let mut counts = Counts::default();
        unlisted.iter().for_each(|_| counts.add(Outcome::Error));
        self.open("testsuite", &[("name", NOT_LOOKED_AT)], Some(counts))?;
        for one in unlisted {
            self.open("testcase", &[("classname", NOT_LOOKED_AT), ("name", &one.what)], None)?;
            self.open("error", &[("type", "unlisted"), ("message", &one.why)], None)?;
            self.close("error")?;
            self.close("testcase")?;
        }
        self.close("testsuite")
    }

    fn open(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        counts: Option<Counts>,
    ) -> io::Result<()> {
        let mut element = BytesStart::new(name);
        for (name, value) in attributes {
            element.push_attribute((*name, characters(value).as_str()));
        }
        if let Some(counts) = counts {
            counts.write(&mut element);
        }
        self.event(Event::Start(element))
    }

    fn close(&mut self, name: &str) -> io::Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let lines: Vec<String> = text.split('\n').map(characters).collect();
        self.event(Event::Text(BytesText::new(&lines.join("\n"))))
    }

    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        self.xml.write_event(event)
    }
}

fn kind(record: &Record) -> &'static str {
    let first = record.causes.iter().chain(&record.would_deny).next();
    first.map_or("", |cause| cause.class.as_str())
}

fn sentence(cause: &Cause) -> String {
    format!("{}: {}; to do: {}", cause.title(), cause.why, cause.class.advice())
}

fn users(record: &Record) -> Vec<String> {
    let mut lines: Vec<String> =
        record.users.named.iter().map(|user| format!("used by {user}")).collect();
    if record.users.more > 0 {
        lines.push(format!("used by {} more", record.users.more));
    }
    lines
}

/// Text of XML 1.0: controls are written out, and so are the two characters
/// that no document may have in any form ("Characters", section 2.2).
fn characters(text: &str) -> String {
    escaped(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
