//! The decision log: lines of JSON, written by a thread of its own.
//!
//! Answering never waits for it. A reader that does not keep up loses lines,
//! and a metric counts them.

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::Error;
use crate::report::printable;

/// Which decisions are logged. What happens to the server itself always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Every image of every request, and requests without images.
    #[default]
    All,
    /// Images that were not allowed, or that audit let through.
    Denials,
    /// None.
    Events,
}

/// One image of one request, or a request that came to no image.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) endpoint: &'static str,
    pub(super) uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) operation: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) user: &'a str,
    /// Whether the whole request was allowed.
    pub(super) allowed: bool,
    #[serde(flatten)]
    pub(super) image: Option<ImageLine<'a>>,
    /// Why, where no image says it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) message: &'a str,
    pub(super) took_ms: f64,
}

/// What was decided on one image.
#[derive(Debug, Serialize)]
pub(super) struct ImageLine<'a> {
    pub(super) image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<&'a str>,
    pub(super) decision: &'static str,
    pub(super) row: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) would_deny: &'a [String],
    pub(super) reason: &'a str,
    pub(super) origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) depth: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_digest: Option<&'a str>,
}

#[derive(Serialize)]
struct Stamped<'a, T> {
    time: Timestamp,
    event: &'a str,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Said<'a> {
    message: &'a str,
}

/// Where lines go.
pub(super) struct Log {
    lines: SyncSender<Sent>,
    level: LogLevel,
    dropped: Counter,
}

/// The thread that writes, until it is told to end.
pub(super) struct Writing {
    thread: JoinHandle<()>,
    lines: SyncSender<Sent>,
}

/// What the thread is sent.
enum Sent {
    Line(String),
    End,
}

impl Log {
    /// A log of at most `capacity` lines that wait.
    ///
    /// # Errors
    /// [`Error::System`] where there is no thread to be had.
    pub(super) fn start(
        mut sink: Box<dyn Write + Send>,
        level: LogLevel,
        capacity: usize,
        dropped: Counter,
    ) -> Result<(Self, Writing), Error> {
        let (lines, waiting) = sync_channel(capacity);
        let lost = dropped.clone();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&waiting, &mut sink, &lost))
            .map_err(|source| Error::System { what: "thread", source })?;
        Ok((Self { lines: lines.clone(), level, dropped }, Writing { thread, lines }))
    }

    /// Something that happened to the server, in words.
    pub(super) fn event(&self, event: &str, message: &str) {
        // several lines of a policy's problems are of use whole
        self.write(event, Said { message });
    }

    /// Whether any decision is wanted.
    pub(super) fn wants_some(&self) -> bool {
        self.wants(true)
    }

    /// Whether lines like this one are wanted.
    pub(super) fn wants(&self, remarkable: bool) -> bool {
        match self.level {
            LogLevel::All => true,
            LogLevel::Denials => remarkable,
            LogLevel::Events => false,
        }
    }

    /// A decision.
    pub(super) fn decision(&self, line: &Line<'_>) {
        self.write("decision", line);
    }

    fn write(&self, event: &str, what: impl Serialize) {
        let stamped = Stamped { time: Timestamp::now(), event, what };
        // plain data with text keys, so this cannot fail
        let mut text = serde_json::to_string(&stamped).unwrap_or_default();
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            text = printable(&text);
        }
        text.push('\n');
        match self.lines.try_send(Sent::Line(text)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.inc();
            }
        }
    }
}

impl Writing {
    /// Waits for what was logged to be written, and not for long: a reader
    /// that stopped reading does not keep the server from ending.
    pub(super) fn finish(self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        const STEP: Duration = Duration::from_millis(2);
        let began = Instant::now();
        while self.lines.try_send(Sent::End).is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(STEP);
        }
        while !self.thread.is_finished() && began.elapsed() < PATIENCE {
            std::thread::sleep(STEP);
        }
    }
}

impl ImageLine<'_> {
    /// Of a text that names no image.
    pub(super) fn unnamed() -> Self {
        Self {
            image: "",
            digest: None,
            decision: "deny",
            row: "no-name",
            rule: None,
            failed: Vec::new(),
            would_deny: &[],
            reason: "",
            origin: "none",
            depth: None,
            policy: None,
            policy_digest: None,
        }
    }
}

fn write_all(waiting: &Receiver<Sent>, sink: &mut dyn Write, lost: &Counter) {
    // one write for the lines of a few milliseconds
    const BUFFER: usize = 64 << 10;
    const PAUSE: Duration = Duration::from_millis(20);
    let mut buffer = String::with_capacity(BUFFER);
    loop {
        match waiting.recv_timeout(if buffer.is_empty() { Duration::MAX } else { PAUSE }) {
            Ok(Sent::Line(line)) => {
                buffer.push_str(&line);
                if buffer.len() < BUFFER {
                    continue;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Sent::End) | Err(RecvTimeoutError::Disconnected) => {
                flush(&mut buffer, sink, lost);
                return;
            }
        }
        flush(&mut buffer, sink, lost);
    }
}

/// A sink that fails costs its lines and never the server.
fn flush(buffer: &mut String, sink: &mut dyn Write, lost: &Counter) {
    if sink.write_all(buffer.as_bytes()).and_then(|()| sink.flush()).is_err() {
        lost.inc_by(buffer.lines().count() as u64);
    }
    buffer.clear();
}
