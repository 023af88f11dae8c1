//! TLS of the server: a certificate and key from files, replaced as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::Error;
use crate::engine::read_file;
use crate::limits::Limits;

/// The files that TLS is made of, each in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its intermediates, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who may ask for reviews: clients with a certificate of these CAs.
    pub client_ca: Option<PathBuf>,
}

/// A certificate and key that fit each other, ready to be used.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// What connections are made with.
    pub(super) config: Arc<ServerConfig>,
    /// When the first certificate of the chain ends.
    pub(super) expires: Timestamp,
    /// Since when the server's certificate holds.
    pub(super) begins: Timestamp,
}

impl TlsFiles {
    /// All that is read.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let client_ca = self.client_ca.as_deref();
        [Some(self.certificate.as_path()), Some(&self.key), client_ca]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Engine`] where a file cannot be read, [`Error::Tls`] where
    /// they hold something else or do not fit each other.
    pub(super) fn load(&self, limits: &Limits) -> Result<Identity, Error> {
        let chain = certificates(&self.certificate, limits)?;
        let (begins, expires) = validity(&chain, &self.certificate)?;
        let config = self.config(chain, limits)?;
        Ok(Identity { config: Arc::new(config), expires, begins })
    }

    fn config(
        &self,
        chain: Vec<CertificateDer<'static>>,
        limits: &Limits,
    ) -> Result<ServerConfig, Error> {
        let failed = |error: rustls::Error| Error::Tls(format!("TLS cannot be set up ({error})"));
        // named here and not installed for the process, as for the client
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots(path, limits)?),
                    provider,
                );
                // probes and scrapes have no certificate; a review needs one
                let verifier = verifier.allow_unauthenticated().build().map_err(|error| {
                    Error::Tls(format!("`{}` cannot be used ({error})", path.display()))
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        // checks that the key is the certificate's
        let mut config = builder
            .with_single_cert(chain, private_key(&self.key, limits)?)
            .map_err(|error| self.unfit(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // tickets cost no memory here, and end with the pair that gave them
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(failed)?;
        Ok(config)
    }

    fn unfit(&self, error: &rustls::Error) -> Error {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        Error::Tls(format!(
            "`{certificate}` and `{key}` cannot be used together ({error}); \
             give the private key of the first certificate"
        ))
    }
}

fn certificates(path: &Path, limits: &Limits) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read_file(path, limits.policy_bytes)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(Error::Tls(format!(
            "`{}` holds no certificate in PEM; give the server's certificate and its intermediates",
            path.display()
        ))),
    }
}

fn private_key(path: &Path, limits: &Limits) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = Zeroizing::new(read_file(path, limits.key_bytes)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        Error::Tls(format!(
            "`{}` holds no private key in PEM; give an unencrypted one",
            path.display()
        ))
    })
}

fn roots(path: &Path, limits: &Limits) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, limits)? {
        roots.add(certificate).map_err(|error| {
            Error::Tls(format!("`{}` has an unusable certificate ({error})", path.display()))
        })?;
    }
    Ok(roots)
}

/// Since when and until when all of a chain holds.
fn validity(chain: &[CertificateDer<'_>], path: &Path) -> Result<(Timestamp, Timestamp), Error> {
    let invalid = || {
        let path = path.display();
        Error::Tls(format!("`{path}` holds a certificate that is none; issue it anew"))
    };
    let (mut begins, mut expires) = (Timestamp::MIN, Timestamp::MAX);
    for certificate in chain {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| invalid())?;
        let instant = |at: x509_parser::time::ASN1Time| {
            Timestamp::from_second(at.timestamp()).map_err(|_| invalid())
        };
        begins = begins.max(instant(parsed.validity().not_before)?);
        expires = expires.min(instant(parsed.validity().not_after)?);
    }
    Ok((begins, expires))
}
