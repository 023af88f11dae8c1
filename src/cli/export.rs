//! `ocisign export`: a policy for tools that do not ask ocisign.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine::{Engine, Existing, write_export};
use crate::limits::Limits;
use crate::policy::export::{Dates, DefaultDocker, Options, Subtrees, Unsaid};

/// Write a policy in the words of other tools
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    ContainersPolicy(ContainersPolicy),
}

/// What it teaches.
const ABOUT: &str = "\
Write policy.json and a file for registries.d, for podman, CRI-O, skopeo and bootc.

What the files allow the policy allows too. What they cannot say is an error that names the
rule (exit 1, nothing is written): image checks, signed annotations, revoked digests, dates.
What they deny in excess is printed as a note.

They read signatures in the older cosign format only, on the manifest of their own platform:
sign with `ocisign sign --format cosign --recursive`.";

/// Write policy.json and registries.d for podman and CRI-O
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = "Examples:\n  \
    ocisign export containers-policy --policy policy.json --output-dir out\n  \
    ocisign export containers-policy --policy policy.json --output-dir /etc/containers --force\n\n\
    Then try it before it is in force:\n  \
    skopeo --policy out/policy.json --registries.d out/registries.d \\\n    \
    copy docker://registry.example/app:v1 dir:app")]
struct ContainersPolicy {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Where policy.json and registries.d/ocisign.yaml are written.
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    /// Leave out dates on which keys or the policy end. The files are good
    /// until the first of them, which is printed: export again before.
    #[arg(long)]
    snapshot: bool,
    /// Let a rule for a repository hold for the names below it, and a rule
    /// for `P/**` for `P` itself, where they have none: policy.json cannot
    /// tell them apart.
    #[arg(long)]
    widen_subtrees: bool,
    /// Also write `default-docker`, which rules for `**` need. It may stand in
    /// one file of registries.d only.
    #[arg(long)]
    default_docker: bool,
}

impl Export {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::ContainersPolicy(verb) => verb.run(out),
        }
    }
}

impl ContainersPolicy {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let engine = Engine::load(&self.policy, &Limits::default())?;
        let export = engine
            .containers_policy(&self.options(), Timestamp::now())
            .map_err(|unsaid| self.told(&unsaid))?;
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        for path in write_export(&self.output_dir, &export, existing)? {
            out.result(&path.display().to_string());
        }
        for remark in &export.stricter {
            out.note(&format!("stricter than the policy: {remark}"));
        }
        export.notes.iter().for_each(|note| out.note(&format!("note: {note}")));
        if let Some(until) = export.until {
            out.warning(&format!("good until {until}; export again before"));
        }
        Ok(Exit::Yes)
    }

    fn options(&self) -> Options {
        Options {
            dates: if self.snapshot { Dates::Snapshot } else { Dates::Refuse },
            subtrees: if self.widen_subtrees { Subtrees::Widen } else { Subtrees::Apart },
            default_docker: match self.default_docker {
                true => DefaultDocker::Write,
                false => DefaultDocker::Leave,
            },
        }
    }

    fn told(&self, unsaid: &[Unsaid]) -> Failure {
        let lines: Vec<_> = unsaid.iter().map(|one| format!("  {one}")).collect();
        let policy = self.policy.display();
        Failure::No(format!("policy.json cannot say what `{policy}` says\n{}", lines.join("\n")))
    }
}
