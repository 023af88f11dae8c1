//! One credentials file: docker's config.json and podman's auth.json share
//! the format (docker/cli, cli/config/configfile; containers-auth.json(5)).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{Credential, Secret};
use crate::image::Repository;

/// The parts of the file that concern credentials.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl AuthFile {
    /// The helper that answers for the repository: `credHelpers` wins over
    /// `credsStore` (docker/cli).
    pub(super) fn helper(&self, repository: &Repository) -> Option<&str> {
        let own = longest(&self.cred_helpers, repository).map(String::as_str);
        own.or(self.creds_store.as_deref()).filter(|suffix| !suffix.is_empty())
    }

    /// The credential in the file itself. `Err` says what is wrong with the
    /// entry, and never shows it.
    pub(super) fn credential(&self, repository: &Repository) -> Result<Option<Credential>, String> {
        match longest(&self.auths, repository) {
            Some(entry) => entry.credential(),
            None => Ok(None),
        }
    }

    /// As [`Self::credential`], where no key names the host itself also by
    /// keys with `*` in a label of theirs.
    pub(super) fn credential_by_pattern(
        &self,
        repository: &Repository,
    ) -> Result<Option<Credential>, String> {
        match longest(&self.auths, repository).or_else(|| widest(&self.auths, repository)) {
            Some(entry) => entry.credential(),
            None => Ok(None),
        }
    }

    /// A file that has entries alone.
    pub(super) fn from_auths(auths: BTreeMap<String, Entry>) -> Self {
        Self { auths, ..Self::default() }
    }
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthFile({} entries)", self.auths.len())
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            return decode(&auth).map(Some);
        }
        Ok(match (given(&self.username), given(&self.password)) {
            (Some(username), Some(password)) => {
                Some(Credential::Password { username, password: Secret::new(password) })
            }
            _ => None,
        })
    }
}

/// `base64(user:password)`, the password without the NULs that some writers
/// pad it with (docker/cli does the same).
fn decode(auth: &str) -> Result<Credential, String> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let bad = || "its `auth` is not base64 of `user:password`".to_owned();
    let raw = LENIENT.decode(auth.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(raw).map_err(|_| bad())?;
    let (username, password) = text.split_once(':').ok_or_else(bad)?;
    Ok(Credential::Password {
        username: username.to_owned(),
        password: Secret::new(password.trim_end_matches('\0')),
    })
}

/// The entry whose key matches the most of `host/path`: containers-auth.json
/// lets a key name a registry, a namespace or a repository.
fn longest<'a, T>(entries: &'a BTreeMap<String, T>, repository: &Repository) -> Option<&'a T> {
    let full = format!("{}/{}", repository.host(), repository.path());
    let covers =
        |key: &str| full == key || full.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'));
    let mut best: Option<(usize, bool, &'a T)> = None;
    for (key, value) in entries {
        let normal = normal_key(key);
        // of two spellings of one key the plain one wins, as in docker/cli
        let rank = (normal.len(), normal == *key);
        if covers(&normal) && best.as_ref().is_none_or(|(len, plain, _)| rank > (*len, *plain)) {
            best = Some((rank.0, rank.1, value));
        }
    }
    best.map(|(_, _, value)| value)
}

/// The longest key with `*` that matches `host/path`.
fn widest<'a, T>(entries: &'a BTreeMap<String, T>, repository: &Repository) -> Option<&'a T> {
    let covers = |key: &str| {
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let rest = repository.path().strip_prefix(path);
        host.contains('*')
            && matches_host(host, repository.host())
            && rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'))
    };
    let keys = entries.iter().map(|(key, value)| (normal_key(key), value));
    let fitting = keys.filter(|(key, _)| covers(key));
    fitting.max_by_key(|(key, _)| key.len()).map(|(_, value)| value)
}

