//! `registries.d`: where the signatures of a repository lie
//! (containers-registries.d(5), and what containers/image does where the two
//! differ: a key that a section lacks is looked for in the sections above).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::image::Repository;
use crate::limits::Limits;
use crate::store::StoreError;

/// All files of a folder, merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RegistriesD {
    default: Option<Section>,
    sections: BTreeMap<String, Section>,
}

/// One section: of a namespace, or the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Section {
    lookaside: Option<String>,
    lookaside_staging: Option<String>,
    /// The older name.
    sigstore: Option<String>,
    /// The older name.
    sigstore_staging: Option<String>,
    /// Whether cosign's attachments are read; ocisign always does.
    #[serde(rename = "use-sigstore-attachments")]
    _attachments: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    default_docker: Option<Section>,
    docker: Option<BTreeMap<String, Section>>,
}

impl RegistriesD {
    /// Reads `*.yaml` of a folder.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder cannot be read,
    /// [`StoreError::Protocol`] where a file is not valid or two files speak
    /// of one namespace, [`StoreError::TooLarge`].
    pub(super) fn load(folder: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let failed =
            |source| StoreError::Io { what: format!("reading `{}`", folder.display()), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|e| e == "yaml") {
                paths.push(path);
            }
            if paths.len() > limits.registries_d_files {
                let what = format!("the number of files in `{}`", folder.display());
                return Err(StoreError::TooLarge { what, limit: limits.registries_d_files as u64 });
            }
        }
        paths.sort();
        let mut merged = Self::default();
        for path in paths {
            merged.take(&path, limits)?;
        }
        Ok(merged)
    }

    fn take(&mut self, path: &Path, limits: &Limits) -> Result<(), StoreError> {
        let bytes = super::folder::read(path, limits.registries_d_bytes)?.unwrap_or_default();
        self.add(&bytes).map_err(|reason| StoreError::Protocol {
            place: format!("`{}`", path.display()),
            reason,
        })
    }

    /// Adds one file's text.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        if text.trim().is_empty() {
            return Ok(());
        }
        let file: File = serde_saphyr::from_str(text).map_err(|error| {
            let first: String = error.to_string().lines().next().unwrap_or_default().into();
            format!("it is no registries.d file: {first}; see containers-registries.d(5)")
        })?;
        let twice = |name: &str| format!("`{name}` stands in two files; keep one");
        if let Some(section) = file.default_docker
            && self.default.replace(section).is_some()
        {
            return Err(twice("default-docker"));
        }
        for (name, section) in file.docker.unwrap_or_default() {
            if self.sections.insert(name.clone(), section).is_some() {
                let shown: String = name.chars().take(120).collect();
                return Err(twice(&shown));
            }
        }
        Ok(())
    }

    /// Where signatures are read.
    pub(super) fn reading(&self, repository: &Repository, tag: Option<&str>) -> Option<&str> {
        self.find(repository, tag, Section::reading)
    }

    /// Where signatures are written.
    pub(super) fn writing(&self, repository: &Repository, tag: Option<&str>) -> Option<&str> {
        self.find(repository, tag, Section::writing)
    }

    fn find<'a>(
        &'a self,
        repository: &Repository,
        tag: Option<&str>,
        value: impl Fn(&'a Section) -> Option<&'a str>,
    ) -> Option<&'a str> {
        let names = namespaces(repository, tag);
        let sections = names.iter().filter_map(|name| self.sections.get(name));
        sections.chain(&self.default).find_map(value)
    }
}

impl Section {
    fn reading(&self) -> Option<&str> {
        set(&self.lookaside).or(set(&self.sigstore))
    }

    fn writing(&self) -> Option<&str> {
        set(&self.lookaside_staging).or(set(&self.sigstore_staging)).or_else(|| self.reading())
    }
}

/// An empty text is as none (containers/image).
fn set(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

/// The sections that may speak of an image, the narrowest first
/// (containers/image, policyconfiguration/naming.go).
fn namespaces(repository: &Repository, tag: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = tag.map(|tag| format!("{repository}:{tag}")).into_iter().collect();
    let mut name = repository.to_string();
    loop {
        names.push(name.clone());
        match name.rsplit_once('/') {
            Some((above, _)) => name = above.to_owned(),
            None => break,
        }
    }
    let mut host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
    while let Some((_, rest)) = host.split_once('.') {
        names.push(format!("*.{rest}"));
        host = rest;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(files: &[&str]) -> Result<RegistriesD, String> {
        let mut all = RegistriesD::default();
        for file in files {
            all.add(file.as_bytes())?;
        }
        Ok(all)
    }

    const FILE: &str = "
default-docker:
  lookaside: https://default.example/sigs
docker:
  registry.example:
    lookaside: https://host.example
    lookaside-staging: file:///staging
  registry.example/team:
    use-sigstore-attachments: true
  registry.example/team/app:v1:
    sigstore: https://tag.example
  '*.wild.example':
    lookaside: https://wild.example
";

    #[test]
    fn the_narrowest_section_that_has_the_key_decides() {
        let all = merged(&[FILE]).unwrap();
        let read = |name: &str, tag: Option<&str>| {
            all.reading(&name.parse().unwrap(), tag).map(str::to_owned)
        };
        for (name, tag, want) in [
            ("registry.example/team/app", Some("v1"), "https://tag.example"),
            // the section of `team` lacks the key, so the host's counts
            ("registry.example/team/app", Some("v2"), "https://host.example"),
            ("registry.example/team/app", None, "https://host.example"),
            ("registry.example:5000/team/app", None, "https://default.example/sigs"),
            ("a.b.wild.example:5000/x", None, "https://wild.example"),
            ("wild.example/x", None, "https://default.example/sigs"),
            ("alpine", None, "https://default.example/sigs"),
        ] {
            assert_eq!(read(name, tag).as_deref(), Some(want), "{name} {tag:?}");
        }
        let write = |name: &str| all.writing(&name.parse().unwrap(), None).map(str::to_owned);
        assert_eq!(write("registry.example/x").as_deref(), Some("file:///staging"));
        assert_eq!(write("alpine").as_deref(), Some("https://default.example/sigs"));
    }

    #[test]
    fn one_namespace_stands_in_one_file() {
        let one = "docker: {a.example: {lookaside: 'https://x.example'}}";
        assert!(merged(&[one, "docker: {b.example: {}}"]).is_ok());
        assert!(merged(&[one, one]).unwrap_err().contains("two files"));
        let default = "default-docker: {lookaside: 'https://x.example'}";
        assert!(merged(&[default, default]).unwrap_err().contains("default-docker"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "docker: [a]",
            "dockers: {}",
            "docker: {a: {look: x}}",
            "docker: {a: {lookaside: 1, lookaside: 2}}",
            "\u{0}",
            "a: &a [*a]",
        ] {
            assert!(merged(&[bad]).is_err(), "{bad}");
        }
        assert!(merged(&["", "# nothing\n"]).is_ok());
    }

    #[test]
    fn aliases_do_not_multiply() {
        let mut text = "docker:\n  a.example: &a0 {lookaside: 'https://x.example'}\n".to_owned();
        text.push_str("x0: &x0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let many = format!("*x{},", level - 1).repeat(9);
            text.push_str(&format!("x{level}: &x{level} [{many}]\n"));
        }
        assert!(merged(&[&text]).is_err());
    }
}
