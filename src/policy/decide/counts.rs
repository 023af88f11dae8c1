//! Which evidence counts for a signer at a node (policy language, "Which
//! evidence counts"): all conditions on one item, in the order in which a
//! miss tells more.

use crate::evidence::{Facts, Statement};
use crate::policy::Revoked;

use super::Context;
use super::names::clip;
use super::signed::Tally;

impl Tally<'_, '_> {
    /// "Which evidence counts for a signer at node d": all of the conditions,
    /// on one item.
    pub(super) fn counts(
        &self,
        item: usize,
        signer: usize,
        subject: Subject<'_>,
    ) -> Result<(), Miss> {
        let Some(facts) = self.context.facts.get(item) else {
            return Err(Miss::Statement("there is no such item".to_owned()));
        };
        let Some(signer) = self.ask.by.get(signer) else {
            return Err(Miss::Signer("there is no such signer".to_owned()));
        };
        let context = self.context;
        is_signature(facts)?;
        context.is_by(facts, signer)?;
        is_about(facts, subject)?;
        self.has_format(facts)?;
        context.is_not_revoked(facts, signer)?;
        context.key_is_valid(facts, signer)?;
        context.is_not_expired(facts)?;
        let (name, digest) = (facts.claims.name.as_deref(), &facts.claims.subject.digest);
        self.asked.agrees(self.ask.reference, name, digest).map_err(Miss::Name)?;
        self.has_annotations(facts)
    }

    fn has_format(&self, facts: &Facts) -> Result<(), Miss> {
        match &self.ask.formats {
            Some(formats) if !formats.contains(&facts.format) => Err(Miss::Format(format!(
                "its format is {}, which this check does not take",
                facts.format.as_str()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    fn has_annotations(&self, facts: &Facts) -> Result<(), Miss> {
        for (key, glob) in &self.ask.annotations {
            let miss = match facts.claims.annotations.get(key) {
                Some(value) if glob.matches(value) => continue,
                Some(value) => {
                    format!("it signs {key}=`{}`, and `{glob}` is asked", clip(value))
                }
                None => format!("it does not sign the annotation {key}; sign with `-a {key}=…`"),
            };
            return Err(Miss::Annotation(miss));
        }
        Ok(())
    }
}

impl Context<'_> {
    /// Whether somebody whom the policy names, and whose signature would
    /// count by itself, signed the root, whatever a check asks beside that.
    pub(super) fn is_signed(&self) -> bool {
        let Some(root) = self.tree.node(0) else { return false };
        let subject = (root.digest.as_str(), root.size, root.media_type.as_str());
        let counts = |facts: &Facts, signer: &str| {
            is_signature(facts)?;
            self.is_by(facts, signer)?;
            is_about(facts, subject)?;
            self.is_not_revoked(facts, signer)?;
            self.key_is_valid(facts, signer)?;
            self.is_not_expired(facts)
        };
        let mut signers = self.document().signers.keys();
        signers.any(|signer| self.facts.iter().any(|facts| counts(facts, signer).is_ok()))
    }

    pub(super) fn is_by(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        let is_by = |name: &str| self.policy.is_by(name, &facts.signer);
        if is_by(signer) {
            return Ok(());
        }
        let owner = self.document().signers.keys().find(|name| is_by(name));
        Err(Miss::Signer(match owner {
            Some(owner) => format!("it is by `{owner}`, whom this check does not name"),
            None => "it is by a key of no signer of the policy".to_owned(),
        }))
    }

    /// A revocation with `since` spares what a trusted time puts before it.
    /// Trusted are the times of the signer's own `time` roots, and a signer
    /// of plain keys has none, so nothing is spared.
    fn is_not_revoked(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        for revocation in &self.document().revoked {
            let what = match &revocation.what {
                Revoked::Key(key) if key == facts.signer.key() => "its key",
                // who vouches for the key is no longer trusted
                Revoked::Key(key) if Some(key) == facts.signer.primary() => "its primary key",
                Revoked::Signer(name) if name == signer => "its signer",
                Revoked::Key(_)
                | Revoked::Signer(_)
                | Revoked::Certificate(_)
                | Revoked::Digest(_) => continue,
            };
            return Err(Miss::Revoked(format!("{what} is revoked: {}", revocation.reason)));
        }
        Ok(())
    }

    /// A signer may list one key twice; the entry that ended it wins.
    fn key_is_valid(&self, facts: &Facts, signer: &str) -> Result<(), Miss> {
        let key = facts.signer.key();
        let own = self.policy.keys(signer).iter().filter(|linked| linked.id == *key);
        match own.filter_map(|linked| linked.until).min() {
            Some(until) if until <= self.now => {
                Err(Miss::KeyEnded(format!("the key of `{signer}` is not valid since {until}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_not_expired(&self, facts: &Facts) -> Result<(), Miss> {
        match facts.claims.expires {
            Some(at) if at <= self.now => {
                Err(Miss::Expired(format!("the signature expired at {at}; sign again")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn is_signature(facts: &Facts) -> Result<(), Miss> {
    match &facts.claims.statement {
        Statement::Signature => Ok(()),
        Statement::Attestation { predicate_type, .. } => Err(Miss::Statement(format!(
            "it is an attestation (`{}`), which is no image signature",
            clip(predicate_type)
        ))),
    }
}

/// Digest, and size and media type where the format signs them.
fn is_about(facts: &Facts, (digest, size, media_type): Subject<'_>) -> Result<(), Miss> {
    let subject = &facts.claims.subject;
    if subject.digest.to_string() != digest {
        return Err(Miss::Subject(format!("it signs {}, not {digest}", subject.digest)));
    }
    if subject.size.is_some_and(|signed| signed != size) {
        let signed = subject.size.unwrap_or_default();
        return Err(Miss::Descriptor(format!("it signs a size of {signed} bytes, not {size}")));
    }
    match &subject.media_type {
        Some(signed) if signed != media_type => Err(Miss::Descriptor(format!(
            "it signs the media type `{}`, not `{}`",
            clip(signed),
            clip(media_type)
        ))),
        Some(_) | None => Ok(()),
    }
}

/// A node as signatures name it. Two nodes that agree in this are signed by
/// the same items, so they are looked at once.
pub(super) type Subject<'a> = (&'a str, u64, &'a str);

/// Why an item does not count, from the least to the most telling: an item
/// that failed later was closer. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Miss {
    Statement(String),
    Signer(String),
    Subject(String),
    Descriptor(String),
    Format(String),
    Revoked(String),
    KeyEnded(String),
    Expired(String),
    Name(String),
    Annotation(String),
    Surplus(String),
}

impl Miss {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Statement(text)
            | Self::Signer(text)
            | Self::Subject(text)
            | Self::Descriptor(text)
            | Self::Format(text)
            | Self::Revoked(text)
            | Self::KeyEnded(text)
            | Self::Expired(text)
            | Self::Name(text)
            | Self::Annotation(text)
            | Self::Surplus(text) => text,
        }
    }
}
