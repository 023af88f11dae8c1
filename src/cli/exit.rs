//! Exit codes as a type, and the one place that maps errors to them.

use std::process::{ExitCode, Termination};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done, or allow: 0.
    Yes,
    /// The answer is no: 1.
    No,
    /// Could not do or decide: 2.
    Undecided,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Undecided => 2,
        })
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The engine could not decide, or the answer is no: its error knows.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// The webhook cannot serve: its error knows, too.
    #[cfg(feature = "webhook")]
    #[error(transparent)]
    Webhook(#[from] crate::webhook::Error),
    /// The answer is no, in words that are complete.
    #[error("{0}")]
    No(String),
    /// Could not be done.
    #[error("{0}")]
    CouldNot(String),
}

impl Failure {
    /// The exit code for it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Engine(error) if error.is_answer() => Exit::No,
            // nobody asked a question that no is an answer to
            #[cfg(feature = "webhook")]
            Self::Webhook(_) => Exit::Undecided,
            Self::Engine(_) | Self::CouldNot(_) => Exit::Undecided,
            Self::No(_) => Exit::No,
        }
    }
}

/// Prints what clap has to say. Help and version are no failures.
pub(super) fn usage(error: &clap::Error) -> Exit {
    // a closed pipe is nobody to tell
    let _ = error.print();
    if error.use_stderr() { Exit::Undecided } else { Exit::Yes }
}
