//! The pages of one column of a Parquet file, decompressed.
//!
//! The Parquet library of the workspace has only snappy, because the hand-off needs nothing else, and
//! a codec more in it would be in every function. pandas and Spark write snappy or gzip, and polars
//! writes zstd.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use ruzstd::decoding::StreamingDecoder;

/// How the pages are compressed, where the library cannot read it.
#[derive(Debug, Clone, Copy)]
enum Codec {
    Gzip,
    Zstd,
}

/// The name of a codec that cannot be read; `None` for one that can.
pub(super) fn unknown_codec(chunk: &ColumnChunkMetaData) -> Option<&'static str> {
    match chunk.compression() {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::ZSTD(_) => None,
        Compression::LZO => Some("lzo"),
        Compression::BROTLI(_) => Some("brotli"),
        Compression::LZ4 | Compression::LZ4_RAW => Some("lz4"),
    }
}

/// The pages of a column's chunk, which has this many rows.
pub(super) fn open(
    file: &Arc<File>,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<Box<dyn PageReader>> {
    let codec = match chunk.compression() {
        Compression::GZIP(_) => Codec::Gzip,
        Compression::ZSTD(_) => Codec::Zstd,
        _ => return Ok(Box::new(SerializedPageReader::new(Arc::clone(file), chunk, rows, None)?)),
    };

    // The library gives the pages as they are if it takes them for uncompressed ones.
    let plain = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
    Ok(Box::new(Pages {
        inner: SerializedPageReader::new(Arc::clone(file), &plain, rows, None)?,
        codec,
        bound: u64::try_from(chunk.uncompressed_size()).unwrap_or_default(),
    }))
}

struct Pages {
    inner: SerializedPageReader<File>,
    codec: Codec,
    /// The bytes of all pages of the chunk, which one page cannot exceed.
    bound: u64,
}

impl Pages {
    fn decompressed(&self, page: Page) -> Result<Page> {
        let whole = |buf: &Bytes| self.decompress(buf, 0);
        Ok(match page {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                statistics,
            } => Page::DataPage {
                buf: whole(&buf)?,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                statistics,
            },
            Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
                Page::DictionaryPage { buf: whole(&buf)?, num_values, encoding, is_sorted }
            }
            // The levels stand before the values, and are never compressed.
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                statistics,
            } => Page::DataPageV2 {
                buf: if is_compressed {
                    let levels = u64::from(def_levels_byte_len) + u64::from(rep_levels_byte_len);
                    self.decompress(&buf, usize::try_from(levels)?)?
                } else {
                    buf
                },
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed: false,
                statistics,
            },
        })
    }

    /// The bytes of a page, without the compression of those after the first `plain` ones.
    fn decompress(&self, page: &Bytes, plain: usize) -> Result<Bytes> {
        let damaged = |error: &dyn std::fmt::Display| {
            ParquetError::General(format!("a page cannot be decompressed: {error}"))
        };
        let Some((levels, mut compressed)) = page.split_at_checked(plain) else {
            return Err(damaged(&"its levels are longer than the page"));
        };

        let mut whole = levels.to_vec();
        while !compressed.is_empty() {
            let room = self.bound.saturating_sub(whole.len() as u64) + 1;
            let read = match self.codec {
                Codec::Gzip => MultiGzDecoder::new(&mut compressed)
                    .take(room)
                    .read_to_end(&mut whole)
                    .map_err(|error| damaged(&error))?,
                Codec::Zstd => StreamingDecoder::new(&mut compressed)
                    .map_err(|error| damaged(&error))?
                    .take(room)
                    .read_to_end(&mut whole)
                    .map_err(|error| damaged(&error))?,
            };
            if read as u64 == room {
                return Err(damaged(&"it is longer than the file says"));
            }
        }

        Ok(whole.into())
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.map(|page| self.decompressed(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}
