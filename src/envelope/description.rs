//! What a candidate says of itself, for a listing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Candidate, Envelope, Untrusted, cosign, libtrust, parse, simple, statement};
use crate::evidence::{Format, Reason};
use crate::limits::Limits;

/// What a candidate says of itself. Nobody has verified any of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The envelope's format.
    pub format: Format,
    /// Which key it says it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Type of the predicate, in formats that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// What it says it is about.
    pub subjects: Vec<Described>,
}

/// One subject of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    /// Digests as written.
    pub digests: Vec<String>,
    /// The name that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Reads what a candidate says of itself, verifying nothing.
///
/// # Errors
/// The [`Reason`] why it cannot be read.
pub fn describe(candidate: &Candidate, limits: &Limits) -> Result<Untrusted<Description>, Reason> {
    let envelope = parse(candidate, limits)?;
    let envelope = envelope.unverified();
    let description = match envelope.format {
        Format::Sigstore => of_statement(envelope, limits)?,
        Format::Cosign => of_payload(envelope, limits)?,
        Format::Libtrust => of_manifest(envelope, limits)?,
        Format::Simple => of_simple(envelope, limits)?,
        other @ (Format::NotaryJws | Format::NotaryCose | Format::Appc) => {
            return Err(super::unsupported(other));
        }
    };
    Ok(Untrusted::new(description))
}

fn of_statement(envelope: &Envelope, limits: &Limits) -> Result<Description, Reason> {
    let head = statement::head(&envelope.payload, limits)?;
    let described = |s: statement::Resource| Described {
        digests: s.digest.iter().map(|(name, hex)| format!("{name}:{hex}")).collect(),
        name: s.name,
        annotations: s.annotations.unwrap_or_default().0,
    };
    Ok(Description {
        format: envelope.format,
        hint: envelope.hint.clone(),
        predicate_type: Some(head.predicate_type),
        subjects: head.subjects.into_iter().map(described).collect(),
    })
}

fn of_manifest(envelope: &Envelope, limits: &Limits) -> Result<Description, Reason> {
    let digest = libtrust::subject(&envelope.payload, limits)?;
    // the name in it goes with no signature that anybody ever checked
    let described =
        Described { digests: vec![digest.to_string()], name: None, annotations: BTreeMap::new() };
    Ok(Description {
        format: envelope.format,
        hint: envelope.hint.clone(),
        predicate_type: None,
        subjects: vec![described],
    })
}

fn of_simple(envelope: &Envelope, limits: &Limits) -> Result<Description, Reason> {
    let payload = simple::read(&envelope.payload, limits)?;
    let described = Described {
        digests: vec![payload.digest().to_owned()],
        name: Some(payload.name().to_owned()),
        annotations: BTreeMap::new(),
    };
    Ok(Description {
        format: envelope.format,
        hint: envelope.hint.clone(),
        predicate_type: None,
        subjects: vec![described],
    })
}

fn of_payload(envelope: &Envelope, limits: &Limits) -> Result<Description, Reason> {
    let payload = cosign::read(&envelope.payload, limits)?;
    let described = Described {
        digests: vec![payload.digest().to_owned()],
        name: payload.name().map(str::to_owned),
        annotations: payload.annotations(),
    };
    Ok(Description {
        format: envelope.format,
        hint: None,
        predicate_type: None,
        subjects: vec![described],
    })
}
