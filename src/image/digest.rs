//! Digests: OCI image-spec v1.1.1, descriptor.md "Digests".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A hash function that ocisign recomputes.
///
/// The registered algorithms of image-spec v1.1.1; anything else parses as
/// [`DigestError::UnknownAlgorithm`] and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which every implementation must have.
    Sha256,
    /// SHA-512, which an implementation may have.
    Sha512,
}

impl Algorithm {
    /// The name before the colon of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the encoded part, in hexadecimal characters.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A content digest whose algorithm and hexadecimal part were checked.
///
/// Holding one is proof that it is safe to put into a path or a URL: the
/// grammar leaves no `/` and no `..` (CVE-2024-3727 is what happens without).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    encoded: String,
}

/// Why a text is no usable digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not of the form `algorithm:encoded`, or the wrong length or case.
    #[error("`{0}` is no digest; write sha256: and 64 lower-case hexadecimal digits")]
    Malformed(String),
    /// Well formed, but of an algorithm that ocisign does not recompute.
    #[error("digest algorithm `{0}` is not one that ocisign recomputes; use sha256 or sha512")]
    UnknownAlgorithm(String),
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// A SHA-256 digest from its 32 raw bytes.
    pub fn from_sha256(raw: [u8; 32]) -> Self {
        Self { algorithm: Algorithm::Sha256, encoded: hex::encode(raw) }
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon: lower-case hexadecimal of the exact length.
    pub fn hex(&self) -> &str {
        &self.encoded
    }

    /// Whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm, bytes) == *self
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(text.chars().take(160).collect());
        let (name, encoded) = text.split_once(':').ok_or_else(malformed)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other if well_formed(other, encoded) => {
                return Err(DigestError::UnknownAlgorithm(other.chars().take(64).collect()));
            }
            _ => return Err(malformed()),
        };
        let hex = encoded.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex || encoded.len() != algorithm.hex_len() {
            return Err(malformed());
        }
        Ok(Self { algorithm, encoded: encoded.to_owned() })
    }
}

/// The grammar of image-spec v1.1.1 for algorithms it does not register.
fn well_formed(algorithm: &str, encoded: &str) -> bool {
    let components = algorithm.split(['+', '.', '_', '-']);
    let mut good = true;
    for component in components {
        good &= !component.is_empty()
            && component.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    }
    good && !encoded.is_empty()
        && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.encoded)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A running hash of a stream.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// An empty hash.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => {
                Digest { algorithm: Algorithm::Sha256, encoded: hex::encode(state.finalize()) }
            }
            State::Sha512(state) => {
                Digest { algorithm: Algorithm::Sha512, encoded: hex::encode(state.finalize()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_anchored_and_lower_case() {
        let good = format!("sha256:{}", "a".repeat(64));
        assert_eq!(good.parse::<Digest>().map(|d| d.to_string()), Ok(good.clone()));
        for bad in [
            "sha256:".to_owned(),
            format!("sha256:{}", "A".repeat(64)),
            format!("sha256:{}", "a".repeat(63)),
            format!(" {good}"),
            format!("{good}/../x"),
            "sha256:../../etc/passwd".to_owned(),
            "../x:aa".to_owned(),
        ] {
            assert!(matches!(bad.parse::<Digest>(), Err(DigestError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn an_unknown_algorithm_is_told_apart() {
        let text = format!("blake3:{}", "a".repeat(64));
        assert_eq!(text.parse::<Digest>(), Err(DigestError::UnknownAlgorithm("blake3".into())));
    }
}
