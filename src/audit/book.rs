//! The logs of one whole audit, read as one.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::log::{Header, Input, Log, LogError, Unlisted, Writer};
use super::{Record, Shard, Tally};

/// One log, or one of each shard of an audit.
#[derive(Debug)]
pub struct Book {
    header: Header,
    logs: Vec<Log>,
    unlisted: Vec<Unlisted>,
}

impl Book {
    /// Puts the logs of an audit together. A shard that is missing or was cut
    /// short is no error: it is noted as what nobody looked at.
    ///
    /// # Errors
    /// [`LogError::Other`] where the logs are not of one audit, or are no
    /// shards of it.
    pub fn of(logs: Vec<Log>) -> Result<Self, LogError> {
        let first = logs.first().ok_or_else(|| LogError::Other("there is no log".to_owned()))?;
        let mut header = first.header().clone();
        for log in &logs {
            let other = log.header();
            header.agrees(other).map_err(LogError::Other)?;
            if logs.len() > 1 {
                is_part(&header, other).map_err(LogError::Other)?;
            }
            header.started = header.started.min(other.started);
        }
        let logs = last_of_each(logs);
        let mut unlisted = not_seen(&logs);
        if let Some(shard) = header.shard.take() {
            unlisted.extend(missing(shard, &logs));
        }
        Ok(Self { header, logs, unlisted })
    }

    /// One log by itself, a shard too: what it does not have is not missed.
    pub fn one(log: Log) -> Self {
        let header = log.header().clone();
        let logs = vec![log];
        let unlisted = not_seen(&logs);
        Self { header, logs, unlisted }
    }

    /// What it is about.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What could not be looked at.
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// The file of the list, where there was one.
    pub fn list(&self) -> Option<&str> {
        match &self.header.input {
            Input::List { file } => file.as_deref(),
            Input::Cluster { .. } => None,
        }
    }

    /// The answers, parted by `heading` and sorted by it and by name.
    ///
    /// # Errors
    /// [`LogError`] where a file is not what it was.
    pub fn sorted<K: Ord>(
        &self,
        heading: impl Fn(&Record) -> K,
    ) -> Result<Vec<Entry<K>>, LogError> {
        let mut entries = Vec::new();
        for (log, one) in self.logs.iter().enumerate() {
            for image in one.images() {
                let Some(record) = one.record(image)? else { continue };
                entries.push(Entry { heading: heading(&record), image: image.to_owned(), log });
            }
        }
        entries.sort_by(|a, b| (&a.heading, &a.image).cmp(&(&b.heading, &b.image)));
        Ok(entries)
    }

    /// The answer that an entry stands for.
    ///
    /// # Errors
    /// [`LogError`] where the file is not what it was.
    pub fn record<K>(&self, entry: &Entry<K>) -> Result<Record, LogError> {
        let found = match self.logs.get(entry.log) {
            Some(log) => log.record(&entry.image)?,
            None => None,
        };
        found.ok_or_else(|| io::Error::other("the file changed while it was read").into())
    }

    /// The summary.
    ///
    /// # Errors
    /// [`LogError`] where a file is not what it was.
    pub fn tally(&self) -> Result<Tally, LogError> {
        let mut tally = Tally::default();
        for log in &self.logs {
            for image in log.images() {
                log.record(image)?.iter().for_each(|record| tally.add(record));
            }
        }
        self.unlisted.iter().cloned().for_each(|unlisted| tally.miss(unlisted));
        Ok(tally)
    }

    /// Writes it as one log.
    ///
    /// # Errors
    /// [`LogError`] where a file is not what it was, or nothing can be
    /// written.
    pub fn write(&self, out: impl Write) -> Result<Tally, LogError> {
        let mut writer = Writer::begin(out, &self.header)?;
        for unlisted in &self.unlisted {
            writer.unlisted(unlisted)?;
        }
        for entry in self.sorted(|_| ())? {
            writer.image(&self.record(&entry)?)?;
        }
        let tally = self.tally()?;
        writer.end(&tally)?;
        Ok(tally)
    }
}

/// Where one answer lies.
#[derive(Debug)]
pub struct Entry<K> {
    /// What it stands under.
    pub heading: K,
    /// The image.
    pub image: String,
    log: usize,
}

/// Whether `other` is a shard of the audit of `first`.
fn is_part(first: &Header, other: &Header) -> Result<(), String> {
    let (Some(of), Some(shard)) = (first.shard, other.shard) else {
        return Err("several logs are merged where each is a shard of one audit".to_owned());
    };
    if of.count() != shard.count() {
        return Err(format!("{shard} and {of} are no shards of one audit"));
    }
    if first.input != other.input {
        return Err("the shards took their images from different places".to_owned());
    }
    Ok(())
}

/// One log of each shard: of several, as a Job that tries again leaves them,
/// the last that came to its end.
fn last_of_each(logs: Vec<Log>) -> Vec<Log> {
    let mut last: BTreeMap<Option<Shard>, Log> = BTreeMap::new();
    let rank = |log: &Log| (log.is_finished(), log.header().started);
    for log in logs {
        match last.entry(log.header().shard) {
            Slot::Vacant(slot) => drop(slot.insert(log)),
            Slot::Occupied(mut slot) if rank(&log) > rank(slot.get()) => drop(slot.insert(log)),
            Slot::Occupied(_) => {}
        }
    }
    last.into_values().collect()
}

/// What the logs say that nobody looked at.
fn not_seen(logs: &[Log]) -> Vec<Unlisted> {
    let mut unlisted: Vec<Unlisted> = Vec::new();
    for log in logs {
        // every shard lists the same objects
        let new = |one: &&Unlisted| !unlisted.contains(*one);
        let new: Vec<Unlisted> = log.unlisted().iter().filter(new).cloned().collect();
        unlisted.extend(new);
        if !log.is_finished() {
            let what = match log.header().shard {
                Some(shard) => format!("the rest of shard {shard}"),
                None => "the rest of the images".to_owned(),
            };
            let why = "the audit was cut short; go on with it by `--resume`".to_owned();
            unlisted.push(Unlisted { what, why });
        }
    }
    unlisted
}

/// The shards that have no log.
fn missing(of: Shard, logs: &[Log]) -> impl Iterator<Item = Unlisted> {
    let there: BTreeSet<u32> =
        logs.iter().filter_map(|log| Some(log.header().shard?.index())).collect();
    (0..of.count()).filter(move |index| !there.contains(index)).map(move |index| Unlisted {
        what: format!("shard {index}/{}", of.count()),
        why: "its log is not among these files".to_owned(),
    })
}
