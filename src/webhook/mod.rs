//! The admission webhook: AdmissionReview in, AdmissionReview out.
//!
//! ```text
//! bytes ─► review ─► images of old and new ─► gate ─► answer, patch, warnings
//!          strict     table of places         verdicts
//! ```

pub mod certificate;
mod deadline;
mod error;
mod keychain;
mod log;
mod metrics;
mod reload;
pub mod review;
mod secrets;
mod server;
mod tls;

pub use deadline::go_duration;
pub use error::Error;
pub use keychain::{Keychain, PodAccess};
pub use log::LogLevel;
pub use secrets::{Cluster, ClusterError, PullSecrets};
pub use server::{Control, Ended, Server, Settings, obey_signals};
pub use tls::TlsFiles;
