//! `ocisign copy`: an image with all that refers to it, every digest checked.

use clap::Args;

use super::access::{AccessArgs, ExternalArg, NameArg, parse_source};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine;
use crate::limits::Limits;
use crate::report::escaped;

/// Copy an image with its signatures, verifying every digest on the way
///
/// Between registries, layouts and archives: the road into a network without
/// a way out. Bytes stay as they are, so every signature stays good.
///
/// Exit codes: 0 copied; 1 a digest or size does not match; 2 could not copy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ocisign copy registry.example/app:v1 oci:airgap:v1\n  \
    ocisign copy oci:airgap:v1 registry.inside.example/app:v1")]
pub(super) struct Copy {
    /// The image.
    #[arg(value_name = "SRC")]
    source: String,
    /// Where to write it; a layout is made where there is none.
    #[arg(value_name = "DST")]
    destination: String,
    /// Leave signatures and other referrers behind.
    #[arg(long)]
    no_referrers: bool,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    external: ExternalArg,
    /// Taken so that one set of options fits every verb: a copy keeps the
    /// bytes, and with them every name that was signed.
    #[command(flatten)]
    _name: NameArg,
}

impl Copy {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let access = self.access.with(self.external).access(out);
        let (source, destination) = (parse_source(&self.source)?, parse_source(&self.destination)?);
        let copied = engine::block_on(engine::copy_image(
            &source,
            &destination,
            &access,
            !self.no_referrers,
            &limits,
        ))?;
        for skipped in &copied.skipped {
            out.warning(&format!(
                "{} was not copied: {}",
                skipped.digest,
                escaped(&skipped.reason)
            ));
        }
        for external in &copied.external {
            out.warning(&format!("{} lies elsewhere and was not copied", external.digest));
        }
        out.result(&format!(
            "{}\n  {} manifests, {} of them attached; {} blobs, {} bytes; {} blobs were there",
            copied.root.digest,
            copied.manifests,
            copied.attached,
            copied.blobs,
            copied.bytes,
            copied.present
        ));
        Ok(Exit::Yes)
    }
}
