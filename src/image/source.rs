//! Where a user says that an image is: a registry, a layout, an archive.

use std::fmt;
use std::str::FromStr;

use super::aci::{AciName, AciNameError};
use super::reference::is_tag;
use super::{Digest, DigestError, Reference, ReferenceError};

/// A place of an image, as written on the command line.
///
/// | text | place |
/// |---|---|
/// | `HOST/REPO[:TAG][@DIGEST]`, `docker://…` | a registry |
/// | `oci:DIR[:TAG][@DIGEST]` | an OCI image layout in a directory |
/// | `oci-archive:FILE[:TAG][@DIGEST]` | a layout in a tar file |
/// | `docker-archive:FILE[:NAME:TAG][@DIGEST]` | what `docker save` writes |
/// | `aci:FILE` | an appc image in a file |
/// | `aci:NAME[:VERSION][,LABEL=VALUE…]` | an appc image that is found by its name (discovery.md) |
///
/// A directory or file may contain colons: what follows the last colon is the
/// tag if it has the form of one. To name a directory that ends so, write a
/// slash after it: `oci:a:b/`. What follows the last `@` is the digest if it
/// has the form of one.
///
/// What follows `aci:` is a file where it begins with `/`, `./` or `../`, or
/// ends in `.aci`; else it is a name. Whether such a file exists does not
/// matter, so that a text means the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A repository in a registry.
    Registry(Reference),
    /// A directory that holds an OCI image layout.
    Layout {
        /// The directory, as written.
        dir: String,
        /// `org.opencontainers.image.ref.name` of the image.
        tag: Option<String>,
        /// Digest of the image.
        digest: Option<Digest>,
    },
    /// A tar file that holds an OCI image layout.
    Archive {
        /// The file, as written.
        file: String,
        /// `org.opencontainers.image.ref.name` of the image.
        tag: Option<String>,
        /// Digest of the image.
        digest: Option<Digest>,
    },
    /// A tar file as `docker save` writes it.
    DockerArchive {
        /// The file, as written.
        file: String,
        /// Name of the image in the archive, as it stands in `RepoTags` or
        /// `repositories`: `app:v1`.
        name: Option<String>,
        /// Digest of the image.
        digest: Option<Digest>,
    },
    /// An appc image: one file.
    Aci {
        /// The file, as written.
        file: String,
    },
    /// An appc image by its name, found by meta discovery.
    AciName(AciName),
}

/// Why a text names no place of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No image reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The digest is malformed or of an unknown algorithm.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// No name of an appc image.
    #[error(transparent)]
    Aci(#[from] AciNameError),
    /// A transport of other tools that ocisign does not read.
    #[error(
        "`{0}:` is not read; use a registry, oci:DIR, oci-archive:FILE, docker-archive:FILE or \
         aci:FILE"
    )]
    Transport(String),
    /// Nothing stands where a directory or file must.
    #[error("`{0}` names no path; write one after the colon")]
    NoPath(String),
}

/// Transports of containers-transports(5) and of appc that are not read.
const OTHERS: &[&str] =
    &["atomic", "containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball"];

impl Source {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(reference.parse()?));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (dir, tag, digest) = split(rest, text)?;
            return Ok(Self::Layout { dir, tag, digest });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (file, tag, digest) = split(rest, text)?;
            return Ok(Self::Archive { file, tag, digest });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            return docker_archive(rest, text);
        }
        if let Some(file) = text.strip_prefix("aci:") {
            return match file {
                "" => Err(SourceError::NoPath(text.chars().take(80).collect())),
                file if is_file(file) => Ok(Self::Aci { file: file.to_owned() }),
                name => Ok(Self::AciName(name.parse()?)),
            };
        }
        match text.split_once(':') {
            Some((transport, _)) if OTHERS.contains(&transport) => {
                Err(SourceError::Transport(transport.to_owned()))
            }
            _ => Ok(Self::Registry(text.parse()?)),
        }
    }

    /// The tag, where one is named.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => reference.tag(),
            Self::Layout { tag, .. } | Self::Archive { tag, .. } => tag.as_deref(),
            Self::DockerArchive { name, .. } => name.as_deref(),
            Self::Aci { .. } => None,
            Self::AciName(name) => name.labels().get("version").map(String::as_str),
        }
    }

    /// The digest, where one is named.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Registry(reference) => reference.digest(),
            Self::Layout { digest, .. }
            | Self::Archive { digest, .. }
            | Self::DockerArchive { digest, .. } => digest.as_ref(),
            Self::Aci { .. } | Self::AciName(_) => None,
        }
    }
}

/// Whether a text behind `aci:` is a file.
fn is_file(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|begin| text.starts_with(begin)) || text.ends_with(".aci")
}

/// Reads `FILE[:NAME:TAG][@DIGEST]`. The file ends at the first colon, as it
/// does for docker and skopeo, because a name has colons of its own.
fn docker_archive(rest: &str, whole: &str) -> Result<Source, SourceError> {
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((rest, digest)) if is_like_digest(digest) => (rest, Some(digest.parse()?)),
        _ => (rest, None),
    };
    let (file, name) = match rest.split_once(':') {
        Some((_, "")) => return Err(ReferenceError::Tag(String::new()).into()),
        Some((file, name)) => (file, Some(name.to_owned())),
        None => (rest, None),
    };
    if file.is_empty() {
        return Err(SourceError::NoPath(whole.chars().take(80).collect()));
    }
    Ok(Source::DockerArchive { file: file.to_owned(), name, digest })
}

