//! Files that change while the server runs: policy, keys, certificate and the
//! table of custom resources are taken without a gap, or not at all.

use std::path::{Path, PathBuf};

use super::Error;
use super::review::Table;
use super::tls::{Identity, TlsFiles};
use crate::engine::{Engine, read_file};
use crate::image::Digest;
use crate::limits::Limits;
use crate::policy::{self, Blob};

/// What files held when they were looked at. By content, because a ConfigMap
/// or Secret is mounted as links that change their target: times and inodes
/// say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Option<Digest>>);

impl Fingerprint {
    /// Of files, in their order; one that cannot be read counts as absent.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>, max: u64) -> Self {
        let digest = |path: &Path| read_file(path, max).ok().map(|bytes| Digest::sha256(&bytes));
        Self(paths.into_iter().map(digest).collect())
    }
}

/// Something that is made of files.
pub(super) trait Source {
    /// What it becomes.
    type Value;

    /// What the files hold now.
    fn fingerprint(&self) -> Fingerprint;

    /// Reads the files.
    fn load(&self) -> Result<Self::Value, Error>;
}

/// The policy and every key file that it names.
#[derive(Debug)]
pub(super) struct PolicyFiles {
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
}

impl Source for PolicyFiles {
    type Value = Engine;

    fn fingerprint(&self) -> Fingerprint {
        let Ok(text) = read_file(&self.path, self.limits.policy_bytes) else {
            return Fingerprint(vec![None]);
        };
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut keys = Vec::new();
        // of one that is no policy, the text is all there is
        if let Ok(document) = policy::parse(&text, &self.limits) {
            for (_, source) in document.signers.values().flat_map(|signer| signer.sources()) {
                match source {
                    Blob::File { path, .. } => keys.push(directory.join(path)),
                    Blob::Pem(_) => {}
                }
            }
        }
        let keys = keys.iter().map(PathBuf::as_path);
        let Fingerprint(keys) = Fingerprint::of(keys, self.limits.key_bytes);
        Fingerprint(std::iter::once(Some(Digest::sha256(&text))).chain(keys).collect())
    }

    fn load(&self) -> Result<Engine, Error> {
        Ok(Engine::load(&self.path, &self.limits)?)
    }
}

/// The certificate, its key, and the CA of clients.
#[derive(Debug)]
pub(super) struct CertificateFiles {
    pub(super) files: TlsFiles,
    pub(super) limits: Limits,
}

impl Source for CertificateFiles {
    type Value = Identity;

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.files.paths(), self.limits.policy_bytes)
    }

    fn load(&self) -> Result<Identity, Error> {
        self.files.load(&self.limits)
    }
}

/// The table of custom resources.
#[derive(Debug)]
pub(super) struct TableFile {
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
}

impl Source for TableFile {
    type Value = Table;

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of([self.path.as_path()], self.limits.policy_bytes)
    }

    fn load(&self) -> Result<Table, Error> {
        let bytes = read_file(&self.path, self.limits.policy_bytes)?;
        Table::parse(&bytes, &self.limits)
            .map_err(|bad| Error::Resources(format!("`{}`: {bad}", self.path.display())))
    }
}

/// A source, and what its files held when it was last tried.
#[derive(Debug)]
pub(super) struct Watched<S> {
    source: S,
    tried: Fingerprint,
}

/// Whether to read files that hold what they held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Only what changed.
    Changed,
    /// All, because somebody asks for it.
    Anyway,
}

impl<S: Source> Watched<S> {
    /// The first reading.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn first(source: S) -> Result<(Self, S::Value), Error> {
        let mut watched = Self { source, tried: Fingerprint::default() };
        let value = watched.steady()?;
        Ok((watched, value))
    }

    /// What the files became, where they changed since the last try; `None`
    /// where they did not.
    pub(super) fn look(&mut self, look: Look) -> Option<Result<S::Value, Error>> {
        let same = self.source.fingerprint() == self.tried;
        if same && look == Look::Changed {
            return None;
        }
        Some(self.steady())
    }

    /// Reads until what was read is what the files held before and after: a
    /// policy of one edition with a key of another was never meant.
    fn steady(&mut self) -> Result<S::Value, Error> {
        const TRIES: usize = 3;
        let mut tries = 0;
        loop {
            let before = self.source.fingerprint();
            let value = self.source.load();
            self.tried = self.source.fingerprint();
            tries += 1;
            if self.tried == before {
                return value;
            }
            if tries == TRIES {
                // the next look tries again, because what was tried is not what is there
                self.tried = Fingerprint::default();
                return value.and(Err(Error::Changing));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Files that hold another thing each time they are looked at.
    struct Restless(Cell<u8>, u8);

    impl Source for Restless {
        type Value = ();

        fn fingerprint(&self) -> Fingerprint {
            self.0.set(self.0.get().saturating_add(1).min(self.1));
            Fingerprint(vec![Some(Digest::sha256(&[self.0.get()]))])
        }

        fn load(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn files_that_change_while_they_are_read_are_read_again() {
        let (mut watched, ()) = Watched::first(Restless(Cell::new(0), 3)).unwrap();
        assert!(watched.look(Look::Changed).is_none());
        assert!(watched.look(Look::Anyway).is_some());
        let endless = Watched::first(Restless(Cell::new(0), u8::MAX));
        assert!(matches!(endless.map(|_| ()), Err(Error::Changing)));
    }
}
