//! `ocisign policy`: write, check, understand and test policies.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::access::{AccessArgs, NameArg, parse_source};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine::{self, Engine};
use crate::image::{Reference, Repository, Source};
use crate::limits::Limits;
use crate::policy;
use crate::policy::test::{CaseResult, TestFile};
use crate::report;

/// Write, check, understand and test policies
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(Check),
    Fmt(Fmt),
    Init(Init),
    Explain(Explain),
    Test(Test),
}

/// Load policies and their keys; report errors and what looks unintended
#[derive(Debug, Args)]
struct Check {
    /// Policy files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Judge dates as of this instant (RFC 3339), not now.
    #[arg(long, value_name = "TIME", value_parser = super::verify::instant)]
    now: Option<Timestamp>,
    /// Remarks make the answer no as well.
    #[arg(long)]
    strict: bool,
}

/// Print policies in their canonical form, or rewrite them so
#[derive(Debug, Args)]
struct Fmt {
    /// Policy files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Rewrite the files.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Change nothing; exit 1 where a file is not in canonical form.
    #[arg(long)]
    check: bool,
}

/// Print a first policy for a repository and its signers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ocisign policy init --scope registry.example/app --signer me=me.pub > policy.json")]
struct Init {
    /// Name of the policy.
    #[arg(long, default_value = "policy")]
    name: String,
    /// The repository or subtree, such as registry.example/team/**.
    #[arg(long)]
    scope: String,
    /// A signer and its public key, as NAME=FILE.
    #[arg(long = "signer", required = true, value_name = "NAME=FILE", value_parser = super::verify::pair)]
    signers: Vec<(String, String)>,
}

/// Say which rules a policy applies to an image, and what they ask for
#[derive(Debug, Args)]
struct Explain {
    /// The image; it is not looked at, only its name is.
    image: String,
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    name: NameArg,
    /// Taken so that one set of options fits every verb; nothing is fetched.
    #[command(flatten)]
    _access: AccessArgs,
    /// Judge dates as of this instant (RFC 3339), not now.
    #[arg(long, value_name = "TIME", value_parser = super::verify::instant)]
    now: Option<Timestamp>,
}

/// Run the test file beside each policy (x.json, x.test.json)
#[derive(Debug, Args)]
struct Test {
    /// Policy files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Policy {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Check(verb) => verb.run(out),
            Verb::Fmt(verb) => verb.run(out),
            Verb::Init(verb) => verb.run(out),
            Verb::Explain(verb) => verb.run(out),
            Verb::Test(verb) => verb.run(out),
        }
    }
}

impl Check {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let now = self.now.unwrap_or_else(Timestamp::now);
        let mut worst = Exit::Yes;
        for file in &self.files {
            let remarks = match Engine::load(file, &limits) {
                Ok(engine) => policy::lint(engine.policy(), now),
                Err(error) => {
                    let failure = Failure::from(error);
                    out.error(&failure);
                    worst = worst.max(failure.exit());
                    continue;
                }
            };
            for remark in &remarks {
                out.result(&format!("{}: {}", file.display(), line(remark)));
            }
            out.note(&format!("{}: valid", file.display()));
            if self.strict && !remarks.is_empty() {
                worst = worst.max(Exit::No);
            }
        }
        Ok(worst)
    }
}

/// A remark about the whole policy names no part of it.
fn line(remark: &policy::Lint) -> String {
    let about = if remark.about.is_empty() { "" } else { " " };
    format!("{}{about}{}: {}", remark.code, remark.about, remark.message)
}

impl Fmt {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let mut answer = Exit::Yes;
        for file in &self.files {
            let bytes = engine::read_file(file, limits.policy_bytes)?;
            let text = policy::fmt(&bytes, &limits).map_err(|p| problems(&p, &bytes, file))?;
            let same = text.as_bytes() == bytes;
            match (self.check, self.write) {
                (true, _) if !same => {
                    out.result(&format!("{} is not in canonical form", file.display()));
                    answer = Exit::No;
                }
                (true, _) => {}
                (false, true) if !same => engine::replace_file(file, text.as_bytes())?,
                (false, true) => {}
                (false, false) => out.result(&text),
            }
        }
        Ok(answer)
    }
}

impl Init {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let (now, limits) = (Timestamp::now(), Limits::default());
        let text = engine::starter(&self.name, &self.scope, &self.signers, now, &limits)?;
        out.result(&text);
        Ok(Exit::Yes)
    }
}

impl Explain {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let engine = Engine::load(&self.policy, &Limits::default())?;
        let now = self.now.unwrap_or_else(Timestamp::now);
        out.result(&report::explain(engine.policy(), &self.repository()?, now));
        Ok(Exit::Yes)
    }

    fn repository(&self) -> Result<Repository, Failure> {
        match (self.name.reference()?, parse_source(&self.image)?) {
            (Some(name), _) => Ok(name.repository().clone()),
            (None, Source::Registry(reference)) => Ok(reference.repository().clone()),
            (
                None,
                Source::Layout { dir: path, .. }
                | Source::Archive { file: path, .. }
                | Source::DockerArchive { file: path, .. }
                | Source::Aci { file: path },
            ) => Ok(engine::local_name(Path::new(&path))),
            (None, Source::AciName(name)) => {
                let name = Reference::parse_as_written(name.name());
                Ok(name.map_err(|e| Failure::CouldNot(e.to_string()))?.repository().clone())
            }
        }
    }
}

impl Test {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let (mut passed, mut failed) = (0, 0);
        for file in &self.files {
            for result in test_file(file)? {
                if result.passed() {
                    passed += 1;
                } else {
                    failed += 1;
                    out.result(&format!("{}: {}", file.display(), told(&result)));
                }
            }
        }
        out.result(&format!("{passed} passed, {failed} failed"));
        Ok(if failed == 0 { Exit::Yes } else { Exit::No })
    }
}

fn test_file(file: &Path) -> Result<Vec<CaseResult>, Failure> {
    let limits = Limits::default();
    let text = engine::read_file(file, limits.policy_bytes)?;
    let cases = file.with_extension("test.json");
    if !cases.exists() {
        return Err(Failure::CouldNot(format!(
            "there are no tests beside `{}`; name a policy, and write them to `{}`",
            file.display(),
            cases.display()
        )));
    }
    let tests = engine::read_file(&cases, limits.policy_bytes)?;
    let policy = policy::parse(&text, &limits)
        .and_then(policy::test::link_by_name)
        .map_err(|p| problems(&p, &text, file))?;
    let tests = TestFile::parse(&tests, &limits).map_err(|p| problems(&p, &tests, &cases))?;
    Ok(policy::test::run(&policy, &tests))
}

fn told(result: &CaseResult) -> String {
    let verdict = result.verdict.verdict();
    let mut text = format!(
        "{}: expected {:?}, got {:?} ({})",
        result.name,
        result.expect,
        verdict.decision,
        result.reasons.join(", ")
    );
    if !result.missing.is_empty() {
        text.push_str(&format!("; not among the reasons: {}", result.missing.join(", ")));
    }
    text
}

fn problems(problems: &[policy::Problem], source: &[u8], file: &Path) -> Failure {
    Failure::No(engine::render(problems, source, &file.display().to_string()))
}
