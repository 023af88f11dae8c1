//! What containerd asks: argv and one descriptor on stdin.

use std::collections::BTreeMap;

use crate::image::{Descriptor, Digest, Reference, ReferenceError, json, media_type};

/// The only form in which containerd hands a descriptor over.
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

/// Most that is read of stdin. A descriptor with its annotations has a few
/// hundred bytes.
pub(super) const STDIN_BYTES: u64 = 64 << 10;

/// Keys of a descriptor that mean something (image-spec, descriptor.md).
const KEYS: &[&str] = &[
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "platform",
    "artifactType",
    "architecture",
    "os",
    "os.version",
    "variant",
];

/// What is to be pulled: the name as asked, and what it resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    reference: Reference,
    descriptor: Descriptor,
}

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A flag has no value, stands twice, or is none.
    #[error("the arguments are not those of containerd's image verifiers: {0}")]
    Arguments(String),
    /// The name is none, or containerd reads it in another way.
    #[error("the image's name cannot be judged: {0}")]
    Name(String),
    /// The descriptor breaks its format.
    #[error("the descriptor on stdin cannot be used: {0}")]
    Descriptor(String),
    /// Argument, name and descriptor speak of different images.
    #[error("the request contradicts itself: {0}")]
    Contradiction(String),
}

impl PullRequest {
    /// Reads a request. `arguments` are those behind the program's name.
    ///
    /// Flags that this version does not know are passed over with their
    /// values, since the protocol may grow.
    ///
    /// # Errors
    /// [`RequestError`]: nothing of the image can be said then.
    pub fn parse(arguments: &[String], stdin: &[u8]) -> Result<Self, RequestError> {
        let flags = flags(arguments)?;
        let value = |name: &str| {
            let missing = || RequestError::Arguments(format!("`-{name}` is missing"));
            flags.get(name).copied().ok_or_else(missing)
        };
        let kind = value("stdin-media-type")?;
        if kind != DESCRIPTOR {
            let said = clip(kind);
            return Err(RequestError::Descriptor(format!(
                "its type is `{said}`, not {DESCRIPTOR}"
            )));
        }
        let digest: Digest = value("digest")?
            .parse()
            .map_err(|error| RequestError::Arguments(format!("`-digest`: {error}")))?;
        let reference = name(value("name")?)?;
        let descriptor = descriptor(stdin)?;
        agree(&reference, &digest, &descriptor)?;
        Ok(Self { reference, descriptor })
    }

    /// The name as asked, normalised; what policies match.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// What containerd goes on to pull.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The digest of it.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

/// Flags in Go's manner: `-name VALUE`, `-name=VALUE`, with one dash or two.
fn flags(arguments: &[String]) -> Result<BTreeMap<&str, &str>, RequestError> {
    let mut found = BTreeMap::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let wrong = |why: &str| RequestError::Arguments(format!("`{}` {why}", clip(argument)));
        let flag = argument.strip_prefix('-').ok_or_else(|| wrong("is no flag"))?;
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (flag, rest.next().ok_or_else(|| wrong("has no value"))?.as_str()),
        };
        if flag.is_empty() {
            return Err(wrong("is no flag"));
        }
        if found.insert(flag, value).is_some() {
            return Err(wrong("stands twice"));
        }
    }
    Ok(found)
}

/// containerd takes whatever stands before the first `/` for the registry.
/// A short name that Docker would complete is another image to it.
fn name(text: &str) -> Result<Reference, RequestError> {
    let reference: Reference =
        text.parse().map_err(|error: ReferenceError| RequestError::Name(error.to_string()))?;
    let first = text.split_once('/').map(|(first, _)| first);
    if first.is_some_and(|first| first == "localhost" || first.contains(['.', ':'])) {
        return Ok(reference);
    }
    let said = clip(text);
    Err(RequestError::Name(format!("`{said}` names no registry; write it as `{reference}`")))
}

fn descriptor(stdin: &[u8]) -> Result<Descriptor, RequestError> {
    let wrong = |why: String| RequestError::Descriptor(why);
    if stdin.len() as u64 > STDIN_BYTES {
        return Err(wrong(format!("it is larger than {STDIN_BYTES} bytes")));
    }
    let scan =
        json::Scan { known: KEYS, maps: &["annotations"], max_depth: 4, integers_only: true };
    let found: Descriptor = scan.decode(stdin).map_err(|error| wrong(error.to_string()))?;
    let kind = found.media_type.as_str();
    if !media_type::is_index(kind) && !media_type::is_manifest(kind) {
        let kind = clip(kind);
        return Err(wrong(format!(
            "`{kind}` is no type of image that ocisign judges; push it as an OCI image"
        )));
    }
    Ok(found)
}

