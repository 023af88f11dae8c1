//! `ocisign signatures`: what is attached, none of it verified.

use clap::Args;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::verify::Form;
use crate::engine;
use crate::limits::Limits;
use crate::report;

/// List what is attached to an image, unverified
///
/// Anybody who may write to the registry can attach anything. Only `ocisign
/// verify` says what counts.
#[derive(Debug, Args)]
pub struct Signatures {
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
    pub fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let image = self.access.open(&self.image, &self.name, &limits)?;
        let listing = engine::block_on(engine::signatures(&image, &limits))?;
        out.result(&match self.output {
            Form::Text => report::listing_text(&listing),
            Form::Json => report::listing_json(&listing),
        });
        Ok(Exit::Yes)
    }
}
