//! Reads a Parquet file row by row, as the texts that a CSV file of the same table would have. So its
//! values are read by the same rules, and both give the same customers.

mod kind;
mod pages;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_schema::DataType as ArrowType;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Repetition;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::rows::Record;
use kind::{Kind, Unreadable, Zone};

/// The rows that are decoded together.
const BATCH: usize = 1_024;

/// Why a Parquet file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParquetProblem {
    /// A column that is used, and what it holds.
    Column { name: String, holds: String },
    /// A column that is used, and its zone. It is known which moments it holds, and not which days.
    Zone { name: String, zone: String },
    /// The compression of a column that is used.
    Codec { name: String, codec: &'static str },
    /// A value, the number of its row, and what is wrong with it.
    Value { name: String, row: u64, why: &'static str },
    /// The file is cut or changed.
    Damaged(String),
}

impl From<ParquetError> for ParquetProblem {
    fn from(error: ParquetError) -> Self {
        let text = error.to_string();
        Self::Damaged(text.strip_prefix("Parquet error: ").unwrap_or(&text).to_owned())
    }
}

/// A Parquet file that is being read.
pub(super) struct ParquetRows {
    file: Arc<File>,
    metadata: ParquetMetaData,
    columns: Vec<Column>,
    /// The next group of rows, and the rows of the current one that are not decoded yet.
    next_group: usize,
    undecoded: usize,
    /// The rows of the current batch, and the next one of them.
    batch: usize,
    at: usize,
    /// The number of the last row, from 1.
    row: u64,
}

/// A column of the table.
struct Column {
    name: String,
    leaf: Result<Leaf, ParquetProblem>,
    used: bool,
    reader: Option<ColumnReader>,
    cells: Cells,
}

/// Where a column without nested ones stands in the file.
struct Leaf {
    position: usize,
    kind: Kind,
    optional: bool,
}

/// The texts of a batch of one column.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl ParquetRows {
    /// Opens a file that begins with `PAR1`, and reads what is in it.
    pub(super) fn open(file: File) -> Result<Self, ParquetProblem> {
        guarded(|| {
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
            let columns = columns(&metadata)?;
            Ok(Self {
                file: Arc::new(file),
                metadata,
                columns,
                next_group: 0,
                undecoded: 0,
                batch: 0,
                at: 0,
                row: 0,
            })
        })
    }

    /// The names of the columns, as the header of a CSV file has them.
    pub(super) fn header(&self) -> Record {
        let mut header = Record::default();
        for column in &self.columns {
            header.push(&column.name);
        }
        header
    }

    /// Whether a column holds days, which need no format.
    pub(super) fn holds_days(&self, position: usize) -> bool {
        let leaf = self.columns.get(position).and_then(|column| column.leaf.as_ref().ok());
        leaf.is_some_and(|leaf| leaf.kind.is_day())
    }

    /// Says which columns are used. Only they are read; the others are empty texts.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn select(
        &mut self,
        positions: impl IntoIterator<Item = usize>,
    ) -> Result<(), ParquetProblem> {
        for position in positions {
            let Some(column) = self.columns.get_mut(position) else { continue };
            column.used = true;
            let leaf = column.leaf.as_ref().map_err(Clone::clone)?.position;
            let chunks = self.metadata.row_groups().iter().map(|group| group.column(leaf));
            if let Some(codec) = chunks.filter_map(pages::unknown_codec).next() {
                return Err(ParquetProblem::Codec { name: column.name.clone(), codec });
            }
        }

        Ok(())
    }

    /// Reads the next row into `record`; false after the last one.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, ParquetProblem> {
        record.clear();
        if self.at == self.batch && !guarded(|| self.decode())? {
            return Ok(false);
        }

        self.row += 1;
        record.line = self.row;
        for column in &self.columns {
            record.push(if column.used { column.cells.text(self.at) } else { "" });
        }

        self.at += 1;
        Ok(true)
    }

    /// Decodes the next batch; false after the last one.
    fn decode(&mut self) -> Result<bool, ParquetProblem> {
        while self.undecoded == 0 {
            let Some(group) = self.metadata.row_groups().get(self.next_group) else {
                return self.check_count().map(|()| false);
            };

            let rows = usize::try_from(group.num_rows()).map_err(ParquetError::from)?;
            for column in self.columns.iter_mut().filter(|column| column.used) {
                let Ok(leaf) = &column.leaf else { continue };
                let chunk = group.column(leaf.position);
                let pages = pages::open(&self.file, chunk, rows)?;
                column.reader = Some(get_column_reader(chunk.column_descr_ptr(), pages));
            }

            self.next_group += 1;
            self.undecoded = rows;
        }

        let rows = self.undecoded.min(BATCH);
        for column in self.columns.iter_mut().filter(|column| column.used) {
            column.decode(rows, self.row)?;
        }

        self.undecoded -= rows;
        (self.batch, self.at) = (rows, 0);
        Ok(true)
    }

    fn check_count(&self) -> Result<(), ParquetProblem> {
        let said = u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or_default();
        if said == self.row {
            return Ok(());
        }

        Err(ParquetProblem::Damaged(format!("it has {} rows, and says {said}", self.row)))
    }
}