fn agree(
    reference: &Reference,
    digest: &Digest,
    descriptor: &Descriptor,
) -> Result<(), RequestError> {
    if descriptor.digest != *digest {
        return Err(RequestError::Contradiction(format!(
            "`-digest` is {digest}, the descriptor's is {}",
            descriptor.digest
        )));
    }
    match reference.digest() {
        Some(named) if named != digest => Err(RequestError::Contradiction(format!(
            "the name asks for {named} and resolved to {digest}"
        ))),
        Some(_) | None => Ok(()),
    }
}

fn clip(text: &str) -> String {
    crate::report::escaped(&text.chars().take(120).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn line(name: &str) -> Vec<String> {
        let digest = format!("sha256:{HEX}");
        ["-name", name, "-digest", &digest, "-stdin-media-type", DESCRIPTOR]
            .map(str::to_owned)
            .to_vec()
    }

    fn stdin() -> String {
        let kind = media_type::OCI_INDEX;
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"sha256:{HEX}\",\"size\":6}}\n")
    }

    fn refused(arguments: &[String], stdin: &str) -> String {
        PullRequest::parse(arguments, stdin.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_are_read_as_containerd_writes_them() {
        for (name, want) in [
            ("127.0.0.1:5999/t/app:v1", "127.0.0.1:5999/t/app:v1"),
            ("docker.io/library/alpine:3", "docker.io/library/alpine:3"),
            (&format!("a.example/app:v1@sha256:{HEX}"), &format!("a.example/app:v1@sha256:{HEX}")),
            (&format!("a.example/app@sha256:{HEX}"), &format!("a.example/app@sha256:{HEX}")),
        ] {
            let request = PullRequest::parse(&line(name), stdin().as_bytes()).unwrap();
            assert_eq!(request.reference().to_string(), want);
            assert_eq!(request.digest().hex(), HEX);
        }
    }

    #[test]
    fn flags_of_later_versions_are_passed_over() {
        let mut arguments = line("a.example/app:v1");
        arguments.extend(["-operation", "pull", "--later=yes"].map(str::to_owned));
        assert!(PullRequest::parse(&arguments, stdin().as_bytes()).is_ok());
    }

    #[test]
    fn a_flag_without_a_value_or_twice_is_refused() {
        let good = line("a.example/app:v1");
        for end in [&["-name"][..], &["-name", "b.example/app"], &["stray", "x"], &["-", "x"]] {
            let mut arguments = good.clone();
            arguments.extend(end.iter().map(|word| (*word).to_owned()));
            assert!(refused(&arguments, &stdin()).contains("arguments"), "{end:?}");
        }
        for flag in [0, 2, 4] {
            let mut arguments = good.clone();
            arguments.drain(flag..flag + 2);
            assert!(refused(&arguments, &stdin()).contains("is missing"));
        }
    }

    #[test]
    fn a_short_name_is_not_completed() {
        // containerd asks a registry called `me` for it
        for name in ["me/app:v1", "alpine:3", "alpine"] {
            assert!(refused(&line(name), &stdin()).contains("names no registry"), "{name}");
        }
    }

    #[test]
    fn the_descriptor_is_strict_and_bounded() {
        let line = line("a.example/app:v1");
        let twice = stdin().replace("\"size\":6", "\"size\":6,\"size\":7");
        let twin = stdin().replace("\"size\":6", "\"size\":6,\"Size\":7");
        let schema1 = stdin().replace(
            media_type::OCI_INDEX,
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        );
        let long = stdin() + &" ".repeat(64 << 10);
        let float = stdin().replace("\"size\":6", "\"size\":6.0");
        for bad in ["", "{}", "null", &twice, &twin, &schema1, &long, &float] {
            assert!(refused(&line, bad).contains("descriptor"), "{bad}");
        }
        let two = stdin() + &stdin();
        assert!(refused(&line, &two).contains("descriptor"));
    }

    #[test]
    fn digests_that_differ_are_a_contradiction() {
        let other = "0".repeat(64);
        let line_of = line("a.example/app:v1");
        assert!(refused(&line_of, &stdin().replace(HEX, &other)).contains("contradicts"));
        let named = line(&format!("a.example/app@sha256:{other}"));
        assert!(refused(&named, &stdin()).contains("contradicts"));
    }
}
