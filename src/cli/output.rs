//! What goes to the terminal: results on stdout, all else on stderr.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};

use crate::report::escaped;

/// How much to say, and whether a person is looking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// From `-q` and `-v`.
    pub(super) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// A result. A closed pipe is the reader's choice, not an error.
    pub(super) fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
    }

    /// A remark for people.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// A remark that `-v` asks for.
    pub(super) fn detail(&self, text: &str) {
        if self.verbose {
            eprintln!("{text}");
        }
    }

    /// Where the notices of a registry go.
    pub(super) fn notices(&self) -> Option<fn(&str)> {
        (!self.quiet).then_some(|text| eprintln!("the registry says: {}", escaped(text)))
    }

    /// Something that should not be so and does not stop the work.
    pub(super) fn warning(&self, text: &str) {
        eprintln!("{} {text}", self.paint("warning:", anstyle::AnsiColor::Yellow));
    }

    /// An error with all of its causes.
    pub(super) fn error(&self, error: &dyn Error) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        eprintln!("{} {text}", self.paint("error:", anstyle::AnsiColor::Red));
    }

    /// Whether stdout is a terminal that wants colour (NO_COLOR is heeded).
    pub(super) fn colour(&self) -> bool {
        colour(&std::io::stdout())
    }

    /// Whether a progress bar may be drawn.
    pub(super) fn progress(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    fn paint(&self, word: &str, colour_of: anstyle::AnsiColor) -> String {
        if !colour(&std::io::stderr()) {
            return word.to_owned();
        }
        let style = colour_of.on_default().bold();
        format!("{style}{word}{style:#}")
    }
}

fn colour(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}
