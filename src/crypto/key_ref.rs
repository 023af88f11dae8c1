//! How people name a key: a file, a variable, a token.

use std::fmt;
use std::path::PathBuf;

use super::pkcs11_uri::is_variable;
use super::{Pkcs11Uri, Pkcs11UriError};

/// Where a key is. Parsing one reads nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// A file.
    File(PathBuf),
    /// `env://NAME`: a variable that holds the PEM.
    Env(String),
    /// `pkcs11:…`: a key in a token (RFC 7512).
    Pkcs11(Box<Pkcs11Uri>),
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefError {
    /// Nothing.
    #[error("no key is given; give a file, `env://NAME` or a `pkcs11:` URI")]
    Empty,
    /// `env://` and something that is no variable's name.
    #[error("`{0}` is not the name of a variable; write `env://NAME`")]
    Variable(String),
    /// Another scheme, such as that of a cloud's key service.
    #[error(
        "keys at `{0}://` are not supported; give a file, `env://NAME` or a `pkcs11:` URI (cloud \
         services offer PKCS#11 modules)"
    )]
    Scheme(String),
    /// A `pkcs11:` URI that breaks the rules.
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11UriError),
}

impl KeyRef {
    /// Reads a key reference. What is neither `env://` nor `pkcs11:` nor has
    /// another scheme is a path.
    ///
    /// # Errors
    /// [`KeyRefError`]; a scheme that is not known is never taken for a path.
    pub fn parse(text: &str) -> Result<Self, KeyRefError> {
        if text.is_empty() {
            return Err(KeyRefError::Empty);
        }
        if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("pkcs11:")) {
            return Ok(Self::Pkcs11(Box::new(Pkcs11Uri::parse(text)?)));
        }
        match text.split_once("://") {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.into())),
            Some(("env", name)) => Err(KeyRefError::Variable(name.into())),
            Some((scheme, _)) if is_scheme(scheme) => Err(KeyRefError::Scheme(scheme.into())),
            _ => Ok(Self::File(text.into())),
        }
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Env(name) => write!(f, "env://{name}"),
            Self::Pkcs11(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_variables_and_tokens_are_told_apart() {
        for path in ["k.pem", "/etc/k", "./env:x", "dir/a://b", "C:\\k"] {
            assert_eq!(KeyRef::parse(path), Ok(KeyRef::File(path.into())));
        }
        assert_eq!(KeyRef::parse("env://KEY"), Ok(KeyRef::Env("KEY".into())));
        assert!(matches!(KeyRef::parse("pkcs11:object=k"), Ok(KeyRef::Pkcs11(_))));
        assert!(matches!(KeyRef::parse("PKCS11:object=k"), Ok(KeyRef::Pkcs11(_))));
    }

    #[test]
    fn an_unknown_scheme_is_not_taken_for_a_file() {
        for scheme in ["awskms", "gcpkms", "azurekms", "hashivault", "k8s", "file", "https", "ENV"]
        {
            let read = KeyRef::parse(&format!("{scheme}://x/y"));
            assert_eq!(read, Err(KeyRefError::Scheme(scheme.into())));
        }
        assert_eq!(KeyRef::parse("env://"), Err(KeyRefError::Variable(String::new())));
        assert_eq!(KeyRef::parse("env://A=B"), Err(KeyRefError::Variable("A=B".into())));
        assert_eq!(KeyRef::parse(""), Err(KeyRefError::Empty));
        assert!(matches!(KeyRef::parse("pkcs11:token=t"), Err(KeyRefError::Pkcs11(_))));
    }
}
