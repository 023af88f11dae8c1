//! Signals of the system become what a server is told.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Control;
use crate::webhook::Error;

/// From now on SIGTERM and SIGINT end the server, and SIGHUP makes it look at
/// its files.
///
/// # Errors
/// [`Error::System`] where the system does not give signals.
pub fn obey_signals(control: Control) -> Result<(), Error> {
    let wanted = |kind| signal(kind).map_err(refused);
    let (mut term, mut int) = (wanted(SignalKind::terminate())?, wanted(SignalKind::interrupt())?);
    let mut hup = wanted(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = came(&mut term) => control.end(),
                () = came(&mut int) => control.end(),
                () = came(&mut hup) => control.reload(),
            }
        }
    });
    Ok(())
}

async fn came(signal: &mut Signal) {
    // none ever comes again where the system gives none any more
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}

fn refused(source: io::Error) -> Error {
    Error::System { what: "signals", source }
}
