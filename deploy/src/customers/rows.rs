//! Reads the one dialect of CSV that the loader and the trainer share.
//!
//! It is strict, because a reader that forgives loses customers: an unclosed quote would swallow all
//! lines up to the end of the file, without an error. Every record knows the line in which it
//! begins. The trainer reads the same dialect, and tests/csv_dialect.json holds both to it.

use std::fmt;
use std::io::Read;

use super::decode::Text;

const BUFFER_BYTES: usize = 1 << 16;
/// What may separate fields. The header decides: the one that it has most often.
const SEPARATORS: [(u8, &str); 4] =
    [(b',', "comma"), (b';', "semicolon"), (b'\t', "tab"), (b'|', "vertical bar")];

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowError {
    /// The line of the file, from 1.
    pub(super) line: u64,
    pub(super) kind: RowErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowErrorKind {
    /// The quote that begins a field in this line is never closed.
    Unclosed,
    /// Something follows the quote that ends a field. It has the separator's name.
    TextAfterQuote(&'static str),
    /// A quote is written as `\"`, which is not how CSV writes one.
    BackslashQuote,
    /// A row has another number of fields than the header.
    Width { found: usize, expected: usize, is_first: bool },
    /// The text is not UTF-8.
    NotUtf8 { byte: u8 },
    /// The file ends above its header.
    Empty,
    /// Reading failed.
    Unreadable(String),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RowErrorKind::{
            BackslashQuote, Empty, NotUtf8, TextAfterQuote, Unclosed, Unreadable, Width,
        };
        match &self.kind {
            Unclosed => f.write_str("a quote (\") opens here and is never closed"),
            TextAfterQuote(separator) => write!(
                f,
                "a quote (\") ends a field here, and no {separator} and no end of line follows it"
            ),
            BackslashQuote => f.write_str("a quote in a field is written as \\\" here"),
            Width { found, expected, .. } => {
                write!(f, "a row has {found} fields, the header has {expected}")
            }
            NotUtf8 { byte } => write!(f, "the text is not UTF-8: it has the byte 0x{byte:02x}"),
            Empty => f.write_str("the file is empty"),
            Unreadable(why) => write!(f, "the file cannot be read: {why}"),
        }
    }
}

impl RowError {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        match &self.kind {
            RowErrorKind::Unclosed | RowErrorKind::TextAfterQuote(_) => {
                "close the quote, or write a quote inside quotes twice".to_owned()
            }
            RowErrorKind::BackslashQuote => {
                "write a quote inside quotes twice (\"\"), and a backslash once".to_owned()
            }
            RowErrorKind::Width { found, expected, is_first: true } if found > expected => format!(
                "if line {} is a note and the header is below it, leave it out with --skip-lines; \
                 otherwise put quotes around fields that hold commas",
                self.line.saturating_sub(1)
            ),
            RowErrorKind::Width { .. } => "put quotes around fields that hold commas, and write \
                 every field of the row; a note or a total below the table has to go"
                .to_owned(),
            RowErrorKind::NotUtf8 { .. } => {
                "convert the file, for example: iconv -f windows-1252 -t utf-8 IN.csv > OUT.csv"
                    .to_owned()
            }
            RowErrorKind::Empty => {
                "give a CSV file with a header row and one row per customer".to_owned()
            }
            RowErrorKind::Unreadable(_) => {
                "check that the file is complete and is a CSV file".to_owned()
            }
        }
    }
}

