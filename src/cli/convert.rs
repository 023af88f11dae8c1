//! `ocisign convert`: an OCI image of what has no manifest.

use clap::Args;

use super::access::parse_source;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Bar;
use crate::engine;
use crate::image::Platform;
use crate::limits::Limits;
use crate::report::escaped;

/// Make an OCI image of an archive of Docker or of an appc image
///
/// For images that have no digest of their own (Docker v1) or are signed in
/// another way (appc): the OCI image can be signed, pushed and gated as any
/// other. The same source always becomes the same bytes, on every machine,
/// and the new image says in its annotations what it was made of.
///
/// A signature over the source says nothing about the new image: verify the
/// source first, then sign what was made of it.
///
/// Exit codes: 0 made; 1 the source is not sound; 2 could not make it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ocisign verify --key me.pub docker-archive:old.tar\n  \
    ocisign convert docker-archive:old.tar:app:v1 oci:new:v1\n  \
    ocisign sign --key me.key --as registry.example/app:v1 oci:new:v1")]
pub(super) struct Convert {
    /// The source: docker-archive:FILE[:NAME:TAG] or aci:FILE; of a path
    /// alone its content says which.
    #[arg(value_name = "SRC")]
    source: String,
    /// The new layout, oci:DIR[:TAG]; the directory must not exist.
    #[arg(value_name = "DST")]
    destination: String,
    /// What an appc image is for whose labels do not say: OS/ARCH[/VARIANT],
    /// as Go names them.
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    platform: Option<Platform>,
}

impl Convert {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let source = engine::guess_source(&self.source, &limits)?;
        let destination = parse_source(&self.destination)?;
        let bar = Bar::new(out);
        let made = engine::block_on(engine::convert(
            &source,
            &destination,
            self.platform.as_ref(),
            &limits,
            &bar,
        ))?;
        for lost in &made.lost {
            out.warning(&escaped(lost));
        }
        out.result(&format!("{}\n  made of {}", made.root.digest, made.source));
        Ok(Exit::Yes)
    }
}

fn platform(text: &str) -> Result<Platform, String> {
    let mut parts = text.splitn(3, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let (os, architecture, variant) = (next(), next(), next());
    let plain =
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'.' | b'-'));
    match (os, architecture) {
        (Some(os), Some(architecture)) if plain && !text.ends_with('/') => {
            Ok(Platform { architecture, os, variant, os_version: None })
        }
        _ => Err("write OS/ARCH or OS/ARCH/VARIANT, as in linux/amd64".to_owned()),
    }
}