/// Label by label, with equal ports: `*.example.com` is no `example.com` and
/// no `a.b.example.com`.
fn matches_host(pattern: &str, host: &str) -> bool {
    let port = |text: &str| text.split_once(':').map(|(_, port)| port.to_owned());
    let labels = |text: &str| -> Vec<String> {
        text.split(':').next().unwrap_or_default().split('.').map(str::to_owned).collect()
    };
    let (wanted, given) = (labels(pattern), labels(host));
    port(pattern) == port(host)
        && wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(pattern, label)| matches_label(pattern, label))
}

/// `*` stands for any run of characters, the empty one too.
fn matches_label(pattern: &str, label: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = label.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A key as `host[/path]`, in the form that [`Repository`] has.
fn normal_key(key: &str) -> String {
    let schemeless = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let text = schemeless.unwrap_or(key).trim_end_matches('/');
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    // With a scheme the key is a server's address (`https://index.docker.io/v1/`),
    // whose path says nothing about repositories.
    let address = schemeless.is_some() || matches!(path, "" | "v1" | "v2");
    let host = normal_host(host);
    if address { host } else { format!("{host}/{path}") }
}

fn normal_host(host: &str) -> String {
    let lower = host.to_ascii_lowercase();
    let bare = lower.strip_suffix(":443").unwrap_or(&lower);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(file: &str, repository: &str) -> Option<String> {
        let file: AuthFile = serde_json::from_str(file).unwrap();
        let repository = repository.parse().unwrap();
        match file.credential(&repository).unwrap()? {
            Credential::Password { username, .. } => Some(username),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn the_longest_key_wins_and_stops_at_a_slash() {
        let file = r#"{"auths": {
            "ghcr.io": {"username": "host", "password": "p"},
            "ghcr.io/me": {"username": "space", "password": "p"},
            "ghcr.io/me/app": {"username": "app", "password": "p"}
        }}"#;
        assert_eq!(user(file, "ghcr.io/me/app").as_deref(), Some("app"));
        assert_eq!(user(file, "ghcr.io/me/apple").as_deref(), Some("space"));
        assert_eq!(user(file, "ghcr.io/mean/app").as_deref(), Some("host"));
        assert_eq!(user(file, "ghcr.io.evil.example/me/app"), None);
        assert_eq!(user(file, "quay.io/me/app"), None);
    }

    #[test]
    fn docker_hub_has_many_spellings_of_one_key() {
        for key in [
            "https://index.docker.io/v1/",
            "index.docker.io/v1/",
            "docker.io",
            "https://registry-1.docker.io/v2/",
        ] {
            let file = format!(r#"{{"auths": {{"{key}": {{"auth": "bWU6cGE6c3M="}}}}}}"#);
            assert_eq!(user(&file, "alpine").as_deref(), Some("me"), "{key}");
            assert_eq!(user(&file, "ghcr.io/me/app"), None, "{key}");
        }
    }

    #[test]
    fn an_auth_text_is_split_at_the_first_colon_and_loses_its_padding() {
        let encoded = base64::engine::general_purpose::STANDARD.encode("me:a:b\0\0");
        let want = Credential::Password { username: "me".into(), password: Secret::new("a:b") };
        assert_eq!(decode(&encoded), Ok(want));
        assert!(decode("???").is_err());
        assert!(decode("bm9jb2xvbg==").is_err());
    }

    #[test]
    fn tokens_come_before_passwords_and_empty_entries_are_none() {
        let file = r#"{"auths": {"a.example": {"auth": "bWU6cA==", "identitytoken": "t"}, "b.example": {}}}"#;
        assert_eq!(user(file, "a.example/x").as_deref(), Some("IdentityToken([redacted])"));
        assert_eq!(user(file, "b.example/x"), None);
    }

    #[test]
    fn cred_helpers_win_over_the_creds_store() {
        let file: AuthFile = serde_json::from_str(
            r#"{"credHelpers": {"gcr.io": "gcloud"}, "credsStore": "desktop"}"#,
        )
        .unwrap();
        assert_eq!(file.helper(&"gcr.io/a".parse().unwrap()), Some("gcloud"));
        assert_eq!(file.helper(&"ghcr.io/a".parse().unwrap()), Some("desktop"));
    }
}
