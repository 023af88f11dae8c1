//! What a certificate of Fulcio says of who it was made for (fulcio,
//! docs/oid-info.md). Nothing here says whether it may be believed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use x509_parser::der_parser::ber::Tag;
use x509_parser::der_parser::der::parse_der;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// Fulcio's extensions, below 1.3.6.1.4.1.57264.1, by the names that their
/// owner gives them. The first are raw text and deprecated, those from 8 on
/// are DER.
const CLAIMS: &[(u64, &str)] = &[
    (2, "githubWorkflowTrigger"),
    (3, "githubWorkflowSHA"),
    (4, "githubWorkflowName"),
    (5, "githubWorkflowRepository"),
    (6, "githubWorkflowRef"),
    (9, "buildSignerURI"),
    (10, "buildSignerDigest"),
    (11, "runnerEnvironment"),
    (12, "sourceRepositoryURI"),
    (13, "sourceRepositoryDigest"),
    (14, "sourceRepositoryRef"),
    (15, "sourceRepositoryIdentifier"),
    (16, "sourceRepositoryOwnerURI"),
    (17, "sourceRepositoryOwnerIdentifier"),
    (18, "buildConfigURI"),
    (19, "buildConfigDigest"),
    (20, "buildTrigger"),
    (21, "runInvocationURI"),
    (22, "sourceRepositoryVisibilityAtSigning"),
    (23, "deploymentEnvironment"),
    (24, "tokenSubject"),
];

/// The issuer of the token: deprecated, and as it is now.
const ISSUERS: [u64; 2] = [1, 8];
/// The kind of alternative name that is neither e-mail nor address.
const OTHER_NAME: u64 = 7;
/// First extension that is DER.
const FIRST_DER: u64 = 8;

/// A certificate as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Who it was made for: every alternative name, in order.
    pub names: Vec<Name>,
    /// Who vouched for that name with a token.
    pub issuer: Option<String>,
    /// The other claims, by name.
    pub claims: BTreeMap<String, String>,
    /// From when on it holds.
    pub not_before: Timestamp,
    /// Until when it holds, that instant included.
    pub not_after: Timestamp,
}

/// One alternative name of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// An address of a person.
    Email(String),
    /// An address of a workload.
    Uri(String),
    /// A name of Fulcio's own kind.
    Other(String),
}

impl Name {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::Other(text) => text,
        }
    }
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// A text for people where it cannot be read, says one thing twice, or
    /// says it in another form than its extension has.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let unreadable = |_| "the certificate cannot be read".to_owned();
        let (rest, certificate) = X509Certificate::from_der(der).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err("there is more behind the certificate".to_owned());
        }
        let mut read = Self {
            names: names(&certificate)?,
            issuer: None,
            claims: BTreeMap::new(),
            not_before: instant(certificate.validity().not_before)?,
            not_after: instant(certificate.validity().not_after)?,
        };
        let mut issuers = [None, None];
        for extension in certificate.extensions() {
            let Some(number) = number(&extension.oid.to_id_string()) else { continue };
            let twice = || format!("the certificate has Fulcio's extension {number} twice");
            if let Some(at) = ISSUERS.iter().position(|issuer| *issuer == number) {
                let text = text(number, extension.value)?;
                if issuers.get_mut(at).and_then(|place| place.replace(text)).is_some() {
                    return Err(twice());
                }
            } else if let Some((_, name)) = CLAIMS.iter().find(|(known, _)| *known == number) {
                let text = text(number, extension.value)?;
                if read.claims.insert((*name).to_owned(), text).is_some() {
                    return Err(twice());
                }
            }
        }
        read.issuer = match issuers {
            [Some(old), Some(new)] if old != new => {
                return Err("the certificate names two issuers".to_owned());
            }
            [old, new] => new.or(old),
        };
        Ok(read)
    }
}

/// The last part of an identifier below Fulcio's arc.
fn number(oid: &str) -> Option<u64> {
    oid.strip_prefix("1.3.6.1.4.1.57264.1.")?.parse().ok()
}

fn text(number: u64, value: &[u8]) -> Result<String, String> {
    let wrong = || format!("Fulcio's extension {number} is no text");
    let bytes = if number < FIRST_DER { value } else { der_text(value).ok_or_else(wrong)? };
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| wrong())
}

fn der_text(value: &[u8]) -> Option<&[u8]> {
    let (rest, object) = parse_der(value).ok()?;
    let is_text = rest.is_empty() && object.header.tag() == Tag::Utf8String;
    is_text.then(|| object.content.as_slice().ok()).flatten()
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<Name>, String> {
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(all) = extension.parsed_extension() else {
            continue;
        };
        for name in &all.general_names {
            names.extend(match name {
                GeneralName::RFC822Name(text) => Some(Name::Email((*text).to_owned())),
                GeneralName::URI(text) => Some(Name::Uri((*text).to_owned())),
                GeneralName::OtherName(oid, value)
                    if number(&oid.to_id_string()) == Some(OTHER_NAME) =>
                {
                    let text = other_name(value).ok_or("an alternative name is no text")?;
                    Some(Name::Other(text))
                }
                // neither is made by Fulcio, and neither says who signed
                _ => None,
            });
        }
    }
    Ok(names)
}

/// `[0] EXPLICIT UTF8String` (RFC 5280, section 4.2.1.6).
fn other_name(value: &[u8]) -> Option<String> {
    let (rest, object) = parse_der(value).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let text = match object.header.tag() {
        Tag::Utf8String => value,
        _ => object.content.as_slice().ok()?,
    };
    std::str::from_utf8(der_text(text)?).ok().map(str::to_owned)
}

fn instant(time: ASN1Time) -> Result<Timestamp, String> {
    Timestamp::from_second(time.timestamp()).map_err(|_| "a date out of range".to_owned())
}
