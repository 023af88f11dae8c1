//! Names of images: distribution/reference's grammar, normalised once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, DigestError};

/// A normalised repository name: host and path, no tag, no digest.
///
/// Host in lower case, Docker Hub's aliases as `docker.io`, its single-word
/// names below `library/`, port 443 left out. Policies match this text and
/// nothing else, so two spellings of one repository cannot get two answers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

/// A normalised image reference: repository, and a tag, a digest or both.
///
/// As a runtime would, a reference with neither means the tag `latest`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The host part cannot be a registry.
    #[error("`{0}` is no registry host; write a domain name or an address, with an optional port")]
    Host(String),
    /// The path breaks the grammar of repository names.
    #[error("`{0}` is no repository name; use lower-case letters, digits and single separators")]
    Path(String),
    /// The tag breaks the grammar of tags.
    #[error("`{0}` is no tag; use up to 128 letters, digits, `.`, `_` and `-`")]
    Tag(String),
    /// The digest is malformed or of an unknown algorithm.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Host and path together are over 255 characters, or empty.
    #[error("`{0}` is no image name; write HOST/REPOSITORY in 1 to 255 characters")]
    Length(String),
}

impl Repository {
    /// The registry: a lower-case host with its port where it is not 443.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A repository of the name `localhost/NAME`, for images of local
    /// sources that nobody named. Characters outside the grammar become `-`.
    pub fn local(name: &str) -> Self {
        let mut path = String::new();
        for c in name.to_ascii_lowercase().chars() {
            match c {
                'a'..='z' | '0'..='9' => path.push(c),
                _ if path.is_empty() || path.ends_with('-') => {}
                _ => path.push('-'),
            }
        }
        let path = path.trim_end_matches('-').chars().take(200).collect::<String>();
        let path = path.trim_end_matches('-').to_owned();
        let path = if path.is_empty() { "image".to_owned() } else { path };
        Self { host: "localhost".to_owned(), path }
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() || text.len() > 255 {
            return Err(ReferenceError::Length(clip(text)));
        }
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => ("docker.io", text),
        };
        let host = normal_host(host)?;
        let path = match (host.as_str(), path) {
            ("docker.io", single) if !single.contains('/') => format!("library/{single}"),
            (_, path) => path.to_owned(),
        };
        if !path.split('/').all(is_component) || is_bare_hex(text) {
            return Err(ReferenceError::Path(clip(&path)));
        }
        // what is added to a short name must leave one that can be read again
        if host.len() + 1 + path.len() > 255 {
            return Err(ReferenceError::Length(clip(text)));
        }
        Ok(Self { host, path })
    }
}

impl Reference {
    /// Puts a reference together from parts that were checked on their own.
    ///
    /// # Errors
    /// [`ReferenceError::Tag`] where `tag` breaks the grammar.
    pub fn new(
        repository: Repository,
        tag: Option<String>,
        digest: Option<Digest>,
    ) -> Result<Self, ReferenceError> {
        match &tag {
            Some(tag) if !is_tag(tag) => Err(ReferenceError::Tag(clip(tag))),
            _ => Ok(Self { repository, tag, digest }),
        }
    }

    /// Parses a reference as it is written: where it has neither tag nor
    /// digest, none is added. Names inside signatures are read so.
    ///
    /// # Errors
    /// [`ReferenceError`] says which part is wrong.
    pub fn parse_as_written(text: &str) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(name);
        Self::new(name.parse()?, tag.map(str::to_owned), digest)
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, without its colon.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository and tag, pinned to `digest`.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Repository and digest without the tag, which is what to hand to a
    /// runtime.
    pub fn by_digest(&self, digest: Digest) -> Self {
        Self { repository: self.repository.clone(), tag: None, digest: Some(digest) }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let mut reference = Self::parse_as_written(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some("latest".to_owned());
        }
        Ok(reference)
    }
}

/// Splits `name:tag` where the colon belongs to a tag and not to a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.ends_with(']') => (name, Some(tag)),
        _ => (name, None),
    }
}

fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.chars().any(|c| c.is_ascii_uppercase())
}

fn normal_host(host: &str) -> Result<String, ReferenceError> {
    let bad = || ReferenceError::Host(clip(host));
    let lower = host.to_ascii_lowercase();
    let (name, port) = match lower.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (lower.as_str(), None),
    };
    if !is_host_name(name) || port.is_some_and(|p| !is_port(p)) {
        return Err(bad());
    }
    let host = match (name, port) {
        ("docker.io" | "index.docker.io" | "registry-1.docker.io", None | Some("443")) => {
            "docker.io".to_owned()
        }
        (name, Some("443")) if is_host(name) => name.to_owned(),
        (name, None) => name.to_owned(),
        (name, Some(port)) => format!("{name}:{port}"),
    };
    // `Registry/app` is a host by its capital alone: in lower case it would be
    // read as a path of docker.io
    if is_host(&host) { Ok(host) } else { Err(bad()) }
}

fn is_host_name(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !name.is_empty()
        && name.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_port(port: &str) -> bool {
    !port.starts_with('0')
        && port.bytes().all(|b| b.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// A path component: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec).
fn is_component(component: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = component;
    loop {
        let after = rest.trim_start_matches(alnum);
        if after.len() == rest.len() {
            return false; // empty, or a separator where a letter must stand
        }
        if after.is_empty() {
            return true;
        }
        let next = after.trim_start_matches(['.', '_', '-']);
        match &after[..after.len() - next.len()] {
            "." | "_" | "__" => {}
            dashes if dashes.bytes().all(|b| b == b'-') => {}
            _ => return false,
        }
        rest = next;
    }
}

/// 64 hexadecimal digits would be taken for an image id by Docker.
fn is_bare_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

macro_rules! text_form {
    ($($name:ty),*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}
text_form!(Repository, Reference);

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Result<String, ReferenceError> {
        text.parse::<Reference>().map(|r| r.to_string())
    }

    #[test]
    fn spellings_of_one_name_become_one() {
        for (given, want) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("index.docker.io/alpine:3", "docker.io/library/alpine:3"),
            ("me/app", "docker.io/me/app:latest"),
            ("GHCR.io/Me/app".to_lowercase().as_str(), "ghcr.io/me/app:latest"),
            ("GHCR.io/me/app:V1", "ghcr.io/me/app:V1"),
            ("ghcr.io:443/me/app:v1", "ghcr.io/me/app:v1"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("[::1]:5000/a:t", "[::1]:5000/a:t"),
            // without its port this would be a path of docker.io
            ("registry:443/a:t", "registry:443/a:t"),
        ] {
            assert_eq!(normal(given).as_deref(), Ok(want));
            assert_eq!(normal(want).as_deref(), Ok(want), "a normal form is its own");
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        let hex = "a".repeat(64);
        // 255 characters are enough, and `docker.io/library/` would be added
        let long = "a".repeat(250);
        for bad in [
            "",
            &long,
            // a host by its capital alone: in lower case it is a path of docker.io
            "Registry/app",
            "/",
            "a//b",
            "ghcr.io/",
            "ghcr.io/A/b",
            "ghcr.io./a",
            "a.b/c:",
            "a.b/c:-x",
            "a.b/../c",
            "a.b/c@sha256:00",
            "a.b:0/c",
            "a.b:99999/c",
            "a.b/c___d",
            "bücher.de/a",
            hex.as_str(),
        ] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }
}
