//! Writing one record batch as one Parquet file, and reading it with the type of every column
//! checked.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Decimal128Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use limit_increase_workflow::{Failure, FailureKind, RunRequest};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rust_decimal::Decimal;

/// MIME type of Parquet.
pub const CONTENT_TYPE: &str = "application/vnd.apache.parquet";
/// Money in a file, as `DECIMAL(10, 2)`.
pub(crate) const MONEY: DataType = DataType::Decimal128(10, 2);
/// Income in a file. An income may be larger than a limit.
pub(crate) const INCOME: DataType = DataType::Decimal128(14, 2);

/// The key of the shard's counters among the metadata of a file.
pub(crate) const PROFILE: &str = "limit_increase_profile";

/// What is wrong with a hand-off object.
#[derive(Debug, thiserror::Error)]
pub enum HandoffError {
    /// The bytes are not Parquet, or they are damaged.
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The bytes are damaged in a way that made the Parquet library panic.
    #[error("not a readable Parquet file: damaged beyond what its reader expects")]
    Damaged,
    /// The columns do not have the same number of rows.
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
        /// The type that the contract asks for.
        expected: DataType,
    },
    /// A column that must be filled has a NULL.
    #[error("column {0:?} has a NULL")]
    UnexpectedNull(String),
    /// The file has more or fewer rows than the shard list says.
    #[error("has {found} rows, expected {expected}")]
    Rows {
        /// Rows in the file.
        found: u64,
        /// Rows that the shard list says.
        expected: u64,
    },
    /// A value is not allowed by the contract.
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
    /// The failure of a step that found this problem in the object under `key`.
    #[must_use]
    pub fn into_failure(self, bucket: &str, key: &str) -> Failure {
        Failure::new(
            FailureKind::HandoffInvalid,
            format!("s3://{bucket}/{key}: {self}; start a new run"),
        )
    }
}

/// The number of rows of a file, as its own footer says. A step takes it from the shard list, which
/// is verified; a reader of old records has no list.
///
/// # Errors
/// When the bytes are not a Parquet file, or it has more rows than a shard may have.
pub fn row_count(bytes: &Bytes) -> Result<u32, HandoffError> {
    let bytes = bytes.clone();
    let found = catch_unwind(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        Ok(builder.metadata().file_metadata().num_rows())
    });
    let found = u64::try_from(found.unwrap_or(Err(HandoffError::Damaged))?).unwrap_or(u64::MAX);
    let expected = RunRequest::MAX_SHARD_SIZE;
    u32::try_from(found)
        .ok()
        .filter(|rows| *rows <= expected)
        .ok_or(HandoffError::Rows { found, expected: expected.into() })
}

/// The text under a key of the file's metadata; `None` if the file has none.
///
/// # Errors
/// When the bytes are not a Parquet file.
pub(crate) fn metadata(bytes: &Bytes, key: &str) -> Result<Option<String>, HandoffError> {
    let bytes = bytes.clone();
    catch_unwind(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        Ok(builder.metadata().file_metadata().key_value_metadata().cloned())
    })
    .unwrap_or(Err(HandoffError::Damaged))
    .map(|entries| entries.into_iter().flatten().find(|entry| entry.key == key)?.value)
}

/// The row of a customer in the file of any stage, from 0; `None` if the customer is not in it. Only
/// the keys are decoded.
///
/// # Errors
/// When the bytes are not such a file.
pub fn find_customer(bytes: &Bytes, customer_id: &str) -> Result<Option<usize>, HandoffError> {
    let rows = row_count(bytes)?;
    let table = Table::columns_from_parquet(bytes.clone(), rows, &["customer_id"])?;
    let ids: &StringArray = table.filled("customer_id", &DataType::Utf8)?;
    Ok(ids.iter().position(|id| id == Some(customer_id)))
}

/// The columns of a file that is being made.
pub(crate) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    distinct: Vec<String>,
    metadata: Vec<KeyValue>,
}

impl Columns {
    pub(crate) const fn new() -> Self {
        Self { fields: Vec::new(), arrays: Vec::new(), distinct: Vec::new(), metadata: Vec::new() }
    }

    /// Puts a text into the metadata of the file. So it is part of what the file's SHA-256 vouches
    /// for.
    pub(crate) fn with_metadata(mut self, key: &str, text: Option<String>) -> Self {
        self.metadata.extend(text.map(|text| KeyValue::new(key.to_owned(), text)));
        self
    }

