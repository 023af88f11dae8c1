//! Writing a log.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{Entry, Gone, Header, Summary, Unlisted};
use crate::audit::{Record, Tally};
use crate::report::printable;

/// Writes a log, each line at once and whole, so that a run that is killed
/// leaves at most one torn line at the end.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins, or goes on, with a header.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out };
        writer.entry(&Entry::Audit(header.clone()))?;
        Ok(writer)
    }

    /// Writes the answer on one image.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn image(&mut self, record: &Record) -> io::Result<()> {
        self.entry(&Entry::Image(Box::new(record.clone())))
    }

    /// Writes what could not be looked at.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn unlisted(&mut self, unlisted: &Unlisted) -> io::Result<()> {
        self.entry(&Entry::Unlisted(unlisted.clone()))
    }

    /// Writes that an image of an earlier run is not asked about any more.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn gone(&mut self, image: &str) -> io::Result<()> {
        self.entry(&Entry::Gone(Gone { image: image.to_owned() }))
    }

    /// Writes the end of a whole audit.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn end(&mut self, tally: &Tally) -> io::Result<()> {
        let unlisted = u64::try_from(tally.unlisted().len()).unwrap_or(u64::MAX);
        let finished = Timestamp::now();
        self.entry(&Entry::Summary(Summary { totals: tally.totals(), unlisted, finished }))
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = printable(&serde_json::to_string(entry)?);
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}
