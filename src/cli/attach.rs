//! `ocisign attach`: put a bundle that was made elsewhere beside its image.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine;
use crate::limits::Limits;

/// Attach a signature bundle that was made elsewhere
///
/// For signing on a machine without the registry: `ocisign sign
/// --output-bundle` there, `ocisign attach` here. The bundle must be about
/// this image or a manifest in it; its signature is for `verify` to judge.
#[derive(Debug, Args)]
pub struct Attach {
    /// The image.
    image: String,
    /// The Sigstore bundle.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    name: NameArg,
}

impl Attach {
    /// Runs the verb.
    pub fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let image = self.access.open(&self.image, &self.name, &limits)?;
        let bundle = engine::read_file(&self.bundle, limits.envelope_bytes)?;
        let (subject, item) =
            engine::block_on(engine::attach(&image, &bundle, Timestamp::now(), &limits))?;
        out.result(&format!("attached to {subject}\n  {item}"));
        Ok(Exit::Yes)
    }
}
