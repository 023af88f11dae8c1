//! TLS: whom the client believes, and what it says when it does not.

use super::*;
use crate::common::registry::{Certificates, Options};
use ocisign::store::registry::ClientIdentity;

fn start(certificates: &Certificates, client_certificates: bool) -> Registry {
    let tls = Some(certificates.clone());
    let registry = Registry::start(Options { tls, client_certificates, ..Options::default() });
    registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    registry
}

fn trusting(certificates: &Certificates) -> RegistryOptions {
    RegistryOptions { ca: vec![certificates.ca.clone().into_bytes()], ..options() }
}

fn identity(certificates: &Certificates) -> Option<ClientIdentity> {
    Some(ClientIdentity {
        certificate: certificates.client.clone().into_bytes(),
        key: certificates.client_key.clone().into_bytes().into(),
    })
}

#[tokio::test]
async fn a_private_ca_is_trusted_when_given() {
    let certificates = Certificates::generate();
    let registry = start(&certificates, false);
    let store = open_with(&registry, "app", trusting(&certificates));
    assert_eq!(pull_tag(&store, "v1").await.unwrap(), b"{}");
    let localhost = registry.host().replace("127.0.0.1", "localhost") + "/app";
    let store =
        registry::Registry::open(&localhost.parse().unwrap(), trusting(&certificates)).unwrap();
    assert_eq!(pull_tag(&store, "v1").await.unwrap(), b"{}");
}

#[tokio::test]
async fn another_ca_is_not_and_the_answer_says_what_to_do() {
    let registry = start(&Certificates::generate(), false);
    let store = open_with(&registry, "app", trusting(&Certificates::generate()));
    let error = pull_tag(&store, "v1").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }));
    assert!(error.to_string().contains("--ca"), "{error}");
    assert_eq!(registry.requests().len(), 0);
}

#[tokio::test]
async fn a_registry_without_tls_is_named_as_such() {
    let registry = Registry::start(Options::default());
    let store = open_with(&registry, "app", trusting(&Certificates::generate()));
    let error = pull_tag(&store, "v1").await.unwrap_err();
    assert!(error.to_string().contains("--plain-http"), "{error}");
    let plain = RegistryOptions { plain_http: true, ..trusting(&Certificates::generate()) };
    registry.put_manifest("app", Some("v1"), media_type::OCI_MANIFEST, b"{}");
    assert!(pull_tag(&open_with(&registry, "app", plain), "v1").await.is_ok());
}

#[tokio::test]
async fn a_client_certificate_opens_what_asks_for_one() {
    let certificates = Certificates::generate();
    let registry = start(&certificates, true);
    let options =
        RegistryOptions { client_identity: identity(&certificates), ..trusting(&certificates) };
    assert!(pull_tag(&open_with(&registry, "app", options), "v1").await.is_ok());
    let without = open_with(&registry, "app", trusting(&certificates));
    assert!(matches!(pull_tag(&without, "v1").await, Err(StoreError::Unreachable { .. })));
    let stranger = identity(&Certificates::generate());
    let options = RegistryOptions { client_identity: stranger, ..trusting(&certificates) };
    assert!(pull_tag(&open_with(&registry, "app", options), "v1").await.is_err());
}

#[tokio::test]
async fn unusable_certificates_are_named() {
    let certificates = Certificates::generate();
    let registry = start(&certificates, false);
    let key = certificates.client_key.clone().into_bytes();
    for (options, part) in [
        (RegistryOptions { ca: vec![b"nonsense".to_vec()], ..options() }, "CA file 1"),
        (RegistryOptions { ca: vec![key.clone()], ..options() }, "CA file 1"),
        (
            RegistryOptions {
                client_identity: Some(ClientIdentity {
                    certificate: key.clone(),
                    key: key.clone().into(),
                }),
                ..trusting(&certificates)
            },
            "client certificate",
        ),
        (
            RegistryOptions {
                client_identity: Some(ClientIdentity {
                    certificate: certificates.client.clone().into_bytes(),
                    key: b"nonsense".to_vec().into(),
                }),
                ..trusting(&certificates)
            },
            "client key",
        ),
    ] {
        let error = pull_tag(&open_with(&registry, "app", options), "v1").await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
