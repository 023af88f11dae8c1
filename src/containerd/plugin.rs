//! One pull: from the request to the answer, within the deadline.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::config::Config;
use super::kept::{Listing, Recorder};
use super::request::{PullRequest, STDIN_BYTES};
use super::shelf::DiskShelf;
use super::sources::Sources;
use super::trusted;
use super::view::{Lists, View};
use crate::engine::{Ask, Engine, Error, Image};
use crate::image::{Digest, Source};
use crate::limits::Limits;
use crate::policy::{CheckOutcome, Decision, Row, Verdict};
use crate::report::{self, escaped};
use crate::store::{Shelf, Store};

/// Longest line on stdout, in characters: it ends up in the events of pods.
const LINE: usize = 2000;

/// What is left of the deadline to say that it has passed.
const MARGIN: Duration = Duration::from_millis(150);

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The image may be pulled.
    Allow,
    /// It may not.
    Deny,
    /// It could not be decided, so it may not.
    Undecided,
}

/// What the plugin says.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The answer, for the exit code.
    pub outcome: Outcome,
    /// One line with the reason, for stdout.
    pub line: String,
    /// Everything else, for stderr.
    pub details: String,
}

impl Reply {
    /// No decision, for a reason that is known.
    pub fn undecided(why: &str) -> Self {
        let line = line("undecided", why);
        Self { outcome: Outcome::Undecided, line, details: String::new() }
    }

    fn late(deadline: Duration) -> Self {
        let ms = deadline.as_millis();
        let why = format!(
            "not decided within {ms} ms, so the pull is blocked; try again, or look at the registry"
        );
        Self::undecided(&why)
    }

    fn of(verdict: &Verdict, digest: &Digest) -> Self {
        // an allow is worth what it admits: the digest that containerd pulls
        let admitted = verdict.clone().admit().is_ok_and(|admitted| admitted.digest() == digest);
        let (outcome, word) = match (verdict.decision, admitted) {
            (Decision::Allow, true) => (Outcome::Allow, "allow"),
            (Decision::Deny, _) => (Outcome::Deny, "deny"),
            (Decision::Allow | Decision::Undecided, _) => (Outcome::Undecided, "undecided"),
        };
        let why = reasons(verdict).join("; ");
        let details = report::text(verdict, report::Style::default());
        Self { outcome, line: line(word, &why), details }
    }
}

/// Answers one request of containerd. `config` is the plugin's configuration;
/// the time counts from now.
pub fn run(config: PathBuf, arguments: Vec<OsString>, stdin: impl Read + Send + 'static) -> Reply {
    let began = Instant::now();
    let (sender, news) = mpsc::channel();
    // on a thread of its own, so that no file, pipe or name server that hangs
    // can keep the answer back
    let work = move || {
        let reply = answer(&config, &arguments, stdin, began, &sender);
        // nobody listens where the deadline has passed
        let _ = sender.send(News::Reply(reply));
    };
    if let Err(error) = std::thread::Builder::new().name("verify".to_owned()).spawn(work) {
        return Reply::undecided(&format!("the system gives no thread: {error}"));
    }
    let mut deadline = Limits::default().verifier_deadline;
    loop {
        match news.recv_timeout(deadline.saturating_sub(began.elapsed())) {
            Ok(News::Reply(reply)) => return reply,
            Ok(News::Deadline(configured)) => deadline = configured,
            Err(RecvTimeoutError::Timeout) => return Reply::late(deadline),
            Err(RecvTimeoutError::Disconnected) => {
                return Reply::undecided("ocisign failed; the cause stands on stderr, report it");
            }
        }
    }
}

/// What the working thread tells.
enum News {
    Deadline(Duration),
    Reply(Reply),
}

fn answer(
    config: &std::path::Path,
    arguments: &[OsString],
    stdin: impl Read,
    began: Instant,
    news: &Sender<News>,
) -> Reply {
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(error) => return Reply::undecided(&with_causes(&error)),
    };
    let _ = news.send(News::Deadline(config.deadline()));
    let request = match request(arguments, stdin) {
        Ok(request) => request,
        Err(why) => return Reply::undecided(&why),
    };
    match Pull::prepare(config, request, began) {
        Ok(pull) => pull.decide(),
        Err(error) => Reply::undecided(&with_causes(&error)),
    }
}

