//! Certificates for a registry and its clients, made for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A CA, a server certificate for 127.0.0.1 and localhost, a client's.
#[derive(Clone)]
pub struct Certificates {
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    /// The CA, PEM.
    pub ca: String,
    /// The client's certificate, PEM.
    pub client: String,
    /// The client's key, PEM.
    pub client_key: String,
    /// The server's certificate and key, PEM.
    pub server_pem: [String; 2],
    server: Arc<Pair>,
}

struct Pair {
    certificate: rustls_pki_types::CertificateDer<'static>,
    key: Vec<u8>,
    ca: rustls_pki_types::CertificateDer<'static>,
}

impl Certificates {
    /// Makes new ones; the CA is in nobody's store.
    pub fn generate() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "ocisign test CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self::issued_by(Arc::new(ca))
    }

    /// Other certificates of the same CA.
    pub fn renewed(&self) -> Self {
        Self::issued_by(Arc::clone(&self.issuer))
    }

    fn issued_by(ca: Arc<CertifiedIssuer<'static, KeyPair>>) -> Self {
        let issue = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let params = CertificateParams::new(names).unwrap();
            (params.signed_by(&key, &*ca).unwrap(), key)
        };
        let (server, server_key) = issue(&["127.0.0.1", "localhost"]);
        let (client, client_key) = issue(&["client"]);
        Self {
            ca: ca.pem(),
            client: client.pem(),
            client_key: client_key.serialize_pem(),
            server_pem: [server.pem(), server_key.serialize_pem()],
            server: Arc::new(Pair {
                certificate: server.der().clone(),
                key: server_key.serialize_der(),
                ca: ca.der().clone(),
            }),
            issuer: ca,
        }
    }

    /// What a server needs.
    pub fn server(&self, client_certificates: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(self.server.ca.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = self.server.key.clone().try_into().unwrap();
        Arc::new(builder.with_single_cert(vec![self.server.certificate.clone()], key).unwrap())
    }
}
