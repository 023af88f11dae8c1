//! Options of every command that names an image.

use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use crate::engine::{Access, Image};
use crate::image::{Reference, Source};
use crate::limits::Limits;

/// How to reach the image, and the name that it goes by.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
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
    /// Credentials: a docker config.json or podman auth.json.
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
}

/// The name for an image of a local source.
#[derive(Debug, Clone, Args)]
pub struct NameArg {
    /// The name that policies match and signatures carry, for an image in a
    /// layout or archive.
    #[arg(long = "as", value_name = "NAME", help_heading = "Access")]
    as_name: Option<String>,
}

impl AccessArgs {
    /// As the engine takes it.
    pub fn access(&self) -> Access {
        Access {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            client: self.client_cert.clone().zip(self.client_key.clone()),
            auth_file: self.auth_file.clone(),
        }
    }

    /// Opens the image that `text` names.
    pub fn open(&self, text: &str, name: &NameArg, limits: &Limits) -> Result<Image, Failure> {
        let source = parse_source(text)?;
        let name = match &name.as_name {
            Some(name) => {
                Some(name.parse::<Reference>().map_err(|e| Failure::CouldNot(e.to_string()))?)
            }
            None => None,
        };
        Ok(Image::open(&source, name, &self.access(), limits)?)
    }
}

/// Parses the name of an image as a usage error.
pub fn parse_source(text: &str) -> Result<Source, Failure> {
    Source::parse(text).map_err(|e| Failure::CouldNot(e.to_string()))
}
