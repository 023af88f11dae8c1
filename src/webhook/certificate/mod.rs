//! The webhook's own certificate: made, written to the cluster and rotated
//! without a moment in which the API server does not trust what is served.
//!
//! ```text
//! ca.crt: old, new ─► caBundle: old, new ─► wait ─► tls.crt, tls.key: new ─► … later ─► ca.crt, caBundle: new
//! ```
//!
//! Each certificate has an authority of its own, whose key is thrown away as
//! soon as it has signed. `ca.crt` of the Secret says which authorities are
//! to be trusted, and every `caBundle` is made to follow it, so whatever was
//! interrupted, undone or raced is put right by the next run.

mod cluster;
mod files;
mod issue;
mod rotate;
mod standing;
mod wire;

use std::time::Duration;

pub use cluster::{Configuration, Objects, Target};
pub use files::refresh as refresh_files;
pub use issue::{Issued, issue};
pub use rotate::{Done, Outcome, rotate};

/// How long certificates live, and what a change waits for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long a new certificate is valid.
    pub valid_for: Duration,
    /// A certificate that holds for less than this is replaced.
    pub renew_before: Duration,
    /// How long an authority stays trusted after its certificate was
    /// replaced: every replica must have loaded the new one by then.
    pub overlap: Duration,
    /// From the new authority's publication to the first use of its
    /// certificate: every API server must have seen it by then.
    pub settle: Duration,
}

/// Whether a certificate is replaced before it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// When it must be.
    WhenDue,
    /// Now, as after a key became known to others.
    Now,
}

/// Why there is no certificate, or not everywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No name that a server or an object can have.
    #[error("`{0}` is no name that a server or an object can have; give it as Kubernetes has it")]
    Name(String),
    /// The certificate cannot be made.
    #[error("a certificate for `{names}` cannot be made: {source}")]
    Make {
        /// What it was to be for.
        names: String,
        /// What stands against it.
        source: rcgen::Error,
    },
    /// The API server could not be reached, or refused.
    #[error(
        "{what} cannot be {did}: {reason}; look at the API server, and at the rights of this account"
    )]
    Api {
        /// The object.
        what: String,
        /// `read`, `written`.
        did: &'static str,
        /// What the API server says.
        reason: String,
    },
    /// The Secret holds what this program did not put there.
    #[error(
        "{0} holds a certificate that `ocisign certificate rotate` did not make; \
         name another secret, or delete this one"
    )]
    Foreign(String),
    /// A configuration whose webhooks are somebody else's.
    #[error(
        "no webhook of {0} calls the service or host that the certificate is for; \
         name the right configuration, service and namespace"
    )]
    Unrelated(String),
    /// Others change the same objects all the time.
    #[error("the objects were changed by others {0} times meanwhile; run it again")]
    Contended(u32),
    /// The configurations did not appear in time.
    #[error("{0} did not appear in time; create it, then run this again")]
    Absent(String),
    /// A file cannot be read or written.
    #[error("`{path}` cannot be {did}: {source}")]
    File {
        /// The file.
        path: String,
        /// `read`, `written`.
        did: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An error with its causes, which not every text has in it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
