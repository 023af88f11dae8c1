//! How a signed name must agree with the requested one ("`reference`").

use crate::image::{Digest, Reference, Repository};
use crate::policy::{Document, ReferenceRule};

/// The requested name as signatures must carry it: after `mirrors`.
pub(super) struct Asked<'a> {
    /// `None` where a mirror maps it to what names no repository.
    repository: Option<Repository>,
    tag: Option<&'a str>,
}

/// A signed name in parts. Unlike a requested one it gets no `latest` where
/// it has no tag: nobody signed that.
struct Signed {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(document: &Document, reference: &'a Reference) -> Self {
        Self { repository: mapped(document, reference.repository()), tag: reference.tag() }
    }

    /// Whether `name`, signed for `subject`, satisfies `rule`; otherwise why
    /// not and what to do.
    pub(super) fn agrees(
        &self,
        rule: ReferenceRule,
        name: Option<&str>,
        subject: &Digest,
    ) -> Result<(), String> {
        if rule == ReferenceRule::None {
            return Ok(());
        }
        let Some(name) = name else {
            return Err("it signs no name, so it satisfies only `reference: none`; sign again \
                        with `ocisign sign`, which signs the name, or ask for no name"
                .to_owned());
        };
        let Some(signed) = Signed::parse(name) else {
            let name = clip(name);
            return Err(format!("the name that it signs, `{name}`, is no image reference"));
        };
        let same = self.repository.as_ref() == Some(&signed.repository);
        let pinned_elsewhere = signed.digest.as_ref().is_some_and(|digest| digest != subject);
        if !same || pinned_elsewhere {
            return Err(format!("it was signed as `{}`, not as {}", clip(name), self.shown()));
        }
        self.tag_agrees(rule, &signed)
    }

    fn tag_agrees(&self, rule: ReferenceRule, signed: &Signed) -> Result<(), String> {
        let no_tag = "the name that it signs has no tag; sign again under the tag";
        match (rule, self.tag, signed.tag.as_deref()) {
            (ReferenceRule::None | ReferenceRule::Repository, _, _) => Ok(()),
            (ReferenceRule::Exact, None, _) => {
                Err("`reference: exact` needs a tag in the request; ask by tag".to_owned())
            }
            (ReferenceRule::Exact | ReferenceRule::ExactOrDigest, _, None) => {
                Err(no_tag.to_owned())
            }
            (ReferenceRule::ExactOrDigest, None, Some(_)) => Ok(()),
            (ReferenceRule::Exact | ReferenceRule::ExactOrDigest, Some(asked), Some(tag)) => {
                if asked == tag {
                    return Ok(());
                }
                Err(format!("it was signed for the tag `{tag}`, not for `{asked}`"))
            }
        }
    }

    fn shown(&self) -> String {
        match (&self.repository, self.tag) {
            (Some(repository), Some(tag)) => format!("`{repository}:{tag}`"),
            (Some(repository), None) => format!("`{repository}`"),
            (None, _) => "a name: `mirrors` maps the requested one to no repository".to_owned(),
        }
    }
}

impl Signed {
    fn parse(name: &str) -> Option<Self> {
        if name.contains('@') {
            let whole: Reference = name.parse().ok()?;
            return Some(Self {
                repository: whole.repository().clone(),
                tag: whole.tag().map(str::to_owned),
                digest: whole.digest().cloned(),
            });
        }
        // a reference by digest is the one form that is given no tag
        let digest = Digest::sha256(b"");
        let whole: Reference = format!("{name}@{digest}").parse().ok()?;
        Some(Self {
            repository: whole.repository().clone(),
            tag: whole.tag().map(str::to_owned),
            digest: None,
        })
    }
}

/// Applies the mirror that a repository lies in, once.
fn mapped(document: &Document, repository: &Repository) -> Option<Repository> {
    match mirror(document, repository) {
        None => Some(repository.clone()),
        Some((from, to)) => {
            let name = repository.to_string();
            let rest = name.strip_prefix(from)?;
            format!("{to}{rest}").parse().ok()
        }
    }
}

/// The entry of `mirrors` with the longest prefix that a repository lies in.
pub(in crate::policy) fn mirror<'a>(
    document: &'a Document,
    repository: &Repository,
) -> Option<(&'a str, &'a str)> {
    let name = repository.to_string();
    let lies_in = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let entries = document.mirrors.iter().map(|(from, to)| (from.as_str(), to.as_str()));
    entries.filter(|(from, _)| lies_in(from)).max_by_key(|(from, _)| from.len())
}

/// At most 200 characters of a text that somebody else wrote.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
