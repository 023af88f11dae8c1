//! `ocisign completions` and `ocisign man`: text for shells and for man.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::exit::{Exit, Failure};
use super::output::Output;

/// Print completions for a shell
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        // written to memory first: clap panics where a write fails, and a
        // reader may close the pipe
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "ocisign", &mut script);
        out.result(&String::from_utf8_lossy(&script));
        Ok(Exit::Yes)
    }
}

/// Write the man pages into a directory
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The directory; it must exist.
    directory: PathBuf,
}

impl Man {
    /// Runs the verb.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        clap_mangen::generate_to(super::Cli::command(), &self.directory).map_err(|error| {
            Failure::CouldNot(format!("cannot write to `{}`: {error}", self.directory.display()))
        })?;
        Ok(Exit::Yes)
    }
}