fn request(arguments: &[OsString], stdin: impl Read) -> Result<PullRequest, String> {
    let text = |argument: &OsString| {
        argument.to_str().map(str::to_owned).ok_or("an argument is no UTF-8 text".to_owned())
    };
    let arguments = arguments.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::new();
    stdin
        .take(STDIN_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("the descriptor on stdin cannot be read: {error}"))?;
    PullRequest::parse(&arguments, &bytes).map_err(|error| error.to_string())
}

/// Everything that one pull is decided with.
struct Pull {
    config: Config,
    request: PullRequest,
    engine: Engine,
    sources: Sources,
    shelf: Option<Arc<DiskShelf>>,
    until: Instant,
}

impl Pull {
    fn prepare(config: Config, request: PullRequest, began: Instant) -> Result<Self, Error> {
        let limits = limits(&config);
        let unsafe_file = |why| Error::Usage(format!("the policy is not safe: {why}"));
        trusted::check(&config.policy).map_err(unsafe_file)?;
        let engine = Engine::load(&config.policy, &limits)?;
        let directory = config.policy.parent().unwrap_or(&config.policy);
        trusted::check_keys(engine.policy().document(), directory).map_err(unsafe_file)?;
        let sources = Sources::open(&config, request.reference().repository(), &limits)?;
        let shelf = config.cache.as_ref();
        let shelf = shelf.map(|cache| Arc::new(DiskShelf::new(cache, limits.shelf_item_bytes)));
        let until = began + config.deadline().saturating_sub(MARGIN);
        Ok(Self { config, request, engine, sources, shelf, until })
    }

    fn decide(self) -> Reply {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Reply::undecided(&with_causes(&Error::Runtime(error))),
        };
        let until = tokio::time::Instant::from_std(self.until);
        let mut reply = runtime
            .block_on(async { tokio::time::timeout_at(until, self.stages()).await })
            .unwrap_or_else(|_| Reply::late(self.config.deadline()));
        // a name server that does not answer keeps a thread that nobody needs
        runtime.shutdown_background();
        if let Some(shelf) = &self.shelf
            && Instant::now() < self.until
        {
            shelf.sweep();
        }
        if reply.outcome == Outcome::Undecided && !self.sources.unused.is_empty() {
            let unused = self.sources.unused.join("; ");
            reply.line = line("", &format!("{}; {unused}", reply.line));
        }
        for unused in &self.sources.unused {
            reply.details.push_str(&format!("{}\n", report::visible(unused)));
        }
        reply
    }

    /// The kept list, the first server, the first two, and so on: the first
    /// allow decides, since more evidence cannot undo one. Anything else
    /// stands only once all have been asked.
    async fn stages(&self) -> Reply {
        let now = Timestamp::now();
        if let Some(listing) = self.kept_listing(now)
            && let Some(verdict) = self.stage(1, Lists::Kept(listing), now, 2).await.ok().flatten()
            && verdict.decision == Decision::Allow
        {
            return Reply::of(&verdict, self.request.digest());
        }
        let servers = self.sources.servers.len();
        let mut last = Reply::late(self.config.deadline());
        for first in 1..=servers {
            let recorder = Arc::new(Recorder::default());
            let lists = Lists::Fresh(Arc::clone(&recorder));
            let left = u32::try_from(servers - first + 1).unwrap_or(u32::MAX);
            match self.stage(first, lists, now, left).await {
                Ok(None) => {}
                Err(error) => last = Reply::undecided(&with_causes(&error)),
                Ok(Some(verdict)) => {
                    last = Reply::of(&verdict, self.request.digest());
                    if verdict.decision == Decision::Allow {
                        self.keep(&recorder, now);
                    }
                    if verdict.decision == Decision::Allow || is_final(verdict.row) {
                        break;
                    }
                }
            }
        }
        last
    }

    /// One look at the image; `None` where its share of the time is over.
    async fn stage(
        &self,
        servers: usize,
        lists: Lists,
        now: Timestamp,
        share: u32,
    ) -> Result<Option<Verdict>, Error> {
        let left = self.until.saturating_duration_since(Instant::now());
        let most = self.engine.limits().shelf_item_bytes;
        let shelf = self.shelf.clone().map(|shelf| (shelf as Arc<dyn Shelf>, most));
        let asked: Vec<_> = match &lists {
            // what is no longer kept may come from any of them
            Lists::Kept(_) => self.sources.servers.clone(),
            Lists::Fresh(_) => self.sources.servers.iter().take(servers).cloned().collect(),
        };
        let root = self.request.descriptor().clone();
        let reference = self.request.reference();
        let view = View::new(reference.repository(), asked.clone(), root, lists, shelf);
        let view: Arc<dyn Store> = Arc::new(view);
        let source = Source::Registry(reference.clone());
        let image = Image::from_store(view, &source, None)?;
        let image = image.at_digest(self.request.digest().clone());
        let ask = Ask { depth: self.config.depth, ..Ask::default() };
        let check = self.engine.check(&image, &ask, now);
        match tokio::time::timeout(left / share, check).await {
            Ok(verdict) => verdict.map(Some),
            Err(_) => {
                asked.iter().for_each(|server| server.let_us_down());
                Ok(None)
            }
        }
    }

    fn kept_listing(&self, now: Timestamp) -> Option<Listing> {
        let (shelf, cache) = (self.shelf.as_ref()?, self.config.cache.as_ref()?);
        Listing::find(shelf.as_ref(), &self.request, now.as_second(), cache.listing_seconds)
    }

    fn keep(&self, recorder: &Recorder, now: Timestamp) {
        if let Some(shelf) = &self.shelf {
            recorder.keep(shelf.as_ref(), &self.request, now.as_second());
        }
    }
}

