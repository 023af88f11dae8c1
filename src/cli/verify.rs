//! `ocisign verify`: the decision, with its reasons.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use jiff::Timestamp;

use super::access::{AccessArgs, ExternalArg, NameArg, parse_source};
use super::exit::{Exit, Failure};
use super::key::verifying_key;
use super::output::Output;
use super::progress::Bar;
use super::tree::DepthArg;
use crate::engine::{self, Ask, Engine, Shorthand, TrustedKey};
use crate::image::{Digest, Source};
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
    ocisign verify --keyring lea.gpg aci:app.aci\n  \
    ocisign verify --policy p.json --as registry.example/app:v1 oci:layout:v1")]
#[command(group(ArgGroup::new("rules").required(true).args(["policy", "key", "keyring"])))]
pub(super) struct Verify {
    /// Images to decide on.
    #[arg(required_unless_present = "print_policy", value_name = "IMAGE")]
    images: Vec<String>,
    /// The policy that decides.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Without a policy: a public key (a file, env://NAME or a pkcs11: URI);
    /// any one of several is enough.
    #[arg(long, value_name = "PUB")]
    key: Vec<String>,
    /// Without a policy: a file of exported OpenPGP keys, for GPG simple
    /// signing and ACIs, or a folder of keys by the names of images
    /// (`ocisign trust`); any key of several is enough.
    #[arg(long, value_name = "FILE|DIR")]
    keyring: Vec<PathBuf>,
    /// With --key: an annotation that must be signed, as KEY=VALUE.
    #[arg(short = 'a', long = "annotation", value_name = "K=V", conflicts_with = "policy", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// With --key or --keyring: how the signed name must agree with the requested one.
    #[arg(long, value_name = "RULE", conflicts_with = "policy", default_value = "none",
          value_parser = ["none", "repository", "exact", "exactOrDigest"])]
    reference: String,
    /// With --key or --keyring: show the policy that it stands for, and stop.
    #[arg(long, conflicts_with = "policy")]
    print_policy: bool,
    /// How deep the image is recomputed; the policy may ask for more.
    #[arg(long, value_enum, default_value_t = DepthArg::Layers)]
    depth: DepthArg,
    /// Judge as of this instant (RFC 3339), not now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
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
    external: ExternalArg,
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
        if self.print_policy {
            let texts = self.images.iter().map(|image| self.shorthand(image, &limits));
            let mut texts = texts.collect::<Result<Vec<_>, _>>()?;
            // the same for all, but where keys go by names
            texts.dedup();
            texts.iter().for_each(|text| out.result(text));
            return Ok(Exit::Yes);
        }
        if self.images.len() > 1 && self.name.is_given() {
            return Err(Failure::CouldNot(
                "`--as` names one image; verify the others by themselves".to_owned(),
            ));
        }
        // one for all, but where keys go by names
        let shared = match (&self.policy, self.images.first()) {
            (Some(path), _) => Some(Engine::load(path, &limits)?),
            (None, Some(image)) if !self.keyring.iter().any(|path| path.is_dir()) => {
                Some(self.by_keys(image, &limits)?)
            }
            (None, _) => None,
        };
        let now = self.now.unwrap_or_else(this_second);
        let mut worst = Exit::Yes;
        for image in &self.images {
            let checked = match &shared {
                Some(engine) => self.check(engine, image, now, out),
                None => {
                    self.by_keys(image, &limits).and_then(|own| self.check(&own, image, now, out))
                }
            };
            let verdict = match checked {
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

    /// What the keys on the command line stand for, for one image.
    fn by_keys(&self, image: &str, limits: &Limits) -> Result<Engine, Failure> {
        let text = self.shorthand(image, limits)?;
        Ok(Engine::from_text("--key", text.as_bytes(), std::path::Path::new("."), limits)?)
    }

    fn shorthand(&self, image: &str, limits: &Limits) -> Result<String, Failure> {
        let keys = self.key.iter().map(|key| verifying_key(key, limits));
        let (folders, files): (Vec<_>, Vec<_>) =
            self.keyring.iter().cloned().partition(|path| path.is_dir());
        let trusted = match folders.is_empty() {
            true => Vec::new(),
            false => self.trusted(&folders, image, limits)?,
        };
        if trusted.is_empty() && files.is_empty() && self.key.is_empty() {
            return Err(Failure::CouldNot(format!(
                "no key is trusted for `{image}` by its name (give one with --as, where it has \
                 none); see `ocisign trust list`, add one with `ocisign trust add`"
            )));
        }
        Ok(engine::shorthand(&Shorthand {
            keys: &keys.collect::<Result<Vec<_>, _>>()?,
            keyrings: &files,
            trusted: &trusted,
            annotations: &annotations(&self.annotation)?,
            reference: &self.reference,
        }))
    }

    /// The keys of the folders that are trusted for the name by which the
    /// image is asked for: never for the one that it gives itself.
    fn trusted(
        &self,
        folders: &[PathBuf],
        image: &str,
        limits: &Limits,
    ) -> Result<Vec<TrustedKey>, Failure> {
        let name = match (self.name.reference()?, parse_source(image)?) {
            (Some(name), _) | (None, Source::Registry(name)) => Some(name.repository().to_string()),
            (None, Source::AciName(name)) => Some(name.name().to_owned()),
            (None, _) => None,
        };
        Ok(engine::trusted_keys(folders, name.as_deref(), limits)?)
    }

    fn check(
        &self,
        engine: &Engine,
        text: &str,
        now: Timestamp,
        out: &Output,
    ) -> Result<Verdict, Failure> {
        let image = self.access.with(self.external).open(text, &self.name, engine.limits(), out)?;
        let bar = Bar::new(out);
        let ask = Ask {
            depth: self.depth.into(),
            parent: self.parent.clone(),
            progress: &bar,
            ..Ask::default()
        };
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

/// Parses `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write a name, `=` and what belongs to it".to_owned()),
    }
}

/// Annotations by key. One key with two values is a mistake: to take either
/// would sign, or ask for, something that was not meant.
pub(super) fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut annotations = BTreeMap::new();
    for (key, value) in pairs {
        if annotations.insert(key.clone(), value.clone()).is_some_and(|other| other != *value) {
            return Err(Failure::CouldNot(format!(
                "the annotation `{key}` is given with two values; give each key once"
            )));
        }
    }
    Ok(annotations)
}

