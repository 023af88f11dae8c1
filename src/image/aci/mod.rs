//! appc images: one archive with a manifest and a root file system, named by
//! the hash of what it decompresses to (appc spec 0.8.11, aci.md).
//!
//! Bytes are pushed in as they are read; nothing is kept of them but the
//! manifest, and nothing is written anywhere.

mod bzip2;
mod config;
mod grammar;
mod id;
mod layer;
mod manifest;
mod name;
mod rules;
mod tree;
mod unpack;
mod xz;

use std::io;
use std::sync::Arc;

use super::layer::Fault;
use super::{Digest, Limits};

pub use config::{AciConfig, config};
pub use grammar::is_identifier;
pub use id::{AciId, AciIdError};
pub use layer::AciLayer;
use layer::LayerWriter;
pub use manifest::{AciManifest, App, Dependency, EventHandler, MountPoint, Pair, Port};
pub use name::{AciName, AciNameError};
pub(in crate::image) use rules::AciRules;
pub use tree::{AciTree, AciWant};
pub use unpack::AciCompression;
use unpack::Unpack;

/// What reading an ACI to its end showed. Only an [`AciReader`] makes one.
#[derive(Debug, Clone)]
#[must_use]
pub struct AciCheck {
    id: Digest,
    size: u64,
    manifest: Result<Arc<Read>, Fault>,
}

/// What stands in an archive that keeps the rules.
#[derive(Debug)]
struct Read {
    bytes: Vec<u8>,
    manifest: Result<AciManifest, String>,
    compression: AciCompression,
    devices: u64,
}

impl AciCheck {
    /// The image ID: SHA-512 of the whole uncompressed tar. `None` where the
    /// archive could not be read to its end, or breaks its rules.
    pub fn id(&self) -> Option<&Digest> {
        self.manifest.is_ok().then_some(&self.id)
    }

    /// Bytes of the uncompressed tar.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The manifest, where the archive and it keep the rules.
    pub fn manifest(&self) -> Option<&AciManifest> {
        self.manifest.as_ref().ok()?.manifest.as_ref().ok()
    }

    /// How the archive is compressed.
    pub fn compression(&self) -> Option<AciCompression> {
        self.manifest.as_ref().ok().map(|read| read.compression)
    }

    /// Why it is no ACI, for people; `None` where it is a sound one.
    pub fn fault(&self) -> Option<String> {
        match &self.manifest {
            Ok(read) => read.manifest.as_ref().err().map(|why| format!("manifest: {why}")),
            Err(Fault::Malformed(why)) => Some(why.clone()),
            Err(Fault::Limit(why)) => Some(format!("limit exceeded: {why}")),
        }
    }
}

/// Reads an ACI as its bytes come.
#[derive(Debug)]
pub struct AciReader {
    unpack: Unpack,
    limits: Limits,
}

impl AciReader {
    /// Begins to read.
    pub fn new(limits: &Limits) -> Self {
        let rules = AciRules::new(limits, None);
        Self { unpack: Unpack::new(limits, rules), limits: limits.clone() }
    }

    /// The same, and writes the root file system into `out` as a layer while
    /// it is read. Whoever gives `out` throws it away where the image turns
    /// out to be none.
    pub fn with_layer(limits: &Limits, out: Box<dyn io::Write + Send>) -> Self {
        let rules = AciRules::new(limits, Some(Box::new(LayerWriter::new(out))));
        Self { unpack: Unpack::new(limits, rules), limits: limits.clone() }
    }

    /// Takes the next bytes of the file. False once it is known to be no ACI:
    /// nothing that follows matters then.
    pub fn update(&mut self, bytes: &[u8]) -> bool {
        self.unpack.update(bytes)
    }

    /// What reading showed.
    pub fn finish(self) -> AciCheck {
        self.finish_layer().0
    }

    /// What reading showed, and the layer that was written.
    ///
    /// # Errors
    /// Beside the check stands what writing the layer ended with.
    pub fn finish_layer(self) -> (AciCheck, Option<io::Result<AciLayer>>) {
        let (id, size, compression, rules) = self.unpack.finish();
        let mut layer = None;
        let read = rules.and_then(AciRules::finish).map(|found| {
            layer = found.layer.map(|layer| layer.finish());
            let manifest = AciManifest::parse(&found.manifest, &self.limits);
            Arc::new(Read { bytes: found.manifest, manifest, compression, devices: found.devices })
        });
        (AciCheck { id, size, manifest: read }, layer)
    }
}

#[cfg(test)]
mod tests;
