//! Reading a log back. It is our own output and yet anybody's: every line is
//! bounded, parsed strictly and held against the others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::os::unix::fs::FileExt as _;

use super::super::lines::{Line, Lines};
use super::{Entry, Header, LogError, Summary, Unlisted, VERSION};
use crate::audit::Record;
use crate::image::json::Scan;
use crate::limits::Limits;

/// Arrays and objects inside each other in what an audit writes.
const DEPTH: usize = 8;

/// Objects of one run that could not be looked at: kinds of a cluster, by
/// namespace.
const UNLISTED: usize = 10_000;

/// Keys with a meaning, so that no twin of one is taken.
const KEYS: &[&str] = &[
    "type",
    "version",
    "policy",
    "serial",
    "policyDigest",
    "keysDigest",
    "depth",
    "shard",
    "input",
    "started",
    "ocisign",
    "list",
    "file",
    "cluster",
    "namespaces",
    "what",
    "why",
    "image",
    "decision",
    "digest",
    "rule",
    "causes",
    "wouldDeny",
    "users",
    "named",
    "more",
    "line",
    "at",
    "milliseconds",
    "class",
    "namespace",
    "kind",
    "name",
    "totals",
    "images",
    "allow",
    "deny",
    "undecided",
    "unlisted",
    "finished",
];

/// A log that was read, and where each image's line lies in its file.
#[derive(Debug)]
pub struct Log {
    header: Header,
    places: BTreeMap<String, Place>,
    unlisted: Vec<Unlisted>,
    finished: bool,
    end: u64,
    file: File,
}

/// Where a line lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
}

impl Log {
    /// Reads a log; `None` where it holds no whole line. What follows the
    /// last line feed was torn by a kill, and is no part of it.
    ///
    /// # Errors
    /// [`LogError`] where a line is not what one audit writes.
    pub fn read(mut file: File, limits: &Limits) -> Result<Option<Self>, LogError> {
        file.rewind()?;
        let mut reading = Reading::new(limits);
        let mut lines = Lines::new(BufReader::new(&file), limits.audit_line_bytes);
        loop {
            let offset = lines.end();
            let (entry, length) = match lines.next()? {
                None | Some(Line::Torn(_)) => break,
                Some(Line::TooLong) => {
                    return Err(LogError::line(lines.number(), "it is too long"));
                }
                Some(Line::Whole(bytes)) => (decode(bytes), bytes.len()),
            };
            let line = lines.number();
            let entry = entry.map_err(|error| LogError::json(line, &error))?;
            reading.take(entry, Place { offset, length }, line)?;
            reading.end = lines.end();
        }
        let Reading { header, places, unlisted, summary, end, .. } = reading;
        let finished = summary.is_some();
        Ok(header.map(|header| Self { header, places, unlisted, finished, end, file }))
    }

    /// What it is about; of several runs the last.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether it has the summary of a whole audit at its end.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What could not be looked at.
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// The images, sorted.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The last line of an image.
    ///
    /// # Errors
    /// [`LogError`] where the file is not what it was.
    pub fn record(&self, image: &str) -> Result<Option<Record>, LogError> {
        let Some(place) = self.places.get(image) else { return Ok(None) };
        let mut bytes = vec![0; place.length];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        match decode(&bytes) {
            Ok(Entry::Image(record)) if record.image == image => Ok(Some(*record)),
            _ => Err(LogError::Io(io::Error::other("the file changed while it was read"))),
        }
    }

    /// Where its last whole line ends.
    pub(in crate::audit) fn end(&self) -> u64 {
        self.end
    }
}

fn decode(bytes: &[u8]) -> Result<Entry, crate::image::json::JsonError> {
    Scan { known: KEYS, maps: &[], max_depth: DEPTH, integers_only: true }.decode(bytes)
}

/// A log as far as it was read.
struct Reading<'l> {
    limits: &'l Limits,
    header: Option<Header>,
    places: BTreeMap<String, Place>,
    unlisted: Vec<Unlisted>,
    summary: Option<Summary>,
    end: u64,
}

impl<'l> Reading<'l> {
    fn new(limits: &'l Limits) -> Self {
        let (places, unlisted) = (BTreeMap::new(), Vec::new());
        Self { limits, header: None, places, unlisted, summary: None, end: 0 }
    }

    fn take(&mut self, entry: Entry, place: Place, line: u64) -> Result<(), LogError> {
        let wrong = |why: &str| LogError::line(line, why);
        match (&self.header, &self.summary, &entry) {
            (None, _, Entry::Audit(_)) | (Some(_), _, Entry::Audit(_)) => {}
            (None, _, _) => return Err(wrong("it stands before the header of its audit")),
            (Some(_), Some(_), _) => return Err(wrong("it stands behind the summary")),
            (Some(_), None, _) => {}
        }
        match entry {
            Entry::Audit(header) => self.header(header, line)?,
            Entry::Unlisted(_) if self.unlisted.len() >= UNLISTED => {
                return Err(wrong("too many kinds of objects could not be looked at"));
            }
            Entry::Unlisted(unlisted) => self.unlisted.push(unlisted),
            Entry::Image(record) => self.image(&record, place, line)?,
            Entry::Gone(gone) => {
                self.places
                    .remove(&gone.image)
                    .ok_or_else(|| wrong("it takes back an image that no line names"))?;
            }
            Entry::Summary(summary) => self.summary(summary, line)?,
        }
        Ok(())
    }

    /// One for each run; the runs of one log are of one audit.
    fn header(&mut self, header: Header, line: u64) -> Result<(), LogError> {
        if header.version != VERSION {
            let why = format!("this reads {VERSION}, and no other version");
            return Err(LogError::line(line, why));
        }
        if let Some(first) = &self.header {
            header.goes_on(first).map_err(|why| LogError::line(line, why))?;
        }
        // what a later run looks at, it looks at anew
        self.unlisted.clear();
        self.summary = None;
        self.header = Some(header);
        Ok(())
    }

    fn image(&mut self, record: &Record, place: Place, line: u64) -> Result<(), LogError> {
        record.check().map_err(|why| LogError::line(line, why))?;
        let shard = self.header.as_ref().and_then(|header| header.shard);
        if shard.is_some_and(|shard| !shard.owns(&record.image)) {
            return Err(LogError::line(line, "its image belongs to another shard"));
        }
        if !self.places.contains_key(&record.image) && self.places.len() >= self.limits.audit_images
        {
            return Err(LogError::TooMany(self.limits.audit_images));
        }
        self.places.insert(record.image.clone(), place);
        Ok(())
    }

    fn summary(&mut self, summary: Summary, line: u64) -> Result<(), LogError> {
        let agrees = u64::try_from(self.places.len()) == Ok(summary.totals.images)
            && u64::try_from(self.unlisted.len()) == Ok(summary.unlisted);
        if !agrees {
            return Err(LogError::line(line, "the summary does not count what stands above it"));
        }
        self.summary = Some(summary);
        Ok(())
    }
}
