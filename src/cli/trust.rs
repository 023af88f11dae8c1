//! `ocisign trust`: OpenPGP keys that are trusted for images by their names.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::access::AccessArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::engine::{self, TrustScope};
use crate::limits::Limits;
use crate::report::escaped;

/// What it teaches.
const ABOUT: &str = "\
Keep OpenPGP keys by the names of the images that they are trusted for.

A folder of keys is laid out as rkt's trusted keys: root.d/FINGERPRINT for every image,
prefix.d/NAME/FINGERPRINT for the image NAME and those below it. `ocisign verify --keyring DIR`
reads it. Nothing else is ever trusted: what a web server offers as a key of an image is
shown, and written only with the fingerprint that you give.";

/// Keep OpenPGP keys by the names of the images that they are trusted for
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub(super) struct Trust {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Which folder, and for which images.
#[derive(Debug, Args)]
struct Place {
    /// The folder of keys.
    #[arg(long, value_name = "DIR")]
    keyring: PathBuf,
    /// The image of this name and those below it, as in example.com/app.
    #[arg(long, value_name = "NAME", required_unless_present = "root", conflicts_with = "root")]
    prefix: Option<String>,
    /// Every image.
    #[arg(long)]
    root: bool,
}

impl Place {
    fn scope(&self) -> Result<TrustScope, Failure> {
        match &self.prefix {
            Some(name) => Ok(TrustScope::prefix(name)?),
            None => Ok(TrustScope::Root),
        }
    }
}

/// Trust a key for an image, or for every one
///
/// Exit codes: 0 added; 1 it is not the key of the fingerprint, or none; 2 could not add it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ocisign trust add --keyring keys --prefix example.com/app lea.asc\n  \
    ocisign trust add --keyring keys --prefix example.com/app --fingerprint 5CF0…\n  \
    ocisign verify --keyring keys --as example.com/app aci:app.aci")]
struct Add {
    #[command(flatten)]
    place: Place,
    /// The fingerprint that the key must have, from where you trust it.
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    /// The exported public key, armoured or not; without one, ask the web
    /// server of the prefix which keys it offers.
    #[arg(value_name = "FILE", required_if_eq("root", "true"))]
    file: Option<PathBuf>,
    #[command(flatten)]
    access: AccessArgs,
}

/// List the keys of a folder, and for which images each is trusted
///
/// Exit codes: 0 listed; 1 a file is no key, or another than its name says; 2 could not read.
#[derive(Debug, Args)]
struct List {
    /// The folder of keys.
    #[arg(long, value_name = "DIR")]
    keyring: PathBuf,
    /// Only those that are trusted for this image.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Trust a key no longer
///
/// Exit codes: 0 removed; 2 it is not there, or could not be removed.
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    place: Place,
    /// Leave an empty file in its place, which takes the key away from the
    /// folders that are given before this one too.
    #[arg(long)]
    mask: bool,
    /// The whole fingerprint.
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
}

impl Trust {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        match &self.verb {
            Verb::Add(verb) => verb.run(out, &limits),
            Verb::List(verb) => verb.run(out, &limits),
            Verb::Remove(verb) => verb.run(out),
        }
    }
}

impl Add {
    fn run(&self, out: &Output, limits: &Limits) -> Result<Exit, Failure> {
        let scope = self.place.scope()?;
        let bytes = match &self.file {
            Some(file) => engine::read_file(file, limits.keyring_bytes)?,
            None => self.offered(out, limits)?,
        };
        let fingerprint = self.fingerprint.as_deref();
        let key = engine::trust_key(&self.place.keyring, &scope, &bytes, fingerprint, limits)?;
        out.result(&format!("{} is trusted for {}", key.fingerprint, key.scope));
        out.detail(&format!("written to {}", key.path.display()));
        Ok(Exit::Yes)
    }
}

impl Add {
    /// The key of the fingerprint, among those that the web server of the
    /// prefix offers. Without a fingerprint they are only shown: who has the
    /// domain today is no reason to believe what runs tomorrow.
    fn offered(&self, out: &Output, limits: &Limits) -> Result<Vec<u8>, Failure> {
        let name = self.place.prefix.as_deref().unwrap_or_default();
        TrustScope::prefix(name)?;
        let access = self.access.access(out);
        let offered = engine::block_on(engine::offered_keys(name, &access, limits))?;
        let asked = self.fingerprint.as_deref();
        let found = offered.iter().find(|key| {
            asked.is_some_and(|asked| engine::same_fingerprint(asked, &key.fingerprint))
        });
        if let Some(key) = found {
            return Ok(key.bytes.clone());
        }
        for key in &offered {
            out.result(&format!("{}  offered by {}", key.fingerprint, escaped(&key.address)));
        }
        Err(Failure::CouldNot(match asked {
            Some(_) => "none of the keys that are offered has that fingerprint".to_owned(),
            None => "nothing is trusted yet: compare a fingerprint with one from elsewhere, and \
                     give it with --fingerprint"
                .to_owned(),
        }))
    }
}

impl List {
    fn run(&self, out: &Output, limits: &Limits) -> Result<Exit, Failure> {
        let keys = match &self.name {
            Some(name) => {
                // a name that is none would be told that nothing is trusted
                TrustScope::prefix(name)?;
                engine::trusted_keys(std::slice::from_ref(&self.keyring), Some(name), limits)?
            }
            None => engine::list_keys(&self.keyring, limits)?,
        };
        for key in keys {
            let masks = if key.masks { "  (not trusted: the file is empty)" } else { "" };
            out.result(&format!("{}  {}{masks}", key.fingerprint, key.scope));
        }
        Ok(Exit::Yes)
    }
}

impl Remove {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let Place { keyring, .. } = &self.place;
        let scope = self.place.scope()?;
        let path = engine::distrust_key(keyring, &scope, &self.fingerprint, self.mask)?;
        let done = if self.mask { "is masked" } else { "is removed" };
        out.result(&format!("{} {done}", path.display()));
        Ok(Exit::Yes)
    }
}
