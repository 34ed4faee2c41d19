//! One record batch as one Parquet file, and back, with every column's type checked.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Decimal128Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use limit_increase_workflow::{Failure, FailureKind, RunRequest};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rust_decimal::Decimal;

/// MIME type of Parquet.
pub const CONTENT_TYPE: &str = "application/vnd.apache.parquet";
/// Money in a file: what `DECIMAL(10, 2)` holds.
pub(crate) const MONEY: DataType = DataType::Decimal128(10, 2);
/// Income in a file: wider than a limit.
pub(crate) const INCOME: DataType = DataType::Decimal128(14, 2);

/// What is wrong with a hand-off object.
#[derive(Debug, thiserror::Error)]
pub enum HandoffError {
    /// The bytes are no Parquet, or damaged.
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The bytes are damaged in a way that made the Parquet library panic.
    #[error("not a readable Parquet file: damaged beyond what its reader expects")]
    Damaged,
    /// The columns could not be put together.
    #[error("columns do not fit together: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// A column is missing.
    #[error("column {0:?} is missing")]
    MissingColumn(String),
    /// A column has another type.
    #[error("column {column:?} has type {found}, expected {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type in the file.
        found: DataType,
        /// The type of the contract.
        expected: DataType,
    },
    /// A column that is always filled has a NULL.
    #[error("column {0:?} has a NULL")]
    UnexpectedNull(String),
    /// More or fewer rows than the shard list says.
    #[error("has {found} rows, expected {expected}")]
    Rows {
        /// Rows in the file.
        found: u64,
        /// Rows by the shard list.
        expected: u64,
    },
    /// A value outside its contract.
    #[error("column {column:?}, row {row}: {problem}")]
    Value {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// What is wrong.
        problem: String,
    },
}

impl HandoffError {
    /// The failure of a step that met this in the object under `key`.
    #[must_use]
    pub fn into_failure(self, bucket: &str, key: &str) -> Failure {
        Failure::new(
            FailureKind::HandoffInvalid,
            format!("s3://{bucket}/{key}: {self}; start a new run"),
        )
    }
}

/// Columns on their way into a file.
pub(crate) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    distinct: Vec<String>,
}

impl Columns {
    pub(crate) const fn new() -> Self {
        Self { fields: Vec::new(), arrays: Vec::new(), distinct: Vec::new() }
    }

    pub(crate) fn push(&mut self, name: &str, nullable: bool, array: impl Array + 'static) {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(Arc::new(array));
    }

    /// A column whose values hardly repeat (a key, a sentence, a SHAP value): building a dictionary of them would be
    /// work for nothing.
    pub(crate) fn push_distinct(
        &mut self,
        name: &str,
        nullable: bool,
        array: impl Array + 'static,
    ) {
        self.distinct.push(name.to_owned());
        self.push(name, nullable, array);
    }

    /// The file's bytes: one row group, dictionary pages for repeated values, Snappy where it finds something to shorten.
    pub(crate) fn into_parquet(self, rows: usize) -> Result<Bytes, HandoffError> {
        let schema = Arc::new(Schema::new(self.fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), self.arrays, &options)?;
        // Bounds of a whole column are what a reader may want to skip a file by; those of each page cost time and help nobody.
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for name in self.distinct {
            let is_float = schema.field_with_name(&name)?.data_type() == &DataType::Float64;
            let path = ColumnPath::from(vec![name]);
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            if is_float {
                // The bits of such numbers are as good as random.
                properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
            }
        }

        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?.into())
    }
}

/// A file's rows, in one batch.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    batch: RecordBatch,
}

impl Table {
    /// Reads a whole file, which must have exactly `rows` rows.
    pub(crate) fn from_parquet(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Self::guarded(bytes, rows, None)
    }

    /// As [`Table::from_parquet`], of some columns only; the others are not decoded, and not there.
    pub(crate) fn columns_from_parquet(
        bytes: Bytes,
        rows: u32,
        columns: &[&str],
    ) -> Result<Self, HandoffError> {
        Self::guarded(bytes, rows, Some(columns))
    }

    fn guarded(bytes: Bytes, rows: u32, columns: Option<&[&str]>) -> Result<Self, HandoffError> {
        // The library asserts on some damaged files ("column start and length should not be negative"). Storage checks the
        // content's hash before it gets here; this is for whatever comes another way. Nothing is shared with the closure.
        catch_unwind(|| Self::decode(bytes, rows, columns)).unwrap_or(Err(HandoffError::Damaged))
    }

    fn decode(bytes: Bytes, rows: u32, columns: Option<&[&str]>) -> Result<Self, HandoffError> {
        let expected = u64::from(rows);
        let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let found =
            u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
        if found != expected || rows > RunRequest::MAX_SHARD_SIZE {
            return Err(HandoffError::Rows { found, expected });
        }

        if let Some(columns) = columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }

        let schema = builder.schema().clone();
        let mut reader = builder.with_batch_size(rows.max(1) as usize).build()?;
        let batch = match reader.next() {
            Some(batch) => batch?,
            None => RecordBatch::new_empty(schema),
        };

        match batch.num_rows() as u64 {
            found if found == expected => Ok(Self { batch }),
            found => Err(HandoffError::Rows { found, expected }),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column by name, of exactly this type.
    pub(crate) fn column<A: Array + 'static>(
        &self,
        name: &str,
        expected: &DataType,
    ) -> Result<&A, HandoffError> {
        let array = self
            .batch
            .column_by_name(name)
            .ok_or_else(|| HandoffError::MissingColumn(name.to_owned()))?;
        let wrong = || HandoffError::ColumnType {
            column: name.to_owned(),
            found: array.data_type().clone(),
            expected: expected.clone(),
        };

        if array.data_type() != expected {
            return Err(wrong());
        }

        array.as_any().downcast_ref().ok_or_else(wrong)
    }

    /// Like [`Table::column`], without any NULL.
    pub(crate) fn filled<A: Array + 'static>(
        &self,
        name: &str,
        expected: &DataType,
    ) -> Result<&A, HandoffError> {
        let array = self.column::<A>(name, expected)?;
        if array.null_count() > 0 {
            Err(HandoffError::UnexpectedNull(name.to_owned()))
        } else {
            Ok(array)
        }
    }
}

/// Cents of an amount, for a column of scale 2. A finer or larger amount has no place in the file.
pub(crate) fn cents(amount: Decimal) -> Option<i128> {
    let mut scaled = amount;
    scaled.rescale(2);
    (scaled == amount).then(|| scaled.mantissa())
}

/// An array of amounts.
pub(crate) fn amounts(cents: Vec<Option<i128>>, data_type: &DataType) -> Decimal128Array {
    Decimal128Array::from(cents).with_data_type(data_type.clone())
}

/// The amount at a row, if there is one.
pub(crate) fn amount_at(array: &Decimal128Array, row: usize) -> Option<Decimal> {
    array.is_valid(row).then(|| Decimal::from_i128_with_scale(array.value(row), 2))
}