/// Runs what reads the file. The library panics on some damaged files.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetProblem>) -> Result<T, ParquetProblem> {
    // After a panic nothing is read any more, so nobody sees what is half changed.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ParquetProblem::Damaged("damaged beyond what its reader expects".to_owned()))
    })
}

/// The columns of the table. One with columns in it has more than one leaf, or its values are lists.
fn columns(metadata: &ParquetMetaData) -> Result<Vec<Column>, ParquetProblem> {
    let schema = metadata.file_metadata().schema_descr();
    let known = metadata.file_metadata().key_value_metadata();
    // The zones are in what Arrow notes beside the schema. Without it they are not known.
    let arrow = parquet_to_arrow_schema(schema, known).ok();
    let mut first_leaves: Vec<Option<usize>> = vec![None; schema.root_schema().get_fields().len()];
    for leaf in 0..schema.num_columns() {
        first_leaves[schema.get_column_root_idx(leaf)].get_or_insert(leaf);
    }

    let mut columns = Vec::with_capacity(first_leaves.len());
    for (field, first) in schema.root_schema().get_fields().iter().zip(first_leaves) {
        let name = field.name().to_owned();
        let is_flat =
            field.is_primitive() && field.get_basic_info().repetition() != Repetition::REPEATED;
        let leaf = match first.filter(|_| is_flat) {
            Some(position) => {
                let descriptor = schema.column(position);
                let optional = descriptor.max_def_level() > 0;
                Kind::of(&descriptor)
                    .map(|kind| Leaf { position, kind, optional })
                    .map_err(|holds| ParquetProblem::Column { name: name.clone(), holds })
            }
            None => Err(ParquetProblem::Column {
                name: name.clone(),
                holds: "lists or other columns".to_owned(),
            }),
        };

        let arrow_type = arrow.as_ref().and_then(|schema| schema.field_with_name(&name).ok());
        let leaf = match (leaf, arrow_type.map(|field| field.data_type())) {
            (Ok(leaf), Some(ArrowType::Timestamp(_, Some(zone)))) => zoned(&name, leaf, zone),
            (leaf, _) => leaf,
        };
        let (reader, cells) = (None, Cells::default());
        columns.push(Column { name, leaf, used: false, reader, cells });
    }

    Ok(columns)
}

