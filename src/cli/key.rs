//! `ocisign key`: make keys, and show what a key is.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::crypto::openpgp::SecretKey;
use crate::crypto::{KeyAlgorithm, KeyFormat, Password, PrivateKey, PublicKey, Signer};
use crate::engine::keys::{self, Secrets};
use crate::engine::{self, SigningKey};
use crate::evidence::Format;
use crate::limits::Limits;

/// Make a key pair, or show what a key is
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Generate(Generate),
    Show(Show),
}

/// Make a key pair: PREFIX.key, encrypted, and PREFIX.pub
#[derive(Debug, Args)]
#[command(after_help = "The password is asked for, or taken from OCISIGN_PASSWORD or\n\
    COSIGN_PASSWORD; a variable that is set and empty is the empty password.")]
struct Generate {
    /// Algorithm of the key.
    #[arg(long, value_enum, default_value_t = AlgorithmArg::EcdsaP256)]
    algorithm: AlgorithmArg,
    /// How the private key is written.
    #[arg(long, value_enum, default_value_t = FormatArg::Pkcs8)]
    format: FormatArg,
    /// Do not encrypt the private key.
    #[arg(long)]
    no_password: bool,
    /// Where to write: PREFIX.key and PREFIX.pub.
    #[arg(long, value_name = "PREFIX")]
    output: String,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
}

/// Show the algorithm, key id and public half of a key
#[derive(Debug, Args)]
struct Show {
    /// A public or private key: a file, env://NAME or a pkcs11: URI.
    key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AlgorithmArg {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl From<AlgorithmArg> for KeyAlgorithm {
    fn from(arg: AlgorithmArg) -> Self {
        match arg {
            AlgorithmArg::EcdsaP256 => Self::EcdsaP256,
            AlgorithmArg::EcdsaP384 => Self::EcdsaP384,
            AlgorithmArg::EcdsaP521 => Self::EcdsaP521,
            AlgorithmArg::Ed25519 => Self::Ed25519,
            AlgorithmArg::Rsa3072 => Self::Rsa { bits: 3072 },
            AlgorithmArg::Rsa4096 => Self::Rsa { bits: 4096 },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// PKCS#8, which openssl and cosign's import read.
    Pkcs8,
    /// cosign's own encrypted form.
    Cosign,
}

impl Key {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Generate(verb) => verb.run(out),
            Verb::Show(verb) => verb.run(out),
        }
    }
}

impl Generate {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let (private, public) = (
            PathBuf::from(format!("{}.key", self.output)),
            PathBuf::from(format!("{}.pub", self.output)),
        );
        keys::check_free(&[&private, &public], self.force).map_err(could_not)?;
        let password = self.password()?;
        let format = match self.format {
            FormatArg::Pkcs8 => KeyFormat::Pkcs8,
            FormatArg::Cosign => KeyFormat::Cosign,
        };
        let key = PrivateKey::generate(self.algorithm.into()).map_err(could_not)?;
        let text = key.to_pem(format, password.as_ref()).map_err(could_not)?;
        keys::write_private(&private, text.as_bytes(), self.force).map_err(could_not)?;
        keys::write_public(&public, key.public_key().to_pem().as_bytes(), self.force)
            .map_err(could_not)?;
        out.result(&format!(
            "{} key {}\n  {}\n  {}",
            key.algorithm(),
            key.public_key().id(),
            private.display(),
            public.display()
        ));
        Ok(Exit::Yes)
    }

    /// `None` is an unencrypted key, which PKCS#8 can be and cosign's form
    /// cannot.
    fn password(&self) -> Result<Option<Password>, Failure> {
        match (self.no_password, self.format) {
            (true, FormatArg::Pkcs8) => Ok(None),
            (true, FormatArg::Cosign) => Ok(Some(Password::from(String::new()))),
            (false, _) => {
                let mut ask = ask;
                let password = Secrets::of_process(&mut ask).new_password(&self.output);
                Ok(Some(password.map_err(could_not)?))
            }
        }
    }
}

impl Show {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let reference = keys::parse_reference(&self.key).map_err(could_not)?;
        let limits = Limits::default();
        let mut ask = ask;
        let mut secrets = Secrets::of_process(&mut ask);
        let key = match keys::load_verifier(&reference, &secrets, &limits) {
            Ok(public) => public,
            // not a public key: then what is shown is half of a secret
            Err(_) => {
                let key =
                    keys::load_public(&reference, &mut secrets, &limits).map_err(could_not)?;
                keys::exposure(&reference).iter().for_each(|warning| out.warning(warning));
                key
            }
        };
        out.result(&format!(
            "algorithm  {}\nkey id     {}\nhint       {}\n{}",
            key.algorithm(),
            key.id(),
            key.hint(),
            key.to_pem()
        ));
        Ok(Exit::Yes)
    }
}

/// The key that signs.
#[derive(Debug, Args)]
pub(super) struct KeyArg {
    /// The private key: a file, env://NAME or a pkcs11: URI; for the formats
    /// of OpenPGP an exported secret key, armoured or binary.
    #[arg(long, value_name = "KEY")]
    key: String,
}

/// A key that was read, of the kind that a format asks for.
pub(super) enum Signing {
    Key(Box<dyn Signer>),
    OpenPgp(Box<SecretKey>),
}

impl Signing {
    /// As the engine takes it.
    pub(super) fn as_signing(&self) -> SigningKey<'_> {
        match self {
            Self::Key(signer) => SigningKey::Key(signer.as_ref()),
            Self::OpenPgp(key) => SigningKey::OpenPgp(key),
        }
    }
}

impl KeyArg {
    /// Reads the key, asking for a password only where it needs one.
    pub(super) fn signing(
        &self,
        format: Format,
        limits: &Limits,
        out: &Output,
    ) -> Result<Signing, Failure> {
        let reference = keys::parse_reference(&self.key).map_err(could_not)?;
        if let Some(warning) = keys::exposure(&reference) {
            out.warning(&warning);
        }
        let mut ask = ask;
        let mut secrets = Secrets::of_process(&mut ask);
        match format {
            Format::Simple | Format::Appc => {
                let key = keys::load_openpgp(&reference, &mut secrets, limits);
                Ok(Signing::OpenPgp(Box::new(key.map_err(could_not)?)))
            }
            Format::Sigstore
            | Format::Cosign
            | Format::NotaryJws
            | Format::NotaryCose
            | Format::Libtrust => {
                let key = keys::load_signer(&reference, &mut secrets, limits);
                Ok(Signing::Key(key.map_err(could_not)?))
            }
        }
    }
}

/// The public key that `--key` of `verify` names.
pub(super) fn verifying_key(text: &str, limits: &Limits) -> Result<PublicKey, Failure> {
    let reference = keys::parse_reference(text).map_err(could_not)?;
    let mut ask = ask;
    keys::load_verifier(&reference, &Secrets::of_process(&mut ask), limits).map_err(could_not)
}

/// Asks on the terminal.
fn ask(prompt: &str) -> std::io::Result<String> {
    rpassword::prompt_password(prompt)
}

/// Keys are no answer about an image, whatever is wrong with them.
fn could_not(error: impl Into<keys::Error>) -> Failure {
    engine::Error::from(error.into()).into()
}
