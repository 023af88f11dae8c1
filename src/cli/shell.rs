//! `ocisign completions` and `ocisign man`: text for shells and for man.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::exit::{Exit, Failure};

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let mut command = super::Cli::command();
        clap_complete::generate(self.shell, &mut command, "ocisign", &mut std::io::stdout());
        Ok(Exit::Yes)
    }
}

/// Write the man pages into a directory
#[derive(Debug, Args)]
pub struct Man {
    /// The directory; it must exist.
    directory: PathBuf,
}

impl Man {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        clap_mangen::generate_to(super::Cli::command(), &self.directory).map_err(|error| {
            Failure::CouldNot(format!("cannot write to `{}`: {error}", self.directory.display()))
        })?;
        Ok(Exit::Yes)
    }
}
