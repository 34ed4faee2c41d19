//! Finds out what a file of customers is by its first bytes, and reads it as UTF-8 text.
//!
//! The name of a file does not prove what it holds. Text may be compressed with gzip, and a
//! spreadsheet may have written it as UTF-16. What is no text is named, with what to do. The trainer
//! has the same rules, and tests/csv_dialect.json holds both to them. A Parquet file does not come here.

use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// Bytes that are read to find out what the file is.
const HEAD_BYTES: usize = 4096;
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The text of a file.
pub(super) type Text = Box<dyn Read + Send>;

/// A file that is not a table of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotText {
    pub(super) what: &'static str,
    pub(super) next: &'static str,
}

const DECOMPRESS: &str = "decompress it, or compress it with gzip";

/// How files of other kinds begin, what they are, and what to do.
const OTHERS: [(&[u8], &str, &str); 16] = [
    (b"PAR1", "Parquet inside gzip", "decompress it: the columns of a Parquet file are compressed"),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"ARROW1", "an Arrow file (Feather)", "write it as Parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (xls)", SAVE_AS_CSV),
    (b"PK\x03\x04", "a zip archive", "unpack it and give the CSV file in it"),
    (b"PK\x05\x06", "an empty zip archive", "pack it again, or give the CSV file"),
    (b"BZh", "compressed with bzip2", DECOMPRESS),
    (b"\xfd7zXZ", "compressed with xz", DECOMPRESS),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", DECOMPRESS),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give the CSV file in it"),
    (b"%PDF", "a PDF document", "ask for the table as CSV"),
    (b"<!", "a web page", "download the file itself, or ask for it as CSV"),
    (b"<html", "a web page", "download the file itself, or ask for it as CSV"),
    (b"<?xml", "an XML document", "ask for the table as CSV"),
    (b"[{", "JSON", "write it as CSV, with a header and one line per customer"),
    (b"{\"", "JSON", "write it as CSV, with a header and one line per customer"),
];
const SAVE_AS_CSV: &str = "save its sheet as CSV (CSV UTF-8) and give that file";

/// Opens the text of a file, whatever its encoding and whether it is compressed.
pub(super) fn open(file: impl Read + Send + 'static) -> io::Result<Result<Text, NotText>> {
    let (head, file) = peek(file)?;
    if head.starts_with(GZIP) {
        let inflated = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file));
        let (head, inflated) = peek(inflated)?;
        return Ok(text(&head, inflated));
    }

    Ok(text(&head, file))
}

/// The first bytes of a reader, and a reader of all of its bytes.
pub(super) fn peek(mut reader: impl Read + Send + 'static) -> io::Result<(Vec<u8>, Text)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(reader))))
}

fn text(head: &[u8], reader: Text) -> Result<Text, NotText> {
    if let Some(other) = other_kind(head) {
        return Err(other);
    }

    match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            Err(NotText { what: "UTF-32 text", next: "save it as UTF-8" })
        }
        [0xff, 0xfe, ..] => Ok(Box::new(Utf16::new(reader, Order::Little))),
        [0xfe, 0xff, ..] => Ok(Box::new(Utf16::new(reader, Order::Big))),
        // Without a mark, every other byte of a header in Latin letters is zero.
        [1..=255, 0, 1..=255, 0, ..] => Ok(Box::new(Utf16::new(reader, Order::Little))),
        [0, 1..=255, 0, 1..=255, ..] => Ok(Box::new(Utf16::new(reader, Order::Big))),
        _ => Ok(reader),
    }
}

fn other_kind(head: &[u8]) -> Option<NotText> {
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let start = start.get(..8.min(start.len()))?.to_ascii_lowercase();
    let (magic, what, next) = OTHERS.into_iter().find(|(magic, ..)| {
        head.starts_with(magic)
            || (magic.is_ascii() && magic[0] < b'A' && start.starts_with(magic))
            || (matches!(magic[0], b'[' | b'{') && start.starts_with(magic))
    })?;
    let is_workbook = magic == b"PK\x03\x04"
        && [b"xl/".as_slice(), b"[Content_Types].xml"]
            .iter()
            .any(|name| head.windows(name.len()).any(|window| window == *name));
    Some(if is_workbook {
        NotText { what: "an Excel workbook (xlsx)", next: SAVE_AS_CSV }
    } else {
        NotText { what, next }
    })
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// Reads UTF-16 as UTF-8. The mark at the start, if there is one, becomes that of UTF-8.
struct Utf16 {
    inner: Text,
    order: Order,
    input: Vec<u8>,
    output: Vec<u8>,
    given: usize,
}

impl Utf16 {
    fn new(inner: Text, order: Order) -> Self {
        Self { inner, order, input: Vec::new(), output: Vec::new(), given: 0 }
    }

    /// Converts the next bytes. What is not a whole character yet stays for the next call.
    fn convert(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1 << 15];
        let read = self.inner.read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..read]);
        let mut units: Vec<u16> = self.input.chunks_exact(2).map(|pair| self.unit(pair)).collect();
        let waits = read > 0 && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit));
        if waits {
            units.pop();
        }

        self.given = 0;
        self.output = String::from_utf16(&units).map_err(|_| damaged_error())?.into_bytes();
        self.input.drain(..units.len() * 2);
        if read == 0 && !self.input.is_empty() {
            return Err(damaged_error());
        }

        Ok(())
    }

    fn unit(&self, pair: &[u8]) -> u16 {
        let pair = [pair[0], pair[1]];
        match self.order {
            Order::Little => u16::from_le_bytes(pair),
            Order::Big => u16::from_be_bytes(pair),
        }
    }
}

fn damaged_error() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is UTF-16 text that is cut or damaged")
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.output.len() {
            let before = self.input.len();
            self.convert()?;
            if self.output.is_empty() && self.input.len() == before {
                return Ok(0);
            }
        }

        let read = self.output[self.given..].as_ref().read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
