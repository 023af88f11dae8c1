//! One run of an audit: what is known already, what is asked, what is kept.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::Path;

use super::log::{Header, Log, LogError, Unlisted, Writer};
use super::{Plan, Record, Tally};
use crate::limits::Limits;

/// Opens the file of an audit to go on with; it is made where it is missing.
/// Nobody else goes on with it as long as the file that is given back lives.
///
/// # Errors
/// [`LogError::Busy`] where another process goes on with it, and those of
/// [`Log::read`].
pub fn open(path: &Path, limits: &Limits) -> Result<(File, Option<Log>), LogError> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LogError::Busy),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let log = Log::read(file.try_clone()?, limits)?;
    // what stands behind the last whole line was torn by a kill
    let end = log.as_ref().map_or(0, Log::end);
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok((file, log))
}

/// A run that is under way.
pub struct Session<W> {
    writer: Writer<W>,
    tally: Tally,
    /// Images whose answer an earlier run gave.
    known: usize,
}

impl<W: Write> Session<W> {
    /// Begins a run. What `earlier` decided is taken out of `plan`; what it
    /// could not decide on stays in it.
    ///
    /// # Errors
    /// [`LogError::Other`] where `earlier` is of another audit, and where the
    /// log cannot be read or written.
    pub fn begin(
        out: W,
        header: &Header,
        earlier: Option<&Log>,
        plan: &mut Plan,
        unlisted: Vec<Unlisted>,
    ) -> Result<Self, LogError> {
        if let Some(earlier) = earlier {
            header.goes_on(earlier.header()).map_err(LogError::Other)?;
        }
        let mut writer = Writer::begin(out, header)?;
        let mut tally = Tally::default();
        for one in unlisted {
            writer.unlisted(&one)?;
            tally.miss(one);
        }
        let mut session = Self { writer, tally, known: 0 };
        if let Some(earlier) = earlier {
            session.take_over(earlier, plan)?;
        }
        Ok(session)
    }

    /// Takes answers over from an earlier run, for the users and lines of
    /// today.
    fn take_over(&mut self, earlier: &Log, plan: &mut Plan) -> Result<(), LogError> {
        for image in earlier.images() {
            let Some(item) = plan.item(image) else {
                self.writer.gone(image)?;
                continue;
            };
            let Some(mut record) = earlier.record(image)?.filter(Record::is_decided) else {
                continue;
            };
            if record.users != item.users || record.line != item.line {
                record.users = item.users.clone();
                record.line = item.line;
                self.writer.image(&record)?;
            }
            plan.take(image);
            self.tally.add(&record);
            self.known += 1;
        }
        Ok(())
    }

    /// How many answers an earlier run gave.
    pub fn known(&self) -> usize {
        self.known
    }

    /// Keeps one answer.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&mut self, record: &Record) -> io::Result<()> {
        self.writer.image(record)?;
        self.tally.add(record);
        Ok(())
    }

    /// What was found until now.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Ends an audit that asked about every image.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<Tally> {
        self.writer.end(&self.tally)?;
        Ok(self.tally)
    }

    /// Ends one that was told to stop; the log can be gone on with.
    pub fn stop(self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Input, read_list};
    use crate::engine::Engine;
    use crate::image::Depth;
    use crate::policy::Decision;

    fn header(limits: &Limits) -> Header {
        let policy = r#"{"ocisign": "policy/1", "name": "p", "rules": [
            {"id": "r", "scope": ["**"], "reject": {"reason": "all"}}]}"#;
        let engine = Engine::from_text("p", policy.as_bytes(), Path::new("."), limits).unwrap();
        Header::new(&engine, Depth::Manifests, None, Input::List { file: None })
    }

    proptest! {
        /// Whatever a list holds: what is written of it can be read again, or
        /// a run would refuse its own output.
        #[test]
        fn what_is_written_of_a_list_is_read_again(
            noise: Vec<u8>,
            texts in proptest::collection::vec("[a-z:/\\x01-\\x09\\u{200b}\\u{10ffff}]{0,900}", 0..4),
        ) {
            let limits = Limits::default();
            let empty = b"\n{\"image\":\"\"}\n".as_slice();
            let list = [noise.as_slice(), empty, texts.join("\n").as_bytes()].concat();
            let mut plan = Plan::new(&limits);
            read_list(list.as_slice(), &mut plan, &limits).unwrap();
            let keys: Vec<String> = plan.keys().map(str::to_owned).collect();
            let file = tempfile::tempfile().unwrap();
            let out = file.try_clone().unwrap();
            let mut session =
                Session::begin(out, &header(&limits), None, &mut plan, Vec::new()).unwrap();
            for item in plan.into_items() {
                session.keep(&Record::of_invalid(item, Timestamp::UNIX_EPOCH)).unwrap();
            }
            let tally = session.finish().unwrap();
            let log = Log::read(file, &limits).unwrap().unwrap();
            prop_assert!(log.is_finished());
            prop_assert_eq!(log.images().map(str::to_owned).collect::<Vec<_>>(), keys);
            prop_assert_eq!(tally.answer(), Decision::Undecided);
        }
    }
}
