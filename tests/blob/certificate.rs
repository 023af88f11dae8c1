//! What is read from a certificate: names of every kind, and Fulcio's claims.

use ocisign::crypto::certificate::{Certificate, Name};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, CustomExtension, KeyPair, OtherNameValue, SanType};

/// Below Fulcio's arc.
fn oid(last: u64) -> Vec<u64> {
    vec![1, 3, 6, 1, 4, 1, 57264, 1, last]
}

fn text(text: &str) -> Ia5String {
    text.try_into().unwrap()
}

/// A UTF8String in DER.
fn der(text: &str) -> Vec<u8> {
    [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn certificate(names: Vec<SanType>, extensions: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.custom_extensions = extensions
        .iter()
        .map(|(last, content)| CustomExtension::from_oid_content(&oid(*last), content.clone()))
        .collect();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn names_of_every_kind() {
    let names = vec![
        SanType::Rfc822Name(text("lea@example.test")),
        SanType::URI(text("https://example.test/workflow@refs/heads/main")),
        SanType::OtherName((oid(7), OtherNameValue::Utf8String("lea!example.test".to_owned()))),
        SanType::DnsName(text("example.test")),
    ];
    let read = Certificate::parse(&certificate(names, &[])).unwrap();
    assert_eq!(
        read.names,
        [
            Name::Email("lea@example.test".to_owned()),
            Name::Uri("https://example.test/workflow@refs/heads/main".to_owned()),
            Name::Other("lea!example.test".to_owned()),
        ]
    );
    assert!(read.not_before < read.not_after);
    assert_eq!(read.issuer, None);
}

#[test]
fn claims_by_their_names() {
    let raw = |text: &str| text.as_bytes().to_vec();
    let extensions = [
        (1, raw("https://issuer.example")),
        (8, der("https://issuer.example")),
        (5, raw("acme/app")),
        (12, der("https://git.example/acme/app")),
        (24, der("repo:acme/app")),
        // of a time to come
        (99, der("?")),
    ];
    let read = Certificate::parse(&certificate(Vec::new(), &extensions)).unwrap();
    assert_eq!(read.issuer.as_deref(), Some("https://issuer.example"));
    let claims: Vec<_> = read.claims.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        claims,
        [
            ("githubWorkflowRepository", "acme/app"),
            ("sourceRepositoryURI", "https://git.example/acme/app"),
            ("tokenSubject", "repo:acme/app"),
        ]
    );
}

#[test]
fn what_has_two_meanings_is_refused() {
    let raw = |text: &str| text.as_bytes().to_vec();
    for (extensions, says) in [
        (vec![(1, raw("https://a")), (8, der("https://b"))], "two issuers"),
        (vec![(12, der("a")), (12, der("b"))], "twice"),
        (vec![(8, der("a")), (8, der("a"))], "twice"),
        (vec![(12, raw("no DER"))], "no text"),
        (vec![(12, vec![0x04, 1, b'a'])], "no text"),
        (vec![(12, [der("a"), vec![0]].concat())], "no text"),
        (vec![(12, vec![0x0c, 1, 0xff])], "no text"),
        (vec![(5, vec![0xff])], "no text"),
    ] {
        let refused = Certificate::parse(&certificate(Vec::new(), &extensions)).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    let good = certificate(Vec::new(), &[]);
    assert!(Certificate::parse(&[good.as_slice(), b"x"].concat()).is_err());
    assert!(Certificate::parse(&good[..good.len() - 1]).is_err());
    assert!(Certificate::parse(b"").is_err());
}