    pub(crate) fn push(&mut self, name: &str, nullable: bool, array: impl Array + 'static) {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(Arc::new(array));
    }

    /// Adds a column whose values hardly repeat: a key, a sentence, a SHAP value. It gets no
    /// dictionary, because building one would cost time and save no bytes.
    pub(crate) fn push_distinct(
        &mut self,
        name: &str,
        nullable: bool,
        array: impl Array + 'static,
    ) {
        self.distinct.push(name.to_owned());
        self.push(name, nullable, array);
    }

    /// The bytes of the file: one row group, a dictionary for repeated values, and Snappy for
    /// columns that it can shorten.
    pub(crate) fn into_parquet(self, rows: usize) -> Result<Bytes, HandoffError> {
        let schema = Arc::new(Schema::new(self.fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), self.arrays, &options)?;
        // A reader may skip a file by the bounds of a column. Bounds of each page would cost time,
        // and no reader needs them.
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk);

        for name in self.distinct {
            let is_float = schema.field_with_name(&name)?.data_type() == &DataType::Float64;
            let path = ColumnPath::from(vec![name]);
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            if is_float {
                // The mantissas of floats do not compress.
                properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
            }
        }

        if !self.metadata.is_empty() {
            properties = properties.set_key_value_metadata(Some(self.metadata));
        }

        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?.into())
    }
}

/// The rows of a file, in one batch.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    batch: RecordBatch,
    profile: Option<String>,
}

impl Table {
    /// Reads a whole file, which must have exactly `rows` rows.
    pub(crate) fn from_parquet(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Self::guarded(bytes, rows, None)
    }

    /// Reads only these columns of a file of exactly `rows` rows. The others are not decoded.
    pub(crate) fn columns_from_parquet(
        bytes: Bytes,
        rows: u32,
        columns: &[&str],
    ) -> Result<Self, HandoffError> {
        Self::guarded(bytes, rows, Some(columns))
    }

    fn guarded(bytes: Bytes, rows: u32, columns: Option<&[&str]>) -> Result<Self, HandoffError> {
        // The library panics on some damaged files ("column start and length should not be
        // negative"). Storage has verified the SHA-256 of a step's files, but a test or an audit
        // reads other bytes. The closure owns what it uses, so a panic leaves nothing half changed.
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

        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let profile = metadata
            .and_then(|entries| entries.iter().find(|entry| entry.key == PROFILE))
            .and_then(|entry| entry.value.clone());

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
            found if found == expected => Ok(Self { batch, profile }),
            found => Err(HandoffError::Rows { found, expected }),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// These rows alone, in this order. A row that the file does not have is an error.
    pub(crate) fn take(&self, rows: &[u32]) -> Result<Self, HandoffError> {
        let rows = UInt32Array::from(rows.to_vec());
        Ok(Self { batch: take_record_batch(&self.batch, &rows)?, profile: None })
    }

    pub(crate) const fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The shard's counters, as JSON. A file of an older release has none.
    pub(crate) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The column of this name and of exactly this type.
    pub(crate) fn column<A: Array + 'static>(
        &self,
        name: &str,
        expected: &DataType,
    ) -> Result<&A, HandoffError> {
        let array = self
            .batch
            .column_by_name(name)
            .ok_or_else(|| HandoffError::MissingColumn(name.to_owned()))?;
        let type_error = || HandoffError::ColumnType {
            column: name.to_owned(),
            found: array.data_type().clone(),
            expected: expected.clone(),
        };

        if array.data_type() != expected {
            return Err(type_error());
        }

        array.as_any().downcast_ref().ok_or_else(type_error)
    }

    /// Like [`Table::column`], but refuses a NULL.
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

/// The cents of an amount, or `None` if the amount is finer than a cent.
pub(crate) fn cents(amount: Decimal) -> Option<i128> {
    let mut scaled = amount;
    scaled.rescale(2);
    (scaled == amount).then(|| scaled.mantissa())
}

/// An array of amounts.
pub(crate) fn amounts(cents: Vec<Option<i128>>, data_type: &DataType) -> Decimal128Array {
    Decimal128Array::from(cents).with_data_type(data_type.clone())
}

/// The amount in a row, or `None` for NULL.
pub(crate) fn amount_at(array: &Decimal128Array, row: usize) -> Option<Decimal> {
    array.is_valid(row).then(|| Decimal::from_i128_with_scale(array.value(row), 2))
}
