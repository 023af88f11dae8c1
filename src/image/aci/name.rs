//! Names of images as people write them: `name[:version][,label=value…]`,
//! as rkt takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::grammar::is_identifier;
use super::manifest::{AciManifest, Pair};

/// A name with the labels that an image must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AciName {
    name: String,
    labels: BTreeMap<String, String>,
}

/// Why a text names no appc image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AciNameError {
    /// No AC Identifier.
    #[error("`{0}` is no name of an appc image; write example.com/app:1.0,os=linux, or ./FILE")]
    Name(String),
    /// A label that is none, or one that stands twice.
    #[error("`{0}` is no label, or stands twice; write NAME=VALUE, each name once")]
    Label(String),
}

impl AciName {
    /// A name with labels.
    ///
    /// # Errors
    /// [`AciNameError`] where one of them breaks the grammar.
    pub fn new(name: &str, labels: &[Pair]) -> Result<Self, AciNameError> {
        if !is_identifier(name) {
            return Err(AciNameError::Name(name.chars().take(80).collect()));
        }
        let mut own = Self { name: name.to_owned(), labels: BTreeMap::new() };
        labels.iter().try_for_each(|Pair { name, value }| own.add(name, value))?;
        Ok(own)
    }

    /// The name without labels: an AC Identifier.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels that are asked for.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), AciNameError> {
        let plain = |value: &str| !value.is_empty() && !value.chars().any(char::is_control);
        let wrong = || AciNameError::Label(name.chars().take(80).collect());
        if !is_identifier(name) || name == "name" || !plain(value) {
            return Err(wrong());
        }
        match self.labels.insert(name.to_owned(), value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(wrong()),
        }
    }

    /// Why a manifest is not the image that is asked for (discovery.md,
    /// "Validation"): another name, or not all of the labels.
    pub fn misses(&self, manifest: &AciManifest) -> Option<String> {
        if manifest.name != self.name {
            return Some(format!("it calls itself `{}`, not `{}`", manifest.name, self.name));
        }
        self.labels.iter().find_map(|(name, value)| match manifest.label(name) {
            Some(own) if own == value => None,
            Some(own) => Some(format!("its label {name} is `{own}`, not `{value}`")),
            None => Some(format!("it has no label {name}, and `{value}` is asked for")),
        })
    }
}

impl FromStr for AciName {
    type Err = AciNameError;

    fn from_str(text: &str) -> Result<Self, AciNameError> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, version) = match first.split_once(':') {
            Some((name, version)) => (name, Some(version)),
            None => (first, None),
        };
        let mut own = Self::new(name, &[])?;
        if let Some(version) = version {
            own.add("version", version)?;
        }
        for part in parts {
            let wrong = || AciNameError::Label(part.chars().take(80).collect());
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            own.add(name, value)?;
        }
        Ok(own)
    }
}

impl fmt::Display for AciName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(version) = self.labels.get("version") {
            write!(f, ":{version}")?;
        }
        self.labels
            .iter()
            .filter(|(name, _)| *name != "version")
            .try_for_each(|(name, value)| write!(f, ",{name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in ["example.com/app", "example.com/app:1.0", "a:1,arch=amd64,os=linux"] {
            assert_eq!(text.parse::<AciName>().unwrap().to_string(), text);
        }
        assert_eq!("a,version=1".parse::<AciName>().unwrap().to_string(), "a:1");
        for text in ["", "A", "a:", "a,os", "a,os=", "a,os=a,os=b", "a:1,version=2", "a,name=b"] {
            assert!(text.parse::<AciName>().is_err(), "{text}");
        }
    }
}