/// A column of timestamps with the zone that Arrow noted.
fn zoned(name: &str, leaf: Leaf, zone: &str) -> Result<Leaf, ParquetProblem> {
    let Kind::Timestamp(parts, Zone::Utc) = leaf.kind else { return Ok(leaf) };
    if matches!(zone.to_ascii_uppercase().as_str(), "UTC" | "ETC/UTC" | "Z" | "GMT" | "+00:00") {
        return Ok(leaf);
    }

    match zone.parse() {
        Ok(offset) => Ok(Leaf { kind: Kind::Timestamp(parts, Zone::Offset(offset)), ..leaf }),
        Err(_) => Err(ParquetProblem::Zone { name: name.to_owned(), zone: zone.to_owned() }),
    }
}

impl Column {
    /// Decodes the next rows; `row` is the number of the last one before them.
    fn decode(&mut self, rows: usize, row: u64) -> Result<(), ParquetProblem> {
        let (Some(reader), Ok(leaf)) = (&mut self.reader, &self.leaf) else { return Ok(()) };
        let kind = &leaf.kind;
        let mut batch = Batch { rows, optional: leaf.optional, cells: &mut self.cells };
        let unsigned = *kind == Kind::Unsigned;
        let decoded = match reader {
            ColumnReader::BoolColumnReader(reader) => batch.read(reader, |value, text| {
                kind::write_boolean(*value, text);
                Ok(())
            }),
            ColumnReader::Int32ColumnReader(reader) => batch.read(reader, |value, text| {
                let number = if unsigned { value.cast_unsigned().into() } else { (*value).into() };
                kind.write_whole(number, text)
            }),
            ColumnReader::Int64ColumnReader(reader) => batch.read(reader, |value, text| {
                if unsigned {
                    text.push_str(&value.cast_unsigned().to_string());
                    return Ok(());
                }
                kind.write_whole(*value, text)
            }),
            ColumnReader::Int96ColumnReader(reader) => batch.read(reader, kind::write_int96),
            ColumnReader::FloatColumnReader(reader) => batch.read(reader, |value, text| {
                kind::write_float(*value, text);
                Ok(())
            }),
            ColumnReader::DoubleColumnReader(reader) => batch.read(reader, |value, text| {
                kind::write_float(*value, text);
                Ok(())
            }),
            ColumnReader::ByteArrayColumnReader(reader) => {
                batch.read(reader, |value, text| kind.write_bytes(value.data(), text))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                batch.read(reader, |value, text| kind.write_bytes(value.data(), text))
            }
        };

        decoded.map_err(|error| match error {
            BatchError::Value(at, why) => {
                ParquetProblem::Value { name: self.name.clone(), row: row + 1 + at as u64, why }
            }
            BatchError::Damaged(error) => error.into(),
        })
    }
}

/// Where the next rows of a column go.
struct Batch<'a> {
    rows: usize,
    optional: bool,
    cells: &'a mut Cells,
}

enum BatchError {
    /// The position of the value in the batch, and what is wrong with it.
    Value(usize, Unreadable),
    Damaged(ParquetError),
}

impl Batch<'_> {
    fn read<T: DataType>(
        &mut self,
        reader: &mut ColumnReaderImpl<T>,
        write: impl Fn(&T::T, &mut String) -> Result<(), Unreadable>,
    ) -> Result<(), BatchError> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let asked = self.optional.then_some(&mut levels);
        let (found, ..) = reader
            .read_records(self.rows, asked, None, &mut values)
            .map_err(BatchError::Damaged)?;
        let known = match self.optional {
            true => levels.iter().filter(|level| **level > 0).count(),
            false => found,
        };
        if found != self.rows || known != values.len() {
            let text = format!("a column has {found} rows where the file says {}", self.rows);
            return Err(BatchError::Damaged(ParquetError::General(text)));
        }

        self.cells.text.clear();
        self.cells.ends.clear();
        let mut values = values.iter();
        for row in 0..self.rows {
            let is_known = !self.optional || levels.get(row).is_some_and(|level| *level > 0);
            if let Some(value) = is_known.then(|| values.next()).flatten() {
                write(value, &mut self.cells.text).map_err(|why| BatchError::Value(row, why))?;
            }
            self.cells.ends.push(self.cells.text.len());
        }

        Ok(())
    }
}