/// One row of a file.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The fields, with a byte between them.
    text: String,
    /// The end of each field in `text`.
    ends: Vec<usize>,
    /// The line in which the row begins, from 1.
    pub(super) line: u64,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn field(&self, position: usize) -> Option<&str> {
        let end = *self.ends.get(position)?;
        let start = match position {
            0 => 0,
            _ => self.ends.get(position - 1)? + 1,
        };
        self.text.get(start..end)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|position| self.field(position))
    }

    /// Adds a field at the end.
    pub(super) fn push(&mut self, field: &str) {
        if !self.ends.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(field);
        self.ends.push(self.text.len());
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

/// A file that is being read, row by row.
pub(super) struct Rows {
    input: Text,
    buffer: Vec<u8>,
    /// The next byte of the buffer, and the end of what was read into it.
    at: usize,
    end: usize,
    separator: u8,
    /// The line of the next byte, from 1.
    line: u64,
    /// Whether the last byte was a carriage return: a line feed after it begins no further line.
    after_return: bool,
    /// The number of fields of the header, and whether a row was read since.
    width: usize,
    is_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte of a field.
    FieldStart,
    /// In a field without quotes. A quote in it is an ordinary character.
    Plain,
    /// In a quoted field.
    Quoted,
    /// After a quote in a quoted field, which either ends the field or is one half of `""`.
    AfterQuote,
}

/// The quoted field that is being read.
#[derive(Default)]
struct Quote {
    /// The line of the quote that opens it.
    line: u64,
    /// The line of a `\"` in it.
    backslash: Option<u64>,
}

impl Rows {
    /// Reads the header, below as many lines as the caller says. It decides the separator.
    pub(super) fn open(input: Text, skipped_lines: u64) -> Result<(Self, Record), RowError> {
        let mut rows = Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            at: 0,
            end: 0,
            separator: b',',
            line: 1,
            after_return: false,
            width: 0,
            is_first: true,
        };
        rows.fill_whole()?;
        if rows.buffer[..rows.end].starts_with(b"\xef\xbb\xbf") {
            rows.at = 3;
        }

        for _ in 0..skipped_lines {
            rows.skip_line()?;
        }

        rows.find_separator()?;
        let mut header = Record::default();
        if !rows.read_record(&mut header)? {
            return Err(rows.error(rows.line, RowErrorKind::Empty));
        }

        rows.width = header.len();
        Ok((rows, header))
    }

    /// Reads the next row into `record`; false after the last one.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, RowError> {
        if !self.read_record(record)? {
            return Ok(false);
        }

        if record.len() != self.width {
            let kind = if record.fields().any(|field| field.ends_with('\\')) {
                RowErrorKind::BackslashQuote
            } else {
                RowErrorKind::Width {
                    found: record.len(),
                    expected: self.width,
                    is_first: self.is_first,
                }
            };
            return Err(self.error(record.line, kind));
        }

        self.is_first = false;
        Ok(true)
    }

    fn error(&self, line: u64, kind: RowErrorKind) -> RowError {
        RowError { line, kind }
    }

    fn fill(&mut self) -> Result<bool, RowError> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        }

        while self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = RowErrorKind::Unreadable(error.to_string());
                    return Err(self.error(self.line, kind));
                }
            }
        }

        Ok(false)
    }

    fn fill_whole(&mut self) -> Result<(), RowError> {
        while self.fill()? {}
        Ok(())
    }

    /// The next byte, which stays the next one; `None` at the end of the file.
    fn peek(&mut self) -> Result<Option<u8>, RowError> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }

        Ok(Some(self.buffer[self.at]))
    }

    /// Skips up to the end of the line, which may be two bytes.
    fn skip_line(&mut self) -> Result<(), RowError> {
        while let Some(byte) = self.peek()? {
            self.count_line(byte);
            self.at += 1;
            if byte == b'\r' && self.peek()? == Some(b'\n') {
                self.at += 1;
            }

            if matches!(byte, b'\r' | b'\n') {
                self.after_return = false;
                break;
            }
        }

        Ok(())
    }

    /// Finds the separator in the first line that is not empty. Excel writes it above the header, as
    /// `sep=;`.
    fn find_separator(&mut self) -> Result<(), RowError> {
        while matches!(self.peek()?, Some(b'\n' | b'\r')) {
            self.skip_line()?;
        }

        // After skipped lines the buffer may end in the middle of this one.
        self.buffer.copy_within(self.at..self.end, 0);
        (self.at, self.end) = (0, self.end - self.at);
        self.fill_whole()?;
        let rest = &self.buffer[..self.end];
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let line = &rest[..end];
        if let [b's', b'e', b'p', b'=', separator] = *line {
            self.separator = separator;
            return self.skip_line();
        }

        let mut most = 0;
        for (separator, _) in SEPARATORS {
            let mut quoted = false;
            let mut found = 0;
            for &byte in line {
                quoted ^= byte == b'"';
                found += usize::from(byte == separator && !quoted);
            }

            if found > most {
                (most, self.separator) = (found, separator);
            }
        }

        Ok(())
    }

    fn separator_name(&self) -> &'static str {
        SEPARATORS
            .iter()
            .find(|(separator, _)| *separator == self.separator)
            .map_or("separator", |(_, name)| name)
    }

    fn count_line(&mut self, byte: u8) {
        if byte == b'\r' || (byte == b'\n' && !self.after_return) {
            self.line += 1;
        }

        self.after_return = byte == b'\r';
    }

    /// Reads the next row, whatever the number of its fields.
    fn read_record(&mut self, record: &mut Record) -> Result<bool, RowError> {
        record.clear();
        let mut text = std::mem::take(&mut record.text).into_bytes();
        let mut state = State::FieldStart;
        let mut quote = Quote::default();
        loop {
            if self.at == self.end && !self.fill()? {
                match state {
                    State::Quoted => return Err(self.quote_error(&quote, RowErrorKind::Unclosed)),
                    State::FieldStart if record.ends.is_empty() => return Ok(false),
                    _ => {}
                }
                record.ends.push(text.len());
                break;
            }

            if state == State::Plain || state == State::Quoted {
                self.copy_run(&mut text, state == State::Quoted);
                if self.at == self.end {
                    continue;
                }
            }

            let byte = self.buffer[self.at];
            let is_line_end = byte == b'\n' || byte == b'\r';
            if state == State::FieldStart && record.ends.is_empty() {
                // Empty lines, and the line feed after a carriage return.
                if is_line_end {
                    self.count_line(byte);
                    self.at += 1;
                    continue;
                }
                record.line = self.line;
            }

            self.at += 1;
            state = match (state, byte) {
                (State::FieldStart, b'"') => {
                    quote = Quote { line: self.line, backslash: None };
                    State::Quoted
                }
                (State::Quoted, _) => {
                    if text.last() == Some(&b'\\') {
                        quote.backslash.get_or_insert(self.line);
                    }
                    State::AfterQuote
                }
                (State::AfterQuote, b'"') => {
                    text.push(b'"');
                    State::Quoted
                }
                (_, byte) if byte == self.separator => {
                    record.ends.push(text.len());
                    text.push(byte);
                    State::FieldStart
                }
                (_, b'\n' | b'\r') => {
                    self.count_line(byte);
                    record.ends.push(text.len());
                    break;
                }
                (State::AfterQuote, _) => {
                    quote.line = self.line;
                    let kind = RowErrorKind::TextAfterQuote(self.separator_name());
                    return Err(self.quote_error(&quote, kind));
                }
                (State::FieldStart | State::Plain, byte) => {
                    text.push(byte);
                    State::Plain
                }
            };
            self.after_return &= is_line_end;
        }

        record.text = self.utf8(text, record.line)?;
        Ok(true)
    }

    /// Copies bytes up to one that may end the field.
    fn copy_run(&mut self, text: &mut Vec<u8>, quoted: bool) {
        let start = self.at;
        let mut at = start;
        let end = self.end;
        if quoted {
            while at < end {
                let byte = self.buffer[at];
                if byte == b'"' {
                    break;
                }
                if byte == b'\n' || byte == b'\r' || self.after_return {
                    self.count_line(byte);
                }
                at += 1;
            }
        } else {
            let separator = self.separator;
            let bytes = &self.buffer[..end];
            while at < end {
                let byte = bytes[at];
                if byte == separator || byte == b'\n' || byte == b'\r' {
                    break;
                }
                at += 1;
            }
        }

        text.extend_from_slice(&self.buffer[start..at]);
        self.at = at;
    }

    fn quote_error(&self, quote: &Quote, kind: RowErrorKind) -> RowError {
        match quote.backslash {
            Some(line) => self.error(line, RowErrorKind::BackslashQuote),
            None => self.error(quote.line, kind),
        }
    }

    fn utf8(&self, text: Vec<u8>, line: u64) -> Result<String, RowError> {
        String::from_utf8(text).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let lines = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            let byte = bytes.get(at).copied().unwrap_or_default();
            self.error(line + lines, RowErrorKind::NotUtf8 { byte })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use super::*;

    /// Gives the text in pieces of some bytes.
    struct Pieces(Cursor<Vec<u8>>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let piece = self.1.min(buffer.len());
            self.0.read(&mut buffer[..piece])
        }
    }

    fn read(text: &str, piece: usize) -> Result<Vec<(u64, Vec<String>)>, RowError> {
        let text = Pieces(Cursor::new(text.as_bytes().to_vec()), piece);
        let (mut rows, _) = Rows::open(Box::new(text), 0)?;
        // So that a row is cut in every place.
        rows.buffer.truncate((rows.end).max(1));
        let mut record = Record::default();
        let mut read = Vec::new();
        while rows.read(&mut record)? {
            read.push((record.line, record.fields().map(str::to_owned).collect()));
        }
        Ok(read)
    }

    #[test]
    fn a_row_knows_the_line_in_which_it_begins() {
        for piece in [1, 2, 3, 7, 1000] {
            for (text, lines) in [
                ("a,b\n1,2\n3,4", vec![2, 3]),
                ("a,b\r\n1,2\r\n3,4\r\n", vec![2, 3]),
                ("a,b\r1,2\r3,4\r", vec![2, 3]),
                ("\n\na,b\r\n\r\n1,2\n\n3,4\n\n", vec![5, 7]),
                ("a,b\r\n\"1\r\n1\",2\r\n3,4\r\n", vec![2, 4]),
                ("sep=;\r\na;b\r\n1;2\r\n", vec![3]),
            ] {
                let read = read(text, piece).unwrap();
                let found: Vec<u64> = read.iter().map(|(line, _)| *line).collect();
                assert_eq!(found, lines, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn quotes_that_do_not_balance_are_refused_in_their_line_whatever_the_pieces() {
        use RowErrorKind::{BackslashQuote, TextAfterQuote, Unclosed};
        for piece in [1, 2, 3, 7, 1000] {
            for (bad, line, kind) in [
                ("a,b\n1,\"2\n3,4\n", 2, Unclosed),
                ("a,b\r\n1,2\r\n\"3,4\r\n", 3, Unclosed),
                ("\u{feff}\"a,b\n", 1, Unclosed),
                ("a\n\"x\"y\n", 2, TextAfterQuote("comma")),
                ("a\n\"x\ny\" ,z\n", 3, TextAfterQuote("comma")),
                ("a;b\n\"x\"y;1\n", 2, TextAfterQuote("semicolon")),
                ("a,b\n1,2\n\"6\\\" pipe\",1\n", 3, BackslashQuote),
                ("a,b\n\"6\\\"\",1\n2,3\n", 2, BackslashQuote),
            ] {
                assert_eq!(read(bad, piece), Err(RowError { line, kind }), "{bad:?}");
            }
        }
    }
}
