//! Refuses a CSV file whose quotes do not balance.
//!
//! A CSV reader that forgives takes an unclosed quote as closed at the end of the file: every
//! customer after it becomes part of one field, without an error. The trainer reads the same
//! dialect with Python's `csv.reader(strict=True)`, and tests/csv_dialect.json holds both to it.

use std::fmt;
use std::io::{self, Read};

/// A mark that some programs write at the start of UTF-8 text.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// What is wrong with the quotes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuoteError {
    /// The line of the file, from 1.
    pub(super) line: u64,
    kind: QuoteErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum QuoteErrorKind {
    /// The quote that begins a field in this line is never closed.
    Unclosed,
    /// Something follows the quote that ends a field.
    TextAfterQuote,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            QuoteErrorKind::Unclosed => "a quote (\") opens here and is never closed",
            QuoteErrorKind::TextAfterQuote => {
                "a quote (\") ends a field here, and no comma and no end of line follows it"
            }
        })
    }
}

impl std::error::Error for QuoteError {}

/// Passes a file's bytes on, and fails where its quotes do not balance.
pub(super) struct QuoteCheck<R> {
    inner: R,
    state: State,
    /// The current line, from 1.
    line: u64,
    /// Whether the last byte was a carriage return: a line feed after it begins no further line.
    after_return: bool,
    /// How many bytes of a byte order mark were seen; `None` after the start of the file.
    mark: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte of a field.
    FieldStart,
    /// In a field without quotes. A quote in it is an ordinary character.
    Plain,
    /// In a quoted field that began in this line.
    Quoted(u64),
    /// After a quote in a quoted field, which either ends the field or is one half of `""`.
    AfterQuote(u64),
}

impl<R> QuoteCheck<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, state: State::FieldStart, line: 1, after_return: false, mark: Some(0) }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), QuoteError> {
        for &byte in bytes {
            if self.is_mark(byte) {
                continue;
            }

            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') => State::Quoted(self.line),
                (State::AfterQuote(began), b'"') => State::Quoted(began),
                (State::Quoted(began), b'"') => State::AfterQuote(began),
                (State::Quoted(began), _) => State::Quoted(began),
                (_, b',' | b'\n' | b'\r') => State::FieldStart,
                (State::AfterQuote(_), _) => {
                    return Err(QuoteError {
                        line: self.line,
                        kind: QuoteErrorKind::TextAfterQuote,
                    });
                }
                (State::FieldStart | State::Plain, _) => State::Plain,
            };

            self.count_line(byte);
        }

        Ok(())
    }

    fn check_end(&self) -> Result<(), QuoteError> {
        match self.state {
            State::Quoted(line) => Err(QuoteError { line, kind: QuoteErrorKind::Unclosed }),
            _ => Ok(()),
        }
    }

    fn is_mark(&mut self, byte: u8) -> bool {
        let Some(seen) = self.mark else { return false };
        let matches = BYTE_ORDER_MARK[seen] == byte;
        self.mark = (matches && seen + 1 < BYTE_ORDER_MARK.len()).then_some(seen + 1);
        matches
    }

    fn count_line(&mut self, byte: u8) {
        if byte == b'\r' || (byte == b'\n' && !self.after_return) {
            self.line += 1;
        }

        self.after_return = byte == b'\r';
    }
}

impl<R: Read> Read for QuoteCheck<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let checked = match read {
            0 if !buffer.is_empty() => self.check_end(),
            _ => self.check(&buffer[..read]),
        };

        checked.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Reads the text in pieces of some bytes.
    fn read(text: &str, piece: usize) -> Result<(), QuoteError> {
        let mut check = QuoteCheck::new(text.as_bytes());
        let mut buffer = vec![0; piece];
        loop {
            match check.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    return Err(error.get_ref().unwrap().downcast_ref().cloned().unwrap());
                }
            }
        }
    }

    #[test]
    fn quotes_that_do_not_balance_are_refused_in_their_line_whatever_the_pieces() {
        for piece in [1, 2, 3, 7, 1000] {
            for good in [
                "",
                "a,b\n1,2",
                "a\n\"x\"\n",
                "\u{feff}\"a\",b\n1,2\n",
                "a\n\"two\r\nlines\"\n",
                "a\n\"say \"\"no\"\"\"\n",
                "a\n5\" pipe\n",
                "a\n\"\"",
                "a\n \"x\n",
            ] {
                assert_eq!(read(good, piece), Ok(()), "{good:?}");
            }

            for (bad, line, kind) in [
                ("a,b\n1,\"2\n3,4\n", 2, QuoteErrorKind::Unclosed),
                ("a,b\r\n1,2\r\n\"3,4\r\n", 3, QuoteErrorKind::Unclosed),
                ("\u{feff}\"a,b\n", 1, QuoteErrorKind::Unclosed),
                ("a\n\"x\"y\n", 2, QuoteErrorKind::TextAfterQuote),
                ("a\n\"x\ny\" ,z\n", 3, QuoteErrorKind::TextAfterQuote),
            ] {
                assert_eq!(read(bad, piece), Err(QuoteError { line, kind }), "{bad:?}");
            }
        }
    }
}