type Parts = (String, Option<String>, Option<Digest>);

/// Splits `PATH[:TAG][@DIGEST]`.
fn split(rest: &str, whole: &str) -> Result<Parts, SourceError> {
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((rest, digest)) if is_like_digest(digest) => (rest, Some(digest.parse()?)),
        _ => (rest, None),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((_, "")) => {
            return Err(ReferenceError::Tag(String::new()).into());
        }
        Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
        _ => (rest, None),
    };
    if path.is_empty() {
        return Err(SourceError::NoPath(whole.chars().take(80).collect()));
    }
    Ok((path.to_owned(), tag, digest))
}

/// Whether a text was meant as a digest: of a known algorithm, or with an
/// encoded part as long as the shortest in use.
fn is_like_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, encoded)| {
        matches!(algorithm, "sha256" | "sha512")
            || (encoded.len() >= 32 && encoded.bytes().all(|b| b.is_ascii_alphanumeric()))
    })
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag, digest) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { dir, tag, digest } => ("oci", dir, tag, digest),
            Self::Archive { file, tag, digest } => ("oci-archive", file, tag, digest),
            Self::DockerArchive { file, name, digest } => ("docker-archive", file, name, digest),
            Self::Aci { file } => return write!(f, "aci:{file}"),
            Self::AciName(name) => return write!(f, "aci:{name}"),
        };
        write!(f, "{transport}:{path}")?;
        if let Some(tag) = tag {
            write!(f, ":{tag}")?;
        }
        match digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest() -> Digest {
        Digest::sha256(b"")
    }

    fn layout(dir: &str, tag: Option<&str>, digest: Option<Digest>) -> Source {
        Source::Layout { dir: dir.into(), tag: tag.map(Into::into), digest }
    }

    #[test]
    fn a_directory_may_contain_colons_and_at_signs() {
        let d = digest();
        for (text, want) in [
            ("oci:dir".to_owned(), layout("dir", None, None)),
            ("oci:dir:v1".to_owned(), layout("dir", Some("v1"), None)),
            ("oci:/a/b:v1".to_owned(), layout("/a/b", Some("v1"), None)),
            ("oci:/a:b/c".to_owned(), layout("/a:b/c", None, None)),
            ("oci:a:b:c".to_owned(), layout("a:b", Some("c"), None)),
            ("oci:a:b/".to_owned(), layout("a:b/", None, None)),
            ("oci:a@b:c".to_owned(), layout("a@b", Some("c"), None)),
            (format!("oci:dir@{d}"), layout("dir", None, Some(d.clone()))),
            (format!("oci:x:y:v1@{d}"), layout("x:y", Some("v1"), Some(d.clone()))),
        ] {
            assert_eq!(Source::parse(&text), Ok(want), "{text}");
        }
        let want = Source::Archive { file: "a.tar".into(), tag: Some("v1".into()), digest: None };
        assert_eq!(Source::parse("oci-archive:a.tar:v1"), Ok(want));
    }

    #[test]
    fn an_aci_is_a_file_by_how_it_is_written() {
        for file in ["app.aci", "./app", "../app:1", "/a/b", "example.com/app.aci"] {
            let want = Source::Aci { file: file.into() };
            assert_eq!(Source::parse(&format!("aci:{file}")), Ok(want));
        }
        for name in ["app", "example.com/app:1.0", "example.com/app,arch=amd64,os=linux"] {
            let want = Source::AciName(name.parse().unwrap());
            assert_eq!(Source::parse(&format!("aci:{name}")), Ok(want));
        }
        for wrong in ["aci:App", "aci:dir/App", "aci:a:1,2"] {
            assert!(matches!(Source::parse(wrong), Err(SourceError::Aci(_))), "{wrong}");
        }
    }

    #[test]
    fn what_has_no_transport_is_in_a_registry() {
        for (text, want) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("docker://alpine:3", "docker.io/library/alpine:3"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("docker:24", "docker.io/library/docker:24"),
            ("docker://dir:tag", "docker.io/library/dir:tag"),
        ] {
            let source = Source::parse(text).unwrap();
            assert!(matches!(source, Source::Registry(_)));
            assert_eq!(source.to_string(), want);
        }
    }

    #[test]
    fn what_is_not_read_is_refused() {
        for text in ["dir:x", "docker-daemon:x", "containers-storage:x"] {
            assert!(matches!(Source::parse(text), Err(SourceError::Transport(_))), "{text}");
        }
        for text in ["oci:", "oci::tag", "oci-archive:", "docker-archive::a:b", "aci:"] {
            let error = Source::parse(text);
            assert!(matches!(error, Err(SourceError::NoPath(_) | SourceError::Reference(_))));
        }
        assert!(matches!(Source::parse("oci:dir:"), Err(SourceError::Reference(_))));
        assert!(matches!(Source::parse("oci:dir@sha256:00"), Err(SourceError::Digest(_))));
        let other = format!("oci:dir@blake3:{}", "a".repeat(64));
        assert!(matches!(Source::parse(&other), Err(SourceError::Digest(_))));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "(oci:|oci-archive:|docker-archive:|aci:|docker://|)[a-c:@/.]{0,12}(@sha256:[0-9a-f]{64})?") {
            if let Ok(source) = Source::parse(&text) {
                prop_assert_eq!(Source::parse(&source.to_string()), Ok(source));
            }
        }
    }
}
