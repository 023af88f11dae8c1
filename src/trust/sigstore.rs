//! Sigstore's trusted roots (protobuf-specs, sigstore_trustroot.proto): whom
//! to believe about certificates, transparency logs and timestamps.

use std::fmt;

use sigstore_verify::Verifier;
use sigstore_verify::trust_root::TrustedRoot;

use crate::image::{Digest, json};
use crate::limits::Limits;

/// The root of Sigstore's public deployment, as of 2026-08-19
/// (policies/roots/README.md).
pub const PUBLIC_ROOT: &[u8] = include_bytes!("../../policies/roots/sigstore-public.json");

/// A trusted root, ready to verify with.
pub struct SigstoreRoot {
    verifier: Verifier,
    /// Whether it lists logs of certificates, so that each must be in one.
    has_certificate_logs: bool,
    digest: Digest,
}

/// Why a trusted root cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the trusted root cannot be used: {0}")]
pub struct RootError(String);

impl SigstoreRoot {
    /// Reads `trusted_root.json`.
    ///
    /// # Errors
    /// [`RootError`] where it is over the limit, no strict JSON, or lists a
    /// key, certificate or period that cannot be used.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, RootError> {
        let most = limits.trusted_root_bytes;
        if bytes.len() as u64 > most {
            return Err(RootError(format!("it is larger than {most} bytes")));
        }
        json::scan(bytes, &[], limits.json_depth).map_err(|error| RootError(error.to_string()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| RootError(error.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|error| RootError(error.to_string()))?;
        let verifier = Verifier::new(&root).map_err(|error| RootError(error.to_string()))?;
        let has_certificate_logs = !root.ctlogs.is_empty();
        Ok(Self { verifier, has_certificate_logs, digest: Digest::sha256(bytes) })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn has_certificate_logs(&self) -> bool {
        self.has_certificate_logs
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Debug for SigstoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigstoreRoot({})", self.digest)
    }
}
