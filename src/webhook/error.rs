//! Why the webhook does not serve.

use std::net::SocketAddr;

use crate::engine;

/// The webhook cannot be started, or cannot take what its files hold now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy, its keys or a file could not be read.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The certificate, the key or the CA of clients cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The table of custom resources cannot be used.
    #[error("{0}")]
    Resources(String),
    /// Files changed each time they were read.
    #[error("the files change while they are read; replace them all at once")]
    Changing,
    /// Nobody can connect.
    #[error("cannot listen on {address}: {source}; choose another address")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// What runs the server could not be had.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
