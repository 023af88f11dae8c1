//! TLS as a client: ring's cryptography, TLS 1.2 and 1.3, the system's roots.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{ClientIdentity, RegistryOptions};

/// A configuration for connections that use TLS. Reads the system's roots,
/// which takes milliseconds and megabytes: call it for the first such
/// connection, not before.
///
/// # Errors
/// A text that says which certificate or key is unusable, and what to do.
pub(super) fn config(options: &RegistryOptions) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for (at, pem) in options.ca.iter().enumerate() {
        add_pem(&mut roots, pem)
            .map_err(|problem| format!("CA file {} {problem}; give certificates in PEM", at + 1))?;
    }
    let system = rustls_native_certs::load_native_certs();
    // Distributions ship roots that a strict parser refuses; the others stay useful.
    let _ = roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        return Err("the system has no root certificates; install them or give --ca".to_owned());
    }
    build(roots, options.client_identity.as_ref())
}

/// A configuration without a single root: for connections that use no TLS,
/// which the HTTP library wants one for all the same.
pub(super) fn unused() -> Result<ClientConfig, String> {
    build(RootCertStore::empty(), None)
}

fn build(roots: RootCertStore, identity: Option<&ClientIdentity>) -> Result<ClientConfig, String> {
    // The provider is named here and not installed for the process: a library
    // must not choose for its callers.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up ({error})"))?
        .with_root_certificates(roots);
    let Some(identity) = identity else { return Ok(config.with_no_client_auth()) };
    let chain = certificates(&identity.certificate)
        .map_err(|problem| format!("the client certificate {problem}; give it in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| {
        "the client key is no private key in PEM; give an unencrypted one".to_owned()
    })?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("the client certificate and key cannot be used ({error})"))
}

fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("has an unusable certificate ({error})"))?;
    }
    Ok(())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("holds no certificate".to_owned()),
        Err(_) => Err("is no PEM".to_owned()),
    }
}