/// Whether no other server could change the answer.
fn is_final(row: Row) -> bool {
    match row {
        Row::PolicyExpired
        | Row::PolicyNotYetValid
        | Row::Revoked
        | Row::NoRule
        | Row::Rejected
        | Row::Holds => true,
        Row::Integrity | Row::Checks | Row::NotContentAddressed | Row::Incomplete => false,
    }
}

/// Bounds that fit into the deadline.
fn limits(config: &Config) -> Limits {
    let usual = Limits::default();
    let deadline = config.deadline();
    Limits {
        deadline,
        idle_timeout: usual.idle_timeout.min(deadline),
        retry_after: usual.retry_after.min(deadline / 8),
        attempts: 3,
        ..usual
    }
}

/// The summary, and what it rests on: the first of each.
fn reasons(verdict: &Verdict) -> Vec<String> {
    let mut reasons = vec![verdict.summary.clone()];
    match verdict.decision {
        Decision::Allow => {
            reasons.extend(verdict.would_deny.iter().map(|check| format!("would deny: {check}")));
        }
        Decision::Deny | Decision::Undecided => {
            reasons.extend(verdict.findings.iter().take(3).cloned());
            let rules = verdict.rule.iter().chain(&verdict.baseline);
            let failed = rules.filter(|rule| !rule.held).flat_map(|rule| &rule.checks);
            for check in failed.filter(|check| !check.held).take(3) {
                reasons.push(missing(check));
            }
            let rejected = verdict.rejections.iter().take(2);
            reasons.extend(rejected.map(|r| format!("{}: {}", r.item, r.reason)));
        }
    }
    reasons
}

fn missing(check: &CheckOutcome) -> String {
    let ignored = check.ignored.iter().take(2).map(|ignored| ignored.reason.as_str());
    let found = check.findings.iter().take(2).map(String::as_str).chain(ignored);
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => format!("{} needs {}", check.id, check.need),
        false => format!("{} needs {} ({})", check.id, check.need, found.join(", ")),
    }
}

/// One line, printable and bounded.
fn line(word: &str, text: &str) -> String {
    // a policy that does not load is shown over several lines
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<String> = text.split("; ").map(escaped).collect();
    let text = parts.join("; ");
    let text = if word.is_empty() { text } else { format!("{word}: {text}") };
    match text.char_indices().nth(LINE) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
