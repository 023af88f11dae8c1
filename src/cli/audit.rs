//! `ocisign audit`: what would this policy deny?

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::access::AccessArgs;
use super::cluster::ClusterArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Counter;
use super::tree::DepthArg;
use crate::audit::{self, Book, End, Header, Input, Log, Plan, Session, Shard, Tally, Unlisted};
use crate::engine::{self, Engine};
use crate::gate::{Gate, RegistryPlaces, Settings, Unobserved};
use crate::limits::Limits;
use crate::policy::Decision;
use crate::report::{Style, escaped};
use crate::store::RegistryOptions;
use crate::webhook::Keychain;

/// Ask a policy about many images: what would it deny?
///
/// Every image is judged as the admission webhook would judge it, several at
/// a time, and the summary groups them by what is wrong: which rule and check
/// denies them, who uses them, what to do. Names come from a list (one on
/// each line) or from the workloads of a cluster.
///
/// An audit keeps what it found as JSON lines. With --resume FILE it goes on
/// with them: what was decided is not asked again, what could not be decided
/// is. Ctrl-C and even a kill leave a file that can be gone on with. The file
/// is believed where it says that an image was decided on, so keep it where
/// only you can write.
///
/// Exit codes: 0 every image is allowed; 1 some are denied; 2 some could not
/// be decided on, or not everything could be looked at. The greatest counts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign audit --policy p.json --images images.txt\n  \
    kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' | ocisign audit --policy p.json --images -\n  \
    ocisign audit --policy p.json --from-cluster --resume audit.jsonl\n  \
    ocisign audit --policy p.json --images images.txt --output junit >audit.xml\n  \
    ocisign audit --policy p.json --from-cluster --shard 0/4 --resume shard-0.jsonl\n  \
    ocisign audit --merge shard-0.jsonl shard-1.jsonl shard-2.jsonl shard-3.jsonl")]
#[command(group(ArgGroup::new("input").required(true).args(["images", "from_cluster", "merge"])))]
pub(super) struct Audit {
    /// The policy that decides.
    #[arg(long, value_name = "FILE", required_unless_present = "merge")]
    policy: Option<PathBuf>,
    /// A list of images: one on each line, a name or JSON with the key
    /// `image`; `#` begins a comment; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    images: Option<String>,
    /// The images of every workload of a cluster, and who uses each. Needs
    /// the right to `list` them, and no other.
    #[arg(long)]
    from_cluster: bool,
    /// One report of the JSON lines of earlier audits: all shards of one, or
    /// one by itself. Asks about no image.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["policy", "resume", "shard"])]
    merge: Vec<PathBuf>,
    /// How to print the result: a summary, one JSON object a line, JUnit for
    /// test reports, SARIF 2.1.0 for code scanning.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    output: Form,
    /// Keep the JSON lines in FILE, and go on with those that are there.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Only the part INDEX of COUNT, counted from zero: `0/4`. An image
    /// belongs to one part by its name alone.
    #[arg(long, value_name = "INDEX/COUNT")]
    shard: Option<Shard>,
    /// How many images at a time.
    #[arg(long, value_name = "N", default_value = "8", value_parser = concurrency)]
    concurrency: NonZeroUsize,
    /// How deep each image is recomputed; the policy may ask for more. The
    /// default reads no layers: a runtime rehashes them as it pulls.
    #[arg(long, value_enum, default_value_t = DepthArg::Manifests)]
    depth: DepthArg,
    /// Seconds that one image may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    access: AccessArgs,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A summary for people.
    Table,
    /// One JSON object on each line.
    Json,
    /// JUnit XML.
    Junit,
    /// SARIF 2.1.0.
    Sarif,
}

/// What was planned, and what could not be looked at.
type Planned = (Plan, Input, Vec<Unlisted>);

