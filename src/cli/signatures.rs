//! `ocisign signatures`: what is attached, none of it verified.

use clap::Args;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::verify::Form;
use crate::engine::{self, Entry, Listing};
use crate::limits::Limits;
use crate::report::escaped;

/// List what is attached to an image, unverified
///
/// Anybody who may write to the registry can attach anything. Only `ocisign
/// verify` says what counts.
#[derive(Debug, Args)]
pub(super) struct Signatures {
    /// The image.
    image: String,
    /// How to print the list.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    name: NameArg,
}

impl Signatures {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let image = self.access.open(&self.image, &self.name, &limits, out)?;
        let listing = engine::block_on(engine::signatures(&image, &limits))?;
        out.result(&match self.output {
            Form::Text => text(&listing),
            Form::Json => {
                let value = serde_json::json!({ "version": "signatures/1", "listing": listing });
                serde_json::to_string_pretty(&value).unwrap_or_default()
            }
        });
        Ok(Exit::Yes)
    }
}

fn text(listing: &Listing) -> String {
    let mut lines = vec![format!("{}  (nothing below is verified)", listing.digest)];
    for entry in &listing.entries {
        lines.push(format!("  {}", escaped(&entry.item)));
        lines.extend(describe(entry).into_iter().map(|line| format!("    {line}")));
    }
    if listing.entries.is_empty() {
        lines.push("  nothing is attached".to_owned());
    }
    lines.extend(
        listing.incomplete.iter().map(|why| format!("  not listed in full: {}", escaped(why))),
    );
    lines.join("\n")
}

/// What an entry says of itself, line by line.
pub(super) fn describe(entry: &Entry) -> Vec<String> {
    let Some(says) = &entry.unverified else {
        return entry.unreadable.iter().map(|why| escaped(why)).collect();
    };
    let mut lines = vec![format!("format  {}", says.format.as_str())];
    lines.extend(says.hint.iter().map(|hint| format!("key     {}", escaped(hint))));
    lines.extend(says.predicate_type.iter().map(|kind| format!("type    {}", escaped(kind))));
    for subject in &says.subjects {
        lines.push(format!("subject {}", escaped(&subject.digests.join(" "))));
        lines.extend(subject.name.iter().map(|name| format!("name    {}", escaped(name))));
        let annotations = subject.annotations.iter();
        lines.extend(annotations.map(|(k, v)| format!("        {}={}", escaped(k), escaped(v))));
    }
    lines
}
