//! Why the engine could not decide.

use std::time::Duration;

use crate::image::ReferenceError;
use crate::store::StoreError;

use super::copy::CopyError;
use super::keys;

/// The engine could not do or decide; for some of it the answer is no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be read or used.
    #[error(transparent)]
    Key(#[from] keys::Error),
    /// A copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A name is none.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// A policy or another document is invalid; the text shows where.
    #[error("{0}")]
    Invalid(String),
    /// The image is not what its digests say, so nothing is signed.
    #[error("the image is not what its digests say ({0}); do not use it")]
    Broken(String),
    /// The image could not be read in full, so nothing is signed.
    #[error("{0}")]
    Incomplete(String),
    /// A file could not be read or written.
    #[error("cannot {what}: {source}")]
    File {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("not decided within {} s; raise the deadline or look at the registry", .0.as_secs())]
    Deadline(Duration),
    /// No event loop or thread could be had.
    #[error("the system gives no event loop or thread: {0}")]
    Runtime(std::io::Error),
    /// What was asked for is not possible; the text says what to do.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Whether it is the answer no (exit 1), not a failure to answer (exit 2).
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Broken(_) => true,
            Self::Copy(error) => error.is_denial(),
            Self::Key(error) => error.is_answer(),
            Self::Store(_)
            | Self::Name(_)
            | Self::Incomplete(_)
            | Self::File { .. }
            | Self::Deadline(_)
            | Self::Runtime(_)
            | Self::Usage(_) => false,
        }
    }
}
