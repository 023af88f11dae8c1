//! The admission webhook: AdmissionReview in, AdmissionReview out.
//!
//! ```text
//! bytes ─► review ─► images of old and new ─► gate ─► answer, patch, warnings
//!          strict     table of places         verdicts
//! ```

pub mod certificate;
mod keychain;
mod secrets;

pub use keychain::{Keychain, PodAccess};
pub use secrets::{Cluster, ClusterError, PullSecrets};
