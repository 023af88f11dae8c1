//! What goes to the terminal: results on stdout, all else on stderr.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};

/// How much to say, and whether a person is looking.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    quiet: bool,
    verbose: u8,
}

impl Output {
    /// From `-q` and `-v`.
    pub fn new(quiet: bool, verbose: u8) -> Self {
        Self { quiet, verbose }
    }

    /// A result. A closed pipe is the reader's choice, not an error.
    pub fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
    }

    /// A remark for people.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// A remark that `-v` asks for.
    pub fn detail(&self, text: &str) {
        if self.verbose > 0 {
            eprintln!("{text}");
        }
    }

    /// Something that should not be so and does not stop the work.
    pub fn warning(&self, text: &str) {
        eprintln!("{} {text}", self.paint("warning:", anstyle::AnsiColor::Yellow));
    }

    /// An error with all of its causes.
    pub fn error(&self, error: &dyn Error) {
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
    pub fn colour(&self) -> bool {
        colour(&std::io::stdout())
    }

    /// Whether a progress bar may be drawn.
    pub fn progress(&self) -> bool {
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
