//! What a certificate is worth: judged as an API server will judge it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use zeroize::Zeroizing;

#[cfg(test)]
use super::issue::Issued;

/// Authorities kept beside the one in use. More pile up only where run after
/// run is cut off half-way.
const OTHERS: usize = 7;

/// A certificate with its key and the authorities that are to be trusted.
#[derive(Default)]
pub(super) struct Material {
    /// `ca.crt`, one certificate each, oldest first.
    pub(super) authorities: Vec<String>,
    /// `tls.crt`.
    pub(super) certificate: String,
    /// `tls.key`.
    pub(super) key: Zeroizing<String>,
}

/// What a certificate is worth at a given time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It serves every name, and this authority vouches for it.
    Holds {
        /// The authority, in PEM.
        authority: String,
    },
    /// It does not, and why.
    Fails(String),
}

impl Material {
    /// What was just made.
    #[cfg(test)]
    pub(super) fn of(issued: &Issued) -> Self {
        Self {
            authorities: vec![issued.authority.clone()],
            certificate: issued.certificate.clone(),
            key: issued.key.clone(),
        }
    }

    /// From the files of a Secret. What is no PEM is as if it was not there:
    /// it is replaced.
    pub(super) fn read(authorities: &[u8], certificate: &[u8], key: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            authorities: certificates(authorities),
            certificate: text(certificate),
            key: Zeroizing::new(text(key)),
        }
    }

    /// Whether there is anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.certificate.is_empty() && self.key.is_empty() && self.authorities.is_empty()
    }

    /// What it is worth at `at` for a server of these names.
    pub(super) fn standing(&self, names: &[String], at: Timestamp) -> Standing {
        match self.verify(names, at) {
            Ok(authority) => Standing::Holds { authority },
            Err(why) => Standing::Fails(why),
        }
    }

    /// The authority of a certificate that serves at least one of the names:
    /// somebody may be calling it by that one.
    pub(super) fn in_use(&self, names: &[String], at: Timestamp) -> Option<String> {
        names.iter().find_map(|name| self.verify(std::slice::from_ref(name), at).ok())
    }

    fn verify(&self, names: &[String], at: Timestamp) -> Result<String, String> {
        let provider = rustls::crypto::ring::default_provider();
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("tls.crt is no certificate in PEM ({error})"))?;
        let Some(leaf) = chain.first().cloned() else {
            return Err("there is no certificate yet".to_owned());
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| format!("tls.key is no private key in PEM ({error})"))?;
        CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| format!("tls.key is not the certificate's ({error})"))?;
        let provider = Arc::new(provider);
        let mut why = "ca.crt holds no authority".to_owned();
        for authority in self.authorities.iter().rev() {
            match vouches(authority, &leaf, names, at, &provider) {
                Ok(()) => return Ok(authority.clone()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// The authorities to trust beside a new one: the one in use, and the
    /// youngest of the others.
    pub(super) fn kept(&self, in_use: &str) -> Vec<String> {
        let surplus = self.authorities.len().saturating_sub(OTHERS);
        let all = self.authorities.iter().enumerate();
        all.filter(|(at, one)| *at >= surplus || *one == in_use)
            .map(|(_, one)| one.clone())
            .collect()
    }
}

fn vouches(
    authority: &str,
    leaf: &CertificateDer<'_>,
    names: &[String],
    at: Timestamp,
    provider: &Arc<CryptoProvider>,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(text)?;
    roots.add(root).map_err(text)?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(text)?;
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    for name in names {
        let server = ServerName::try_from(name.as_str()).map_err(text)?;
        verifier.verify_server_cert(leaf, &[], &server, &[], at).map_err(text)?;
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The certificates of a PEM text, each in its own; what is no certificate is
/// left out.
fn certificates(pem: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    String::from_utf8_lossy(pem)
        .split_inclusive(END)
        .filter_map(|part| part.find("-----BEGIN CERTIFICATE-----").and_then(|at| part.get(at..)))
        .filter(|part| CertificateDer::from_pem_slice(part.as_bytes()).is_ok())
        .map(|part| format!("{part}\n"))
        .collect()
}
