//! `ocisign verify`: the decision, with its reasons.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Bar;
use super::tree::DepthArg;
use crate::engine::{self, Ask, Engine, Shorthand};
use crate::image::Digest;
use crate::limits::Limits;
use crate::policy::{Decision, Verdict};
use crate::report;

/// Decide whether images may run, by a policy or by keys
///
/// The image's tree is rebuilt and every digest in it recomputed; the
/// signatures found beside it are checked; the policy decides.
///
/// Exit codes: 0 allow, 1 deny, 2 could not decide. With several images the
/// greatest code is the answer.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign verify --policy policies/release.json registry.example/app:v1\n  \
    ocisign verify --key me.pub -a env=prod registry.example/app:v1\n  \
    ocisign verify --policy p.json --as registry.example/app:v1 oci:layout:v1")]
pub(super) struct Verify {
    /// Images to decide on.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// The policy that decides.
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    policy: Option<PathBuf>,
    /// Without a policy: a public key; any one of several is enough.
    #[arg(long, value_name = "PUB", conflicts_with = "policy")]
    key: Vec<PathBuf>,
    /// With --key: an annotation that must be signed, as KEY=VALUE.
    #[arg(short = 'a', long = "annotation", value_name = "K=V", requires = "key", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// With --key: how the signed name must agree with the requested one.
    #[arg(long, value_name = "RULE", requires = "key", default_value = "none",
          value_parser = ["none", "repository", "exact", "exactOrDigest"])]
    reference: String,
    /// With --key: show the policy that it stands for, and stop.
    #[arg(long, requires = "key")]
    print_policy: bool,
    /// How deep the image is recomputed; the policy may ask for more.
    #[arg(long, value_enum, default_value_t = DepthArg::Layers)]
    depth: DepthArg,
    /// Judge as of this instant (RFC 3339), not now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// The index that was signed, where IMAGE names one of its children.
    #[arg(long, value_name = "DIGEST")]
    parent: Option<Digest>,
    /// How to print the verdict.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    name: NameArg,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Verify {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let engine = match &self.policy {
            Some(path) => Engine::load(path, &limits)?,
            None => {
                let text = self.shorthand(&limits)?;
                if self.print_policy {
                    out.result(&text);
                    return Ok(Exit::Yes);
                }
                Engine::from_text("--key", text.as_bytes(), std::path::Path::new("."), &limits)?
            }
        };
        let now = self.now.unwrap_or_else(Timestamp::now);
        let mut worst = Exit::Yes;
        for image in &self.images {
            let verdict = match self.check(&engine, image, now, out) {
                Ok(verdict) => verdict,
                Err(failure) if self.images.len() > 1 => {
                    out.error(&failure);
                    worst = worst.max(failure.exit());
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            worst = worst.max(exit(&verdict));
            out.result(&self.print(&verdict, out));
        }
        Ok(worst)
    }

    fn shorthand(&self, limits: &Limits) -> Result<String, Failure> {
        annotations(&self.annotation)?;
        Ok(engine::shorthand(
            &Shorthand {
                keys: &self.key,
                annotations: &self.annotation,
                reference: &self.reference,
            },
            limits,
        )?)
    }

    fn check(
        &self,
        engine: &Engine,
        text: &str,
        now: Timestamp,
        out: &Output,
    ) -> Result<Verdict, Failure> {
        let image = self.access.open(text, &self.name, engine.limits(), out)?;
        let bar = Bar::new(out);
        let ask = Ask { depth: self.depth.into(), parent: self.parent.clone(), progress: &bar };
        Ok(engine::block_on(engine.check(&image, &ask, now))?)
    }

    fn print(&self, verdict: &Verdict, out: &Output) -> String {
        match self.output {
            Form::Text => report::text(verdict, report::Style { colour: out.colour() }),
            Form::Json => report::json(verdict),
        }
    }
}

fn exit(verdict: &Verdict) -> Exit {
    match verdict.decision {
        Decision::Allow => Exit::Yes,
        Decision::Deny => Exit::No,
        Decision::Undecided => Exit::Undecided,
    }
}

/// The annotations by key. One key with two values would drop one of them.
pub(super) fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for (key, value) in pairs {
        if found.insert(key.clone(), value.clone()).is_some_and(|other| other != *value) {
            let why = format!("annotation `{key}` has two values; give one");
            return Err(Failure::CouldNot(why));
        }
    }
    Ok(found)
}

/// Parses `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_has_one_value() {
        let pairs = |texts: &[&str]| -> Vec<_> { texts.iter().map(|t| pair(t).unwrap()).collect() };
        let found = annotations(&pairs(&["a=1", "b=x=y", "a=1"])).unwrap();
        assert_eq!(found, [("a".into(), "1".into()), ("b".into(), "x=y".into())].into());
        let error = annotations(&pairs(&["a=1", "a=2"])).unwrap_err();
        assert!(error.to_string().contains("`a`"), "{error}");
        assert_eq!(error.exit(), Exit::Undecided);
    }
}