/// Now, to the second: no time in a policy is finer, so nothing is lost.
fn this_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Parses an instant.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "no instant of RFC 3339; write it as 2026-11-23T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn refused(line: &str) -> String {
        let error = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
        assert!(error.use_stderr(), "{line}");
        error.to_string()
    }

    #[test]
    fn a_policy_is_not_tightened_by_options_that_it_would_not_heed() {
        for option in ["-a env=prod", "--reference exact", "--print-policy", "--key k.pub"] {
            let said = refused(&format!("ocisign verify --policy p.json {option} oci:dir"));
            assert!(said.contains("cannot be used with"), "{option}: {said}");
        }
        let said = refused("ocisign verify oci:dir");
        assert!(said.contains("--policy") && said.contains("--key"), "{said}");
    }

    #[test]
    fn one_annotation_has_one_value() {
        let pairs = |texts: &[&str]| texts.iter().map(|t| pair(t).unwrap()).collect::<Vec<_>>();
        assert_eq!(annotations(&pairs(&["a=1", "b=2", "a=1"])).unwrap().len(), 2);
        let error = annotations(&pairs(&["a=1", "b=2", "a=2"])).unwrap_err();
        assert_eq!(error.exit(), Exit::Undecided);
        assert!(error.to_string().contains("`a`"), "{error}");
        assert!(pair("=x").is_err() && pair("x").is_err());
    }

    #[test]
    fn a_wrong_instant_is_answered_with_a_right_one() {
        for text in ["yesterday", "2026-13-01T00:00:00Z", "2026-12-01"] {
            assert!(instant(text).unwrap_err().ends_with("2026-11-23T08:00:00Z"));
        }
    }
}
