//! Docker v1: what `docker save` wrote before Docker 1.10, one archive of
//! images that name each other by random ids (moby 1.9, image/spec/v1.md).
//!
//! Bytes are pushed in as they are read; nothing is kept of them but the
//! documents, and nothing is written anywhere. No id is ever taken for a
//! digest: 32 random bytes look like one (CVE-2014-8178, CVE-2014-9356).

mod config;
mod documents;
mod rules;
mod tree;

use std::sync::Arc;

use super::layer::Fault;
use super::layer::tar::TarWalk;
use super::{Digest, Limits};

pub use config::config;
pub use documents::{V1Archive, V1Image};
use rules::V1Rules;
pub use tree::tree;

/// What reading an archive of Docker v1 to its end showed. Only a
/// [`V1Reader`] makes one.
#[derive(Debug, Clone)]
#[must_use]
pub struct V1Check {
    archive: Result<Arc<V1Archive>, Fault>,
}

impl V1Check {
    /// What is in it, where the archive keeps the rules.
    pub fn archive(&self) -> Option<&V1Archive> {
        self.archive.as_deref().ok()
    }

    /// Why it is no sound archive, for people.
    pub fn fault(&self) -> Option<String> {
        match &self.archive {
            Ok(_) => None,
            Err(Fault::Malformed(why)) => Some(why.clone()),
            Err(Fault::Limit(why)) => Some(format!("limit exceeded: {why}")),
        }
    }
}

/// Reads an archive of Docker v1 as its bytes come.
#[derive(Debug)]
pub struct V1Reader {
    walk: TarWalk<V1Rules>,
    limits: Limits,
}

impl V1Reader {
    /// Begins to read. With `contents` every layer is hashed and its tar is
    /// held to the rules of layers.
    pub fn new(contents: bool, limits: &Limits) -> Self {
        Self { walk: TarWalk::new(V1Rules::new(contents, limits)), limits: limits.clone() }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.walk.update(bytes);
    }

    /// What reading showed.
    pub fn finish(self) -> V1Check {
        let (rules, fault) = self.walk.finish();
        let archive = match fault {
            Some(fault) => Err(fault),
            None => rules.finish(&self.limits).map(Arc::new),
        };
        V1Check { archive }
    }
}

/// The layer of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Layer {
    /// Bytes of its tar.
    pub size: u64,
    /// SHA-256 of its tar, where contents were read.
    pub digest: Option<Digest>,
    /// Why its tar is no sound layer, where contents were read.
    pub(in crate::image) fault: Option<Fault>,
}

/// Whether a text is an id: 64 lower-case hexadecimal digits. Anything else
/// could be a path.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
