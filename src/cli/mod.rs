//! The command line: one file per verb, no logic of its own.
//!
//! Exit codes, everywhere: 0 done or allow; 1 the answer is no (deny, a
//! digest or size that does not match, an invalid policy or bundle); 2 could
//! not do or decide.

mod access;
mod attach;
#[cfg(feature = "webhook")]
mod audit;
mod blob;
#[cfg(feature = "webhook")]
mod certificate;
#[cfg(feature = "webhook")]
mod cluster;
mod containerd;
mod convert;
mod copy;
mod exit;
mod export;
mod inspect;
mod key;
mod output;
mod policy;
mod progress;
#[cfg(feature = "webhook")]
mod pull_secrets;
#[cfg(feature = "webhook")]
mod serve;
mod shell;
mod sign;
mod signatures;
mod tree;
mod trust;
mod verify;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// What `--help` says of the names of images; square brackets would be links
/// in a doc comment.
const ABOUT: &str = "\
Sign container images, and decide by policy whether an image may run.

An IMAGE is one of
  registry/repo[:tag][@digest]   an image in a registry (also docker://…)
  oci:DIR[:TAG][@DIGEST]         an image in an OCI layout
  oci-archive:FILE[:TAG]         an image in a tar of an OCI layout
  docker-archive:FILE[:NAME:TAG] what `docker save` writes
  aci:FILE                       an appc image
  aci:NAME[:VERSION][,LABEL=…]   an appc image, found by its name over HTTPS

Exit codes: 0 done, or allow; 1 the answer is no; 2 could not do or decide.";

/// Sign container images, and decide by policy whether an image may run.
#[derive(Debug, Parser)]
#[command(name = "ocisign", version, long_about = ABOUT, max_term_width = 100)]
#[command(after_help = "Start with: ocisign key generate --output me\n            \
    ocisign sign --key me.key IMAGE\n            ocisign verify --key me.pub IMAGE")]
pub struct Cli {
    /// Say only what was asked for, and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 900)]
    quiet: bool,
    /// Say what is read and from where.
    #[arg(short, long, global = true, display_order = 900)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Verify),
    Sign(sign::Sign),
    Attach(attach::Attach),
    Signatures(signatures::Signatures),
    Tree(tree::Tree),
    Inspect(inspect::Inspect),
    Copy(copy::Copy),
    Convert(convert::Convert),
    Blob(blob::Blob),
    Key(key::Key),
    Trust(trust::Trust),
    Policy(policy::Policy),
    #[cfg(feature = "webhook")]
    Audit(audit::Audit),
    #[cfg(feature = "webhook")]
    Serve(serve::Serve),
    #[cfg(feature = "webhook")]
    Certificate(certificate::Certificate),
    Containerd(containerd::Containerd),
    #[command(name = containerd::VERIFIER)]
    ContainerdVerifier(containerd::ContainerdVerifier),
    Export(export::Export),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs one command line and says how it ended.
pub fn run() -> Exit {
    if let Some(exit) = containerd::as_plugin() {
        return exit;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let out = output::Output::new(cli.quiet, cli.verbose);
    let result = match cli.command {
        Command::Verify(verb) => verb.run(&out),
        Command::Sign(verb) => verb.run(&out),
        Command::Attach(verb) => verb.run(&out),
        Command::Signatures(verb) => verb.run(&out),
        Command::Tree(verb) => verb.run(&out),
        Command::Inspect(verb) => verb.run(&out),
        Command::Copy(verb) => verb.run(&out),
        Command::Convert(verb) => verb.run(&out),
        Command::Blob(verb) => verb.run(&out),
        Command::Key(verb) => verb.run(&out),
        Command::Trust(verb) => verb.run(&out),
        Command::Policy(verb) => verb.run(&out),
        #[cfg(feature = "webhook")]
        Command::Audit(verb) => verb.run(&out),
        #[cfg(feature = "webhook")]
        Command::Certificate(verb) => verb.run(&out),
        #[cfg(feature = "webhook")]
        Command::Serve(verb) => verb.run(&out),
        Command::Containerd(verb) => verb.run(&out),
        Command::ContainerdVerifier(verb) => verb.run(),
        Command::Export(verb) => verb.run(&out),
        Command::Completions(verb) => verb.run(&out),
        Command::Man(verb) => verb.run(),
    };
    let exit = result.unwrap_or_else(|error| {
        out.error(&error);
        error.exit()
    });
    if out.lost() { Exit::Undecided } else { exit }
}
