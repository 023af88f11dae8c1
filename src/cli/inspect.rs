//! `ocisign inspect`: what something is, for people who have it in hand.

use clap::Args;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Bar;
use super::signatures;
use super::tree::DepthArg;
use super::verify::Form;
use crate::engine::{self, Ask, Inspection};
use crate::limits::Limits;
use crate::report::{self, Style, escaped};

/// Say what an image is, what its digest covers and who says to have signed it
///
/// Takes any image, and the path of a directory or archive, whose kind is
/// found out. Nothing here is a verdict: signatures are listed, not verified.
///
/// Exit codes: 0 it was read, whatever it is; 2 it could not be.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign inspect registry.example/app:v1\n  \
    ocisign inspect old.tar\n  \
    ocisign inspect --depth contents --output json app.aci")]
pub(super) struct Inspect {
    /// The image, or a directory or file.
    image: String,
    /// How deep to read.
    #[arg(long, value_enum, default_value_t = DepthArg::Manifests)]
    depth: DepthArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    name: NameArg,
}

impl Inspect {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let source = engine::guess_source(&self.image, &limits)?;
        let named = source.to_string();
        let image = self.access.open(&named, &self.name, &limits, out)?;
        let bar = Bar::new(out);
        let ask = Ask { depth: self.depth.into(), progress: &bar, ..Ask::default() };
        let found = engine::block_on(engine::inspect(&image, &named, &ask, &limits))?;
        out.result(&match self.output {
            Form::Text => text(&found, report::Style { colour: out.colour() }),
            Form::Json => {
                let value = serde_json::json!({ "version": "inspect/1", "inspection": found });
                serde_json::to_string_pretty(&value).unwrap_or_default()
            }
        });
        Ok(Exit::Yes)
    }
}

fn text(found: &Inspection, style: Style) -> String {
    let kind = match found.generation {
        Some(generation) => generation.name().to_owned(),
        None => format!("of no known kind (`{}`)", escaped(&found.media_type)),
    };
    let mut lines =
        vec![format!("{}  {kind}", escaped(&found.image)), format!("  digest   {}", found.digest)];
    lines.extend(found.addressed.map(|covers| format!("  covers   {}", covers.text())));
    lines.push(String::new());
    lines.push(report::tree_drawing(&found.tree, style));
    lines.push("signatures  (nothing below is verified)".to_owned());
    for entry in &found.signatures {
        lines.push(format!("  {}", escaped(&entry.item)));
        lines.extend(signatures::describe(entry).iter().map(|line| format!("    {line}")));
    }
    if found.signatures.is_empty() {
        lines.push("  none".to_owned());
    }
    let cut = found.incomplete.iter();
    lines.extend(cut.map(|why| format!("  not listed in full: {}", escaped(why))));
    if !found.needs.is_empty() {
        lines.push("to do".to_owned());
        lines.extend(found.needs.iter().map(|need| format!("  {}", escaped(need))));
    }
    lines.join("\n")
}