impl Audit {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let mut limits = Limits::default();
        limits.verifications = limits.verifications.max(self.concurrency.get());
        let Some(policy) = &self.policy else { return self.merge(&limits, out) };
        let engine = Engine::load(policy, &limits)?;
        engine::block_on(async { Ok(self.ask(engine, &limits, out).await) })?
    }

    async fn ask(&self, engine: Engine, limits: &Limits, out: &Output) -> Result<Exit, Failure> {
        let (mut plan, input, unlisted) = self.plan(limits).await?;
        if plan.is_empty() && unlisted.is_empty() {
            return Err(Failure::CouldNot(format!(
                "{} no image, so nothing was audited; look at what was asked",
                if self.images.is_some() { "the list names" } else { "the workloads use" }
            )));
        }
        self.shard.iter().for_each(|shard| plan.keep(*shard));
        let header = Header::new(&engine, self.depth.into(), self.shard, input);
        let (sink, log) = self.sink(limits)?;
        let named = |error| named(self.resume.as_deref(), error);
        let mut session =
            Session::begin(sink.writer()?, &header, log.as_ref(), &mut plan, unlisted)
                .map_err(named)?;
        let registries = self.access.access(out).registries(limits)?;
        let keychain = self.cluster.keychain(&registries, limits).await?;
        let gate = self.gate(engine, registries);
        let end = self.judge(&gate, keychain.as_deref(), plan, &mut session, out).await?;
        let tally = match end {
            End::Finished => session.finish().map_err(|error| named(error.into()))?,
            End::Stopped => self.stopped(session, out),
        };
        self.report(&header, &tally, &sink, limits, out)?;
        Ok(exit(&tally))
    }

    fn gate(&self, engine: Engine, registries: RegistryOptions) -> Gate {
        let patience = Duration::from_secs(self.deadline);
        let settings =
            Settings { foreground: patience, background: patience, ..Settings::default() };
        Gate::with(
            engine,
            Arc::new(RegistryPlaces::new(registries)),
            settings,
            Arc::new(Unobserved),
        )
    }

    async fn judge(
        &self,
        gate: &Gate,
        keychain: Option<&dyn Keychain>,
        plan: Plan,
        session: &mut Session<Box<dyn Write>>,
        out: &Output,
    ) -> Result<End, Failure> {
        let (left, known) = (plan.len(), session.known());
        if known > 0 {
            let all = known + left;
            out.note(&format!(
                "{known} of {all} images were decided on earlier; asking about {left}"
            ));
        }
        let bar = Counter::new(out, left + known, known);
        let options = audit::Options {
            depth: self.depth.into(),
            concurrency: self.concurrency,
            patience: Duration::from_secs(self.deadline),
            keychain,
        };
        let keep = |record| {
            session.keep(&record).map_err(|error| named(self.resume.as_deref(), error.into()))?;
            let totals = session.tally().totals();
            bar.advance(|| format!("{} denied, {} undecided", totals.deny, totals.undecided));
            Ok(())
        };
        audit::run(gate, plan.into_items(), options, keep, told_to_stop()).await
    }

    /// What is left undone is said, wherever the summary goes.
    fn stopped(&self, session: Session<Box<dyn Write>>, out: &Output) -> Tally {
        let mut tally = session.stop();
        let what = "the rest of the images".to_owned();
        let why = match &self.resume {
            Some(file) => format!("stopped; go on with `--resume {}`", file.display()),
            None => "stopped; `--resume FILE` keeps what was found, to go on with it".to_owned(),
        };
        out.warning(&format!("{what} were not looked at: {why}"));
        tally.miss(Unlisted { what, why });
        tally
    }

    async fn plan(&self, limits: &Limits) -> Result<Planned, Failure> {
        let mut plan = Plan::new(limits);
        let Some(file) = &self.images else {
            let (input, unlisted) = self.cluster.images(&mut plan, limits).await?;
            return Ok((plan, input, unlisted));
        };
        let failed = |error: &dyn std::error::Error| {
            Failure::CouldNot(format!("the list `{file}`: {error}; look at it"))
        };
        let input = match file.as_str() {
            "-" => {
                audit::read_list(io::stdin().lock(), &mut plan, limits).map_err(|e| failed(&e))?;
                Input::List { file: None }
            }
            path => {
                let list = File::open(path).map_err(|e| failed(&e))?;
                audit::read_list(BufReader::new(list), &mut plan, limits)
                    .map_err(|e| failed(&e))?;
                Input::List { file: Some(path.to_owned()) }
            }
        };
        Ok((plan, input, Vec::new()))
    }

    /// Where the JSON lines go.
    fn sink(&self, limits: &Limits) -> Result<(Sink, Option<Log>), Failure> {
        if let Some(path) = &self.resume {
            let (file, log) =
                audit::open(path, limits).map_err(|error| named(Some(path), error))?;
            return Ok((Sink::File(file), log));
        }
        let sink = match self.output {
            Form::Table => Sink::Nowhere,
            Form::Json => Sink::Stdout,
            Form::Junit | Form::Sarif => Sink::File(tempfile::tempfile().map_err(lost)?),
        };
        Ok((sink, None))
    }

    fn report(
        &self,
        header: &Header,
        tally: &Tally,
        sink: &Sink,
        limits: &Limits,
        out: &Output,
    ) -> Result<(), Failure> {
        if self.output == Form::Table {
            out.result(&audit::table(header, tally, Style { colour: out.colour() }));
            return Ok(());
        }
        // the JSON lines end with it, and logs of pods mix both streams
        if self.output != Form::Json {
            out.note(&audit::headline(header, tally));
        }
        let (Form::Junit | Form::Sarif, Sink::File(file)) = (self.output, sink) else {
            return Ok(());
        };
        let named = |error| named(self.resume.as_deref(), error);
        let file = file.try_clone().map_err(|error| named(error.into()))?;
        if let Some(log) = Log::read(file, limits).map_err(named)? {
            self.write(&Book::one(log), tally)?;
        }
        Ok(())
    }

    fn merge(&self, limits: &Limits, out: &Output) -> Result<Exit, Failure> {
        let mut logs = Vec::new();
        for path in &self.merge {
            let named = |error| named(Some(path), error);
            let file = File::open(path).map_err(|error| named(error.into()))?;
            let log = Log::read(file, limits).map_err(named)?;
            logs.push(log.ok_or_else(|| {
                Failure::CouldNot(format!("`{}` holds no audit; look at it", path.display()))
            })?);
        }
        let book = Book::of(logs).map_err(|error| Failure::CouldNot(error.to_string()))?;
        let tally = book.tally().map_err(|error| Failure::CouldNot(error.to_string()))?;
        match self.output {
            Form::Table => {
                let style = Style { colour: out.colour() };
                out.result(&audit::table(book.header(), &tally, style));
            }
            Form::Json | Form::Junit | Form::Sarif => {
                out.note(&audit::headline(book.header(), &tally));
                self.write(&book, &tally)?;
            }
        }
        Ok(exit(&tally))
    }

    /// Writes a report for machines.
    fn write(&self, book: &Book, tally: &Tally) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        let written = match self.output {
            Form::Table => Ok(()),
            Form::Json => book.write(&mut stdout).map(|_| ()),
            Form::Junit => audit::junit(book, &mut stdout),
            Form::Sarif => audit::sarif(book, tally, &mut stdout),
        };
        written.map_err(|error| Failure::CouldNot(error.to_string()))?;
        stdout.flush().map_err(lost)
    }
}

/// Where JSON lines go.
enum Sink {
    Nowhere,
    Stdout,
    File(File),
}

impl Sink {
    fn writer(&self) -> Result<Box<dyn Write>, Failure> {
        Ok(match self {
            Self::Nowhere => Box::new(io::sink()),
            Self::Stdout => Box::new(io::stdout()),
            Self::File(file) => Box::new(file.try_clone().map_err(lost)?),
        })
    }
}

fn exit(tally: &Tally) -> Exit {
    match tally.answer() {
        Decision::Allow => Exit::Yes,
        Decision::Deny => Exit::No,
        Decision::Undecided => Exit::Undecided,
    }
}

/// Ctrl-C, or what Kubernetes sends before it kills.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // without handlers a signal ends the process, which the log survives
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn named(path: Option<&Path>, error: audit::LogError) -> Failure {
    let path = path.map_or_else(|| "the output".to_owned(), |path| format!("`{}`", path.display()));
    Failure::CouldNot(format!("{}: {error}", escaped(&path)))
}

fn lost(error: io::Error) -> Failure {
    Failure::CouldNot(format!("cannot write the result: {error}; look at the space that is left"))
}

fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= 256);
    number.ok_or_else(|| "write a number from 1 to 256".to_owned())
}
