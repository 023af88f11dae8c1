//! Which credentials files there are, and in which order they are asked.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::entry::AuthFile;
use super::{Credential, Credentials, helper, unusable};
use crate::image::Repository;
use crate::store::StoreError;

/// Largest file that is read; real ones are a few KiB.
const FILE_BYTES: u64 = 1 << 20;

/// How long a credential helper may take. It may ask a person to unlock a
/// keyring, so this is not short.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials files, the first entry that fits wins.
#[derive(Debug, Clone)]
pub struct AuthFiles {
    files: Vec<PathBuf>,
    /// Whether the first file was asked for by name, so that it must exist.
    explicit: bool,
    helper_timeout: Duration,
}

impl AuthFiles {
    /// Where the environment says: `REGISTRY_AUTH_FILE` alone where it is
    /// set; else docker's `config.json` (`DOCKER_CONFIG`, `~/.docker`), then
    /// podman's `auth.json` (`XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`).
    pub fn from_environment() -> Self {
        Self::from_variables(&|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// Exactly this file, which must exist once it is needed (`--auth-file`).
    pub fn explicit(path: impl Into<PathBuf>) -> Self {
        Self { files: vec![path.into()], explicit: true, helper_timeout: HELPER_TIMEOUT }
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
        if let Some(path) = set("REGISTRY_AUTH_FILE") {
            return Self::explicit(path);
        }
        let home = set("HOME");
        let below = |base: &Option<PathBuf>, rest: &str| base.as_ref().map(|dir| dir.join(rest));
        let docker = set("DOCKER_CONFIG").or_else(|| below(&home, ".docker"));
        let config = set("XDG_CONFIG_HOME").or_else(|| below(&home, ".config"));
        let files = [
            below(&docker, "config.json"),
            below(&set("XDG_RUNTIME_DIR"), "containers/auth.json"),
            below(&config, "containers/auth.json"),
        ];
        Self {
            files: files.into_iter().flatten().collect(),
            explicit: false,
            helper_timeout: HELPER_TIMEOUT,
        }
    }

    /// The same files with another bound on credential helpers.
    #[must_use]
    pub fn with_helper_timeout(self, helper_timeout: Duration) -> Self {
        Self { helper_timeout, ..self }
    }

    async fn in_file(
        &self,
        path: &Path,
        repository: &Repository,
    ) -> Result<Option<Credential>, StoreError> {
        let Some(file) = read(path, self.explicit)? else { return Ok(None) };
        if let Some(suffix) = file.helper(repository) {
            let found = helper::ask(suffix, repository, self.helper_timeout).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        file.credential(repository).map_err(|problem| {
            let host = repository.host();
            unusable(
                place(path),
                format!("the entry for `{host}` cannot be used, {problem}; log in again"),
            )
        })
    }
}

#[async_trait]
impl Credentials for AuthFiles {
    async fn lookup(&self, repository: &Repository) -> Result<Option<Credential>, StoreError> {
        for path in &self.files {
            if let Some(found) = self.in_file(path, repository).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn read(path: &Path, must_exist: bool) -> Result<Option<AuthFile>, StoreError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(None);
        }
        Err(error) => {
            return Err(unusable(
                place(path),
                format!("it cannot be read ({error}); check the path"),
            ));
        }
    };
    let mut text = zeroize::Zeroizing::new(Vec::new());
    file.take(FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| unusable(place(path), format!("it cannot be read ({error})")))?;
    if text.len() as u64 > FILE_BYTES {
        return Err(unusable(place(path), format!("it is larger than {FILE_BYTES} bytes")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None); // podman creates it empty
    }
    // serde_json's own message could quote a secret, its position cannot
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        unusable(
            place(path),
            format!("it is no credentials file (line {line}, column {column}); log in again"),
        )
    })
}

fn place(path: &Path) -> String {
    format!("credentials file `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(set: &[(&str, &str)]) -> (Vec<String>, bool) {
        let files = AuthFiles::from_variables(&|name| {
            set.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v))
        });
        (files.files.iter().map(|f| f.display().to_string()).collect(), files.explicit)
    }

    #[test]
    fn the_environment_names_the_files() {
        let (files, explicit) = order(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/u")]);
        assert_eq!(
            files,
            [
                "/h/.docker/config.json",
                "/run/u/containers/auth.json",
                "/h/.config/containers/auth.json"
            ]
        );
        assert!(!explicit);
        let (files, _) =
            order(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_CONFIG_HOME", "/c")]);
        assert_eq!(files, ["/d/config.json", "/c/containers/auth.json"]);
        let (files, explicit) = order(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a.json")]);
        assert_eq!(files, ["/a.json"]);
        assert!(explicit, "a file that was named must exist");
        assert_eq!(order(&[("HOME", ""), ("REGISTRY_AUTH_FILE", "")]).0, [""; 0]);
    }

    #[test]
    fn a_broken_file_is_an_error_that_does_not_quote_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"auths": {"a.b": "hunter2"}}"#).unwrap();
        let error = read(&path, false).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
        assert!(read(&dir.path().join("none"), false).unwrap().is_none());
        assert!(read(&dir.path().join("none"), true).is_err());
    }
}
