//! What goes to the terminal: results on stdout, all else on stderr.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::report::{escaped, visible};

/// Whether a result did not reach its reader.
static LOST: AtomicBool = AtomicBool::new(false);

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

    /// A result. Where it cannot be written the command has not done what it
    /// was asked for, whatever it found out ([`Self::lost`]).
    pub(super) fn result(&self, text: &str) {
        if let Err(error) = write(&mut io::stdout().lock(), text) {
            LOST.store(true, Ordering::Relaxed);
            self.error(&io::Error::new(error.kind(), format!("cannot write the result: {error}")));
        }
    }

    /// Whether a result could not be written.
    pub(super) fn lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// A remark for people.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", lines(text));
        }
    }

    /// A remark that `-v` asks for.
    pub(super) fn detail(&self, text: &str) {
        if self.verbose {
            eprintln!("{}", lines(text));
        }
    }

    /// Where the notices of a registry go.
    pub(super) fn notices(&self) -> Option<fn(&str)> {
        (!self.quiet).then_some(|text| eprintln!("the registry says: {}", escaped(text)))
    }

    /// Something that should not be so and does not stop the work.
    pub(super) fn warning(&self, text: &str) {
        eprintln!("{} {}", self.paint("warning:", anstyle::AnsiColor::Yellow), lines(text));
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
            text.push_str(hint(cause));
            source = cause.source();
        }
        eprintln!("{} {}", self.paint("error:", anstyle::AnsiColor::Red), lines(&text));
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

/// What to do about what the system said.
fn hint(cause: &(dyn Error + 'static)) -> &'static str {
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => "; look at the path",
        Some(io::ErrorKind::IsADirectory) => "; name a file",
        Some(io::ErrorKind::PermissionDenied) => "; look at its owner and mode",
        _ => "",
    }
}

/// `text` with its line breaks, and without anything else that drives a
/// terminal: it may quote the name of an image or file that somebody else
/// chose.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Writes whole lines. A closed pipe is the reader's choice, not an error.
fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn colour(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_lines_and_nothing_else_that_steers() {
        assert_eq!(lines("a\n`\u{1b}[31mb`\r"), "a\n`\\u{1b}[31mb`\\u{d}");
    }

    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_a_closed_pipe_is_none() {
        let full = write(&mut Fails(io::ErrorKind::StorageFull), "allow").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(write(&mut Fails(io::ErrorKind::BrokenPipe), "allow").is_ok());
        let mut out = Vec::new();
        write(&mut out, "allow").unwrap();
        write(&mut out, "deny\n").unwrap();
        assert_eq!(out, b"allow\ndeny\n");
    }
}