impl Cells {
    fn text(&self, row: usize) -> &str {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(row).copied().unwrap_or_default();
        self.text.get(start.unwrap_or_default()..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::testing::TempDir;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parquet_values").join(name)
    }

    /// The texts of some columns, row by row.
    fn texts(path: &Path, names: &[&str]) -> Result<Vec<Vec<String>>, ParquetProblem> {
        let mut rows = ParquetRows::open(File::open(path).unwrap())?;
        let header = rows.header();
        let place = |name: &&str| header.fields().position(|column| column == *name).unwrap();
        let positions: Vec<usize> = names.iter().map(place).collect();
        rows.select(positions.iter().copied())?;
        let (mut record, mut all) = (Record::default(), Vec::new());
        while rows.read(&mut record)? {
            let fields = positions.iter().map(|place| record.field(*place).unwrap().to_owned());
            all.push(fields.collect());
        }

        Ok(all)
    }

    #[test]
    fn every_type_is_read_here_and_by_the_trainer_alike() {
        let cases: Value =
            serde_json::from_str(include_str!("../../../../tests/parquet_values/values.json"))
                .unwrap();
        let mut files = 0;
        for table in cases["tables"].as_array().unwrap() {
            for name in table["files"].as_array().unwrap() {
                let path = file(name.as_str().unwrap());
                files += 1;
                for (column, expected) in table["columns"].as_object().unwrap() {
                    let expected: Vec<Vec<String>> = expected
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|text| vec![text.as_str().unwrap().to_owned()])
                        .collect();
                    assert_eq!(texts(&path, &[column]), Ok(expected), "{name}, {column}");
                }

                for (column, holds) in table["refused"].as_object().into_iter().flatten() {
                    let (name, holds) = (column.clone(), holds.as_str().unwrap().to_owned());
                    let problem = ParquetProblem::Column { name, holds };
                    assert_eq!(texts(&path, &[column]), Err(problem));
                }
            }
        }
        assert_eq!(files, 5);
    }

    #[test]
    fn rows_of_several_groups_and_batches_keep_their_order() {
        let rows = texts(&file("polars.parquet"), &["text", "number"]).unwrap();
        assert_eq!(rows.len(), 2_500);
        for (number, row) in rows.iter().enumerate() {
            let text = if number % 5 == 0 { String::new() } else { format!("t{}", number % 7) };
            assert_eq!(*row, [text, number.to_string()]);
        }
    }

    #[test]
    fn a_zone_is_applied_or_named_and_a_codec_is_named() {
        let rows = texts(&file("zones.parquet"), &["offset"]).unwrap();
        assert_eq!(rows, [["2026-02-04 00:30:00.5+01:00"], [""]]);
        assert_eq!(
            texts(&file("zones.parquet"), &["named"]),
            Err(ParquetProblem::Zone { name: "named".into(), zone: "Europe/Berlin".into() })
        );
        assert_eq!(
            texts(&file("brotli.parquet"), &["text"]),
            Err(ParquetProblem::Codec { name: "text".into(), codec: "brotli" })
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_other_rows() {
        let directory = TempDir::new("damaged-parquet");
        let path = directory.path().join("customers.parquet");
        for name in ["snappy.parquet", "zstd_v2.parquet", "gzip_v2.parquet"] {
            let whole = std::fs::read(file(name)).unwrap();
            for length in [4, 5, 12, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..length]).unwrap();
                let problem = texts(&path, &["int32"]).unwrap_err();
                assert!(matches!(problem, ParquetProblem::Damaged(_)), "{name} {length}");
            }

            // The first bytes of the first page.
            let mut changed = whole.clone();
            changed[4..60].fill(0xee);
            std::fs::write(&path, &changed).unwrap();
            let problem = texts(&path, &["int8"]).unwrap_err();
            assert!(matches!(problem, ParquetProblem::Damaged(_)), "{name}");
        }
    }
}
