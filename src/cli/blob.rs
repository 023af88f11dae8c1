//! `ocisign blob`: release artifacts that are no images.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::exit::{Exit, Failure};
use super::key::{KeyArg, Signing, verifying_key};
use super::output::Output;
use super::verify::Form;
use crate::engine::blob::{self, Expected, ProvenSigner, Verified};
use crate::engine::{read_file, write_new};
use crate::evidence::Format;
use crate::limits::Limits;
use crate::report::escaped;

/// Sign and verify files that are no images, with Sigstore bundles
#[derive(Debug, Args)]
pub(super) struct Blob {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Sign(Sign),
    Verify(Verify),
}

/// Sign a file and write a bundle beside it
///
/// The bundle is what `cosign verify-blob --bundle` reads. The file is read once; nothing is
/// sent anywhere.
///
/// Exit codes: 0 signed; 2 could not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ocisign blob sign --key me.key app.tar           # app.tar.sigstore.json\n\n\
    The password of an encrypted key is asked for, or taken from\n\
    OCISIGN_PASSWORD or COSIGN_PASSWORD.")]
struct Sign {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    key: KeyArg,
    /// Where to write the bundle, in place of FILE.sigstore.json.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

/// What it teaches.
const ABOUT: &str = "\
Verify a file by the Sigstore bundle that came with it.

With --certificate-identity the bundle must hold in full: a certificate of the trusted root in
exactly that name, for which exactly that issuer vouched; an entry in a log of the root, bound to
this file and this signature; a trusted time at which the certificate held. With --key the key
must have signed; with --trusted-root too, a log of it must have an entry. Nothing is fetched.

Exit codes: 0 it holds; 1 it does not; 2 something could not be read.";

/// Verify a file by its bundle
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
#[command(after_help = "Examples:\n  \
    ocisign blob verify --key me.pub --bundle app.tar.sigstore.json app.tar\n  \
    ocisign blob verify --certificate-identity lea@example.com \
    --certificate-oidc-issuer https://accounts.example.com --bundle app.tar.sigstore.json app.tar")]
#[command(group(ArgGroup::new("by").required(true).args(["key", "certificate_identity"])))]
struct Verify {
    /// The file, or its digest as sha256:HEX.
    #[arg(value_name = "FILE|sha256:HEX")]
    blob: String,
    /// The Sigstore bundle.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// The public key that must have signed (a file, env://NAME or a pkcs11: URI).
    #[arg(long, value_name = "PUB")]
    key: Option<String>,
    /// In whose name the certificate must be: an e-mail address or the
    /// address of a workload, all of it.
    #[arg(long, value_name = "NAME", requires = "certificate_oidc_issuer")]
    certificate_identity: Option<String>,
    /// Who must have vouched for that name, all of it.
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// Whom to believe about certificates, logs and times: a
    /// trusted_root.json. Without it, for certificates, Sigstore's public
    /// deployment.
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

impl Blob {
    /// Runs the verb.
    pub(super) fn run(&self, out: &Output) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Sign(sign) => sign.run(out),
            Verb::Verify(verify) => verify.run(out),
        }
    }
}

impl Sign {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let bundle = self.bundle.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".sigstore.json");
            name.into()
        });
        let Signing::Key(key) = self.key.signing(Format::Sigstore, &limits, out)? else {
            return Err(Failure::CouldNot("an OpenPGP key signs no bundles".to_owned()));
        };
        let (digest, bytes) = blob::sign_blob(&self.file, key.as_ref(), &limits)?;
        write_new(&bundle, &bytes)?;
        out.result(&format!("signed {digest}\n  {}", bundle.display()));
        Ok(Exit::Yes)
    }
}

impl Verify {
    fn run(&self, out: &Output) -> Result<Exit, Failure> {
        let limits = Limits::default();
        let expected = self.expected(&limits)?;
        let root = match (&expected, &self.trusted_root) {
            (Expected::Key(_), None) => None,
            (_, path) => Some(blob::trusted_root(path.as_deref(), &limits)?),
        };
        let bundle = read_file(&self.bundle, limits.envelope_bytes)?;
        let blob = blob::Blob::parse(&self.blob)?;
        match blob::verify_blob(&blob, &bundle, &expected, root.as_ref(), &limits)? {
            Ok(verified) => {
                out.result(&match self.output {
                    Form::Text => text(&self.blob, &verified),
                    Form::Json => json(&verified),
                });
                Ok(Exit::Yes)
            }
            Err(denial) => {
                Err(Failure::No(format!("{}: {}", self.blob, escaped(&denial.to_string()))))
            }
        }
    }

    fn expected(&self, limits: &Limits) -> Result<Expected, Failure> {
        match (&self.key, &self.certificate_identity, &self.certificate_oidc_issuer) {
            (Some(key), _, _) => Ok(Expected::Key(Box::new(verifying_key(key, limits)?))),
            (None, Some(identity), Some(issuer)) => {
                Ok(Expected::Identity { identity: identity.clone(), issuer: issuer.clone() })
            }
            (None, ..) => Err(Failure::CouldNot("say who must have signed".to_owned())),
        }
    }
}

fn text(named: &str, verified: &Verified) -> String {
    let mut lines = vec![format!("verified {named}"), format!("  digest  {}", verified.digest)];
    match &verified.proof.signer {
        ProvenSigner::Key(key) => lines.push(format!("  key     {key}")),
        ProvenSigner::Certificate(certificate) => {
            lines.extend(
                certificate.names.iter().map(|n| format!("  signer  {}", escaped(n.as_str()))),
            );
            lines.extend(certificate.issuer.iter().map(|i| format!("  issuer  {}", escaped(i))));
        }
    }
    lines.extend(verified.proof.times.first().map(|at| format!("  signed  not later than {at}")));
    lines.push(match verified.logged {
        true => "  log     an entry of the trusted root's logs".to_owned(),
        false => "  log     not asked; name a --trusted-root".to_owned(),
    });
    lines.join("\n")
}

fn json(verified: &Verified) -> String {
    let signer = match &verified.proof.signer {
        ProvenSigner::Key(key) => serde_json::json!({ "key": key.to_string() }),
        ProvenSigner::Certificate(certificate) => serde_json::json!({
            "names": certificate.names.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "issuer": certificate.issuer,
            "claims": certificate.claims,
        }),
    };
    let value = serde_json::json!({
        "version": "blob/1",
        "digest": verified.digest.to_string(),
        "signer": signer,
        "times": verified.proof.times.iter().map(|at| at.to_string()).collect::<Vec<_>>(),
        "logged": verified.logged,
    });
    serde_json::to_string_pretty(&value).unwrap_or_default()
}
