//! Lines of a file that may be anything: each bounded before it is held.

use std::io::{self, BufRead, Read as _};

/// One line, without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'b> {
    /// It ends with a line feed.
    Whole(&'b [u8]),
    /// The last one, which ends with the file.
    Torn(&'b [u8]),
    /// It is longer than the bound, and was passed over.
    TooLong,
}

/// Reads line by line and holds one.
pub(super) struct Lines<R> {
    reader: R,
    most: u64,
    buffer: Vec<u8>,
    number: u64,
    end: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `most` bytes.
    pub(super) fn new(reader: R, most: u64) -> Self {
        Self { reader, most, buffer: Vec::new(), number: 0, end: 0 }
    }

    /// The number of the line that was read last, from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Where it ends in the file, its line feed included.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let bound = self.most.saturating_add(1);
        let read = self.reader.by_ref().take(bound).read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.end += read as u64;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            return Ok(Some(Line::Whole(&self.buffer)));
        }
        if read as u64 > self.most {
            self.pass_over()?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Torn(&self.buffer)))
    }

    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let held = self.reader.fill_buf()?;
            let (used, found) = match held.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (held.len(), held.is_empty()),
            };
            self.reader.consume(used);
            self.end += used as u64;
            if found {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, most: u64) -> Vec<String> {
        // a buffer of two bytes: lines cross its edge
        let mut lines = Lines::new(io::BufReader::with_capacity(2, text.as_bytes()), most);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let shown = match line {
                Line::Whole(bytes) => text(bytes),
                Line::Torn(bytes) => format!("{} (torn)", text(bytes)),
                Line::TooLong => "too long".to_owned(),
            };
            seen.push(format!("{}: {shown}, {}", lines.number(), lines.end()));
        }
        seen
    }

    #[test]
    fn lines_are_numbered_and_a_long_one_is_passed_over() {
        assert_eq!(
            all("a\n\nlonger\nabc\nb", 3),
            ["1: a, 2", "2: , 3", "3: too long, 10", "4: abc, 14", "5: b (torn), 15"]
        );
        assert_eq!(all("", 3), [""; 0]);
        assert_eq!(all("long", 3), ["1: too long, 4"]);
        assert_eq!(all("abc", 3), ["1: abc (torn), 3"]);
    }
}
