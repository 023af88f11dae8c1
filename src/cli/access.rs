//! Options of every command that names an image.

use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::output::Output;
use crate::engine::{self, Access, Image};
use crate::image::{Reference, Source};
use crate::limits::Limits;
use crate::store::LookasideOptions;

/// How to reach the image, and the name that it goes by.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Speak plain HTTP to the registry (loopback addresses need no flag).
    #[arg(long)]
    plain_http: bool,
    /// Trust the certificates of this PEM file too, beside the system's roots.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate (PEM) to show to the registry.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Look for the images that an ACI depends on in this directory, or in
    /// this store of rkt; may be given several times.
    #[arg(long, value_name = "DIR")]
    dependencies: Vec<PathBuf>,
    /// Where GPG simple signatures lie: a folder, or an https address.
    #[arg(long, value_name = "DIR|URL")]
    lookaside: Option<String>,
    /// Configurations that say where they lie (registries.d); the user's or
    /// the system's without.
    #[arg(long, value_name = "DIR")]
    registries_d: Option<PathBuf>,
    /// Credentials: a docker config.json or podman auth.json.
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    #[arg(skip)]
    fetch_external: bool,
}

/// Whether to fetch what lies outside of the image's store.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ExternalArg {
    /// Fetch layers that the store does not have from the addresses in the
    /// image (`urls`): over HTTPS, without credentials.
    #[arg(long, help_heading = "Access")]
    fetch_external: bool,
}

/// The name for an image of a local source.
#[derive(Debug, Clone, Args)]
pub(super) struct NameArg {
    /// The name that policies match and signatures carry, for an image in a
    /// layout or archive; without a tag it takes the image's.
    #[arg(long = "as", value_name = "NAME", help_heading = "Access")]
    as_name: Option<String>,
}

impl NameArg {
    /// Whether a name is given.
    pub(super) fn is_given(&self) -> bool {
        self.as_name.is_some()
    }

    /// The name, as it is written: no tag is added to one without.
    pub(super) fn reference(&self) -> Result<Option<Reference>, Failure> {
        let parse = |name: &String| {
            Reference::parse_as_written(name).map_err(|e| Failure::CouldNot(e.to_string()))
        };
        self.as_name.as_ref().map(parse).transpose()
    }
}

impl AccessArgs {
    /// The same, with external layers fetched where that is asked for.
    pub(super) fn with(&self, external: ExternalArg) -> Self {
        Self { fetch_external: external.fetch_external, ..self.clone() }
    }

    /// As the engine takes it.
    pub(super) fn access(&self, out: &Output) -> Access {
        Access {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            client: self.client_cert.clone().zip(self.client_key.clone()),
            auth_file: self.auth_file.clone(),
            dependencies: self.dependencies.clone(),
            fetch_external: self.fetch_external,
            lookaside: self.lookaside(),
            notice: out.notices(),
        }
    }

    fn lookaside(&self) -> LookasideOptions {
        let base = self.lookaside.clone();
        match &self.registries_d {
            Some(folder) => LookasideOptions { base, registries_d: Some(folder.clone()) },
            None => LookasideOptions { base, ..LookasideOptions::from_environment() },
        }
    }

    /// Opens the image that `text` names.
    pub(super) fn open(
        &self,
        text: &str,
        name: &NameArg,
        limits: &Limits,
        out: &Output,
    ) -> Result<Image, Failure> {
        let source = parse_source(text)?;
        let name = name.reference()?;
        let access = self.access(out);
        let image = match &source {
            Source::AciName(aci) => engine::block_on(Image::find(aci, name, &access, limits))?,
            _ => Image::open(&source, name, &access, limits)?,
        };
        out.detail(&format!("{}: read from {}", image.reference(), image.store().place()));
        Ok(image)
    }
}

/// Parses the name of an image as a usage error.
pub(super) fn parse_source(text: &str) -> Result<Source, Failure> {
    Source::parse(text).map_err(|e| Failure::CouldNot(e.to_string()))
}
