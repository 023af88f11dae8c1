//! A docker configuration whose author is not the operator: a pull secret.
//!
//! Anybody who may write a secret writes it. Its entries are used; a
//! credential helper that it names is a program on this machine, and is never
//! run. Keys are read as the kubelet reads them, with `*` inside the labels of
//! a host (kubernetes.io, "Images", "Interpretation of config.json").

use super::Credential;
use super::entry::AuthFile;
use crate::image::{Repository, json};

/// Deeper than any docker configuration, CLI plugins' settings included.
const DEPTH: usize = 16;

/// The credentials of one pull secret.
#[derive(Debug)]
pub struct DockerConfig {
    file: AuthFile,
}

/// Why a configuration, or an entry of it, is of no use. The text never shows
/// what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not of the format.
    #[error("it is no docker configuration ({0}); create it again")]
    Format(String),
    /// The entry for a registry cannot be used.
    #[error("the entry for `{host}` cannot be used, {why}; create it again")]
    Entry {
        /// The registry.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// It leaves the registry to a program.
    #[error(
        "it leaves `{host}` to the credential helper `{helper}`, and no program that a secret \
         names is run; put user and password into the secret"
    )]
    Helper {
        /// The registry.
        host: String,
        /// The helper's name.
        helper: String,
    },
}

impl DockerConfig {
    /// Reads `.dockerconfigjson`: docker's config.json.
    ///
    /// # Errors
    /// [`ConfigError::Format`].
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        decode(text, &["auths", "credHelpers", "credsStore"]).map(|file| Self { file })
    }

    /// Reads `.dockercfg`: what docker wrote before 1.7, the `auths` alone.
    ///
    /// # Errors
    /// [`ConfigError::Format`].
    pub fn parse_legacy(text: &[u8]) -> Result<Self, ConfigError> {
        decode(text, &[]).map(|auths| Self { file: AuthFile::from_auths(auths) })
    }

    /// The credential for a repository; `None` where no entry is for it.
    ///
    /// # Errors
    /// [`ConfigError`] where there is an entry that cannot be used.
    pub fn credential(&self, repository: &Repository) -> Result<Option<Credential>, ConfigError> {
        let host = || repository.host().to_owned();
        let own = self.file.credential_by_pattern(repository);
        let own = own.map_err(|why| ConfigError::Entry { host: host(), why })?;
        match (own, self.file.helper(repository)) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(helper)) => {
                let shown = helper.chars().filter(|c| !c.is_control()).take(40).collect();
                Err(ConfigError::Helper { host: host(), helper: shown })
            }
            (None, None) => Ok(None),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(text: &[u8], known: &[&str]) -> Result<T, ConfigError> {
    // neither error may quote the text: it is a secret
    json::scan(text, known, DEPTH).map_err(|error| {
        ConfigError::Format(match error {
            json::JsonError::Ambiguous { at, .. } => format!("ambiguous JSON at byte {at}"),
            json::JsonError::Malformed { at, .. } => format!("malformed JSON at byte {at}"),
            json::JsonError::TooDeep { at, .. } => format!("JSON nests too deep at byte {at}"),
        })
    })?;
    serde_json::from_slice(text).map_err(|error| {
        ConfigError::Format(format!("line {}, column {}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(config: &DockerConfig, repository: &str) -> Result<Option<String>, ConfigError> {
        let found = config.credential(&repository.parse().unwrap())?;
        Ok(found.map(|credential| match credential {
            Credential::Password { username, .. } => username,
            other => format!("{other:?}"),
        }))
    }

    #[test]
    fn both_formats_hold_the_same_entries() {
        let auths = r#"{"ghcr.io": {"auth": "bWU6cA=="}, "ghcr.io/team": {"auth": "dGVhbTpw"}}"#;
        let new = DockerConfig::parse(format!(r#"{{"auths": {auths}}}"#).as_bytes()).unwrap();
        let old = DockerConfig::parse_legacy(auths.as_bytes()).unwrap();
        for config in [new, old] {
            assert_eq!(user(&config, "ghcr.io/a").unwrap().as_deref(), Some("me"));
            assert_eq!(user(&config, "ghcr.io/team/a").unwrap().as_deref(), Some("team"));
            assert_eq!(user(&config, "quay.io/team/a").unwrap(), None);
        }
    }

    #[test]
    fn a_star_stands_for_a_part_of_one_label_as_for_the_kubelet() {
        let config = DockerConfig::parse_legacy(
            br#"{
                "*.example.com": {"auth": "c3ViOnA="},
                "a.example.com": {"auth": "YTpw"},
                "*.b.example.com/team": {"auth": "dGVhbTpw"},
                "reg-*.example.org:5000": {"auth": "cmVnOnA="}
            }"#,
        )
        .unwrap();
        let user = |repository| user(&config, repository).unwrap();
        assert_eq!(user("b.example.com/x").as_deref(), Some("sub"));
        assert_eq!(user("a.example.com/x").as_deref(), Some("a"), "a name outranks a pattern");
        assert_eq!(user("x.b.example.com/team/y").as_deref(), Some("team"));
        assert_eq!(user("reg-1.example.org:5000/x").as_deref(), Some("reg"));
        for other in [
            "example.com/x",
            "a.b.example.com/x",
            "x.b.example.com/teams/y",
            "b.example.com.evil.example/x",
            "b.example.com:5000/x",
            "reg-1.example.org/x",
            "reg-1.example.org:50001/x",
            "reg-a.b.example.org:5000/x",
        ] {
            assert_eq!(user(other), None, "{other}");
        }
    }

    #[test]
    fn a_helper_is_named_and_not_run() {
        let config = DockerConfig::parse(
            br#"{"auths": {"a.example": {}, "b.example": {"auth": "bWU6cA=="}},
                "credHelpers": {"c.example": "../../tmp/x"}, "credsStore": "desktop"}"#,
        )
        .unwrap();
        assert_eq!(user(&config, "b.example/x").unwrap().as_deref(), Some("me"));
        for (repository, helper) in [("a.example/x", "desktop"), ("c.example/x", "../../tmp/x")] {
            let error = user(&config, repository).unwrap_err().to_string();
            assert!(error.contains(helper) && error.contains("no program"), "{error}");
        }
    }

    #[test]
    fn what_has_two_readings_is_refused_without_being_shown() {
        for text in [
            r#"{"auths": {"a.example": {"auth": "aHVudGVyMg=="}}, "auths": {}}"#,
            r#"{"Auths": {"a.example": {"password": "hunter2"}}}"#,
            r#"{"auths": {"a.example": "hunter2"}}"#,
            r#"{"auths": {"a.example": {"password": ["hunter2"]}}}"#,
            r#"{"auths": "hunter2"}"#,
            r#""hunter2""#,
            "hunter2",
            "",
        ] {
            let error = DockerConfig::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("unter2"), "{error:?}");
            assert!(error.to_string().contains("create it again"), "{error}");
        }
        let deep = format!("{}{}", r#"{"a":"#.repeat(100), "1".to_owned() + &"}".repeat(100));
        assert!(DockerConfig::parse(deep.as_bytes()).is_err());
        let broken = br#"{"auths": {"a.example": {"auth": "hunter2"}}}"#;
        let error = user(&DockerConfig::parse(broken).unwrap(), "a.example/x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
