//! `ocisign sign`: recompute, sign, attach.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::access::{AccessArgs, NameArg};
use super::exit::{Exit, Failure};
use super::key::KeyArg;
use super::output::Output;
use super::progress::Bar;
use super::verify::{annotations, pair};
use crate::engine::{self, Outcome, SignOptions};
use crate::evidence::Format;
use crate::limits::Limits;

/// Sign an image and attach the signature beside it
///
/// The tree is recomputed first: nothing is signed that was not hashed. A tag
/// is resolved once, and what it named then is signed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign sign --key me.key registry.example/app:v1\n  \
    ocisign sign --key me.key -a env=prod --as registry.example/app:v1 oci:layout:v1\n  \
    ocisign sign --key me.key --output-bundle app.sigstore.json oci:layout:v1\n  \
    ocisign sign --key lea.asc --format simple --lookaside sigs registry.example/app:v1\n\n\
    The password of an encrypted key is asked for, or taken from\n\
    OCISIGN_PASSWORD or COSIGN_PASSWORD.")]
pub(super) struct Sign {
    /// The image.
    image: String,
    #[command(flatten)]
    key: KeyArg,
    /// An annotation to sign, as KEY=VALUE.
    #[arg(short = 'a', long = "annotation", value_name = "K=V", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// Format of the signature.
    #[arg(long, value_enum, default_value_t = FormatArg::Sigstore)]
    format: FormatArg,
    /// Sign every manifest below an index too, each by itself.
    #[arg(long)]
    recursive: bool,
    /// Show what would be signed; make no signature, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write the bundle to a file and attach nothing (see `ocisign attach`).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recursive", "dry_run"])]
    output_bundle: Option<PathBuf>,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    name: NameArg,
}

/// Formats that ocisign writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FormatArg {
    /// Sigstore bundle v0.3, as a referrer (cosign 3).
    Sigstore,
    /// Simple-signing payload under a .sig tag (older cosign, podman, skopeo).
    Cosign,
    /// GPG simple signing in a lookaside store (podman, skopeo), with an
    /// OpenPGP key.
    Simple,
    /// A detached OpenPGP signature beside an ACI (`FILE.asc`, rkt).
    Appc,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Sigstore => Self::Sigstore,
            FormatArg::Cosign => Self::Cosign,
            FormatArg::Simple => Self::Simple,
            FormatArg::Appc => Self::Appc,
        }
    }
}

impl Sign {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let image = self.access.open(&self.image, &self.name, &limits, out)?;
        if self.output_bundle.is_some() && self.format != FormatArg::Sigstore {
            return Err(Failure::CouldNot(
                "`--output-bundle` writes Sigstore bundles only; leave `--format` out".to_owned(),
            ));
        }
        let key = self.key.signing(self.format.into(), &limits, out)?;
        let bar = Bar::new(out);
        let options = SignOptions {
            annotations: annotations(&self.annotation)?,
            format: self.format.into(),
            recursive: self.recursive,
            attach: !self.dry_run && self.output_bundle.is_none(),
            sign: !self.dry_run,
            created: Timestamp::now(),
        };
        let outcomes =
            engine::block_on(engine::sign(&image, key.as_signing(), &options, &limits, &bar))?;
        for outcome in &outcomes {
            self.tell(outcome, out)?;
        }
        Ok(Exit::Yes)
    }

    fn tell(&self, outcome: &Outcome, out: &Output) -> Result<(), Failure> {
        match outcome {
            Outcome::Attached { subject, item } => {
                out.result(&format!("signed {subject}\n  {item}"))
            }
            Outcome::AlreadyThere { subject, item } => {
                out.result(&format!("{subject} is signed so already\n  {item}"));
            }
            Outcome::WouldSign { subject, payload } => {
                out.result(&format!("would sign {subject}\n{payload}"));
            }
            Outcome::Signed { subject, bundle } => {
                let Some(path) = &self.output_bundle else { return Ok(()) };
                engine::write_new(path, bundle)?;
                out.result(&format!("signed {subject}\n  {}", path.display()));
            }
        }
        Ok(())
    }
}
