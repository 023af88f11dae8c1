//! `ocisign tree`: rebuild an image and recompute every digest.

use clap::Args;

use super::access::{AccessArgs, ExternalArg, NameArg};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Bar;
use super::verify::Form;
use crate::engine;
use crate::image::Depth;
use crate::limits::Limits;
use crate::report;

/// Rebuild an image's tree and recompute every digest in it
///
/// Exit codes: 0 every node is what its digest says; 1 one is not; 2 one
/// could not be read.
#[derive(Debug, Args)]
pub(super) struct Tree {
    /// The image.
    image: String,
    /// How deep to read.
    #[arg(long, value_enum, default_value_t = DepthArg::Layers)]
    depth: DepthArg,
    /// How to print the tree.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    external: ExternalArg,
    #[command(flatten)]
    name: NameArg,
}

/// How deep a tree is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DepthArg {
    /// Indexes, manifests and configs.
    Manifests,
    /// Also digest and size of every layer.
    Layers,
    /// Also every layer decompressed against rootfs.diff_ids.
    Contents,
}

impl From<DepthArg> for Depth {
    fn from(arg: DepthArg) -> Self {
        match arg {
            DepthArg::Manifests => Self::Manifests,
            DepthArg::Layers => Self::Layers,
            DepthArg::Contents => Self::Contents,
        }
    }
}

impl Tree {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let image = self.access.with(self.external).open(&self.image, &self.name, &limits, out)?;
        let bar = Bar::new(out);
        let depth = self.depth.into();
        let tree = engine::block_on(engine::read_tree(&image, depth, &limits, &bar))?;
        out.result(&match self.output {
            Form::Text => report::tree_text(tree.shape(), report::Style { colour: out.colour() }),
            Form::Json => report::tree_json(tree.shape()),
        });
        Ok(match engine::soundness(tree.shape()) {
            engine::Soundness::Sound => Exit::Yes,
            engine::Soundness::Broken(_) => Exit::No,
            engine::Soundness::Incomplete(_) => Exit::Undecided,
        })
    }
}
