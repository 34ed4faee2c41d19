//! `pipeline/customers`: the eligible customers of a shard, with the source columns that the model
//! reads.

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{
    BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, StringArray,
};
use arrow_schema::DataType;
use bytes::Bytes;
use chrono::NaiveDate;
use limit_increase_domain::{ColumnKind, SourceColumn};
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use rust_decimal::Decimal;

use crate::parquet_file::{Columns, HandoffError, INCOME, MONEY, Table, amounts, cents};

enum FeatureBuilder {
    Number(Float64Builder),
    Text(StringBuilder),
}

/// Collects the rows of a shard and makes the file. It holds one shard in memory.
pub struct CustomersWriter {
    columns: Vec<SourceColumn>,
    ids: StringBuilder,
    scores: Vec<Option<i32>>,
    limits: Vec<Option<i128>>,
    unreadable: StringBuilder,
    dates: Vec<Option<i32>>,
    incomes: Vec<Option<i128>>,
    has_features: Vec<bool>,
    features: Vec<FeatureBuilder>,
}

impl CustomersWriter {
    /// A writer for rows with these source columns.
    #[must_use]
    pub fn new(columns: &[SourceColumn]) -> Self {
        let features = columns
            .iter()
            .map(|column| {
                if column.kind == ColumnKind::Category {
                    FeatureBuilder::Text(StringBuilder::new())
                } else {
                    FeatureBuilder::Number(Float64Builder::new())
                }
            })
            .collect();
        Self {
            columns: columns.to_vec(),
            ids: StringBuilder::new(),
            scores: Vec::new(),
            limits: Vec::new(),
            unreadable: StringBuilder::new(),
            dates: Vec::new(),
            incomes: Vec::new(),
            has_features: Vec::new(),
            features,
        }
    }

    /// The number of rows that were added.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.scores.len()
    }

    /// Adds a customer. The values are in the order of the writer's columns.
    ///
    /// # Errors
    /// When a value is not of its column's kind, when there are too few values, or when an amount
    /// is finer than a cent.
    pub fn push<'a>(
        &mut self,
        row: &CustomerRow<'_>,
        values: impl IntoIterator<Item = CellValue<'a>>,
    ) -> Result<(), HandoffError> {
        let number = self.rows();
        let value_error = |column: &str, problem: &str| HandoffError::Value {
            column: column.to_owned(),
            row: number,
            problem: problem.to_owned(),
        };

        let cents_of = |column: &str, amount: Option<Decimal>| {
            amount
                .map(|amount| {
                    cents(amount).ok_or_else(|| value_error(column, "is finer than a cent"))
                })
                .transpose()
        };

        let limit = cents_of("current_limit", row.current_limit)?;
        let income = cents_of("annual_income", row.annual_income)?;
        if row.unreadable.is_none() && (row.current_score.is_none() || limit.is_none()) {
            return Err(value_error("unreadable", "is missing, and so is the score or the limit"));
        }

        let mut values = values.into_iter();
        for (builder, column) in self.features.iter_mut().zip(&self.columns) {
            match (builder, values.next()) {
                (FeatureBuilder::Number(builder), Some(CellValue::Number(value))) => {
                    builder.append_option(value);
                }
                (FeatureBuilder::Text(builder), Some(CellValue::Text(value))) => {
                    builder.append_option(value);
                }
                _ => return Err(value_error(&column.name, "is not of its column's kind")),
            }
        }

        self.ids.append_value(row.customer_id);
        self.scores.push(row.current_score);
        self.limits.push(limit);
        self.unreadable.append_option(row.unreadable);
        self.dates
            .push(row.application_date.map(|date| (date - NaiveDate::default()).num_days() as i32));
        self.incomes.push(income);
        self.has_features.push(row.has_features);
        Ok(())
    }

    /// Makes the file. The writer is empty again afterwards.
    ///
    /// # Errors
    /// When the columns do not fit together.
    pub fn finish(&mut self) -> Result<Bytes, HandoffError> {
        let rows = self.rows();
        let mut columns = Columns::new();
        columns.push_distinct("customer_id", false, self.ids.finish());
        columns.push("current_score", true, Int32Array::from(std::mem::take(&mut self.scores)));
        columns.push("current_limit", true, amounts(std::mem::take(&mut self.limits), &MONEY));
        columns.push("unreadable", true, self.unreadable.finish());
        columns.push("application_date", true, Date32Array::from(std::mem::take(&mut self.dates)));
        columns.push("annual_income", true, amounts(std::mem::take(&mut self.incomes), &INCOME));
        columns.push(
            "has_features",
            false,
            BooleanArray::from(std::mem::take(&mut self.has_features)),
        );

        for (builder, column) in self.features.iter_mut().zip(&self.columns) {
            let name = format!("feature_{}", column.name);
            match builder {
                FeatureBuilder::Number(builder) => columns.push(&name, true, builder.finish()),
                FeatureBuilder::Text(builder) => columns.push(&name, true, builder.finish()),
            }
        }

        columns.into_parquet(rows)
    }
}

/// A source column of a whole shard.
#[derive(Debug, Clone, Copy)]
pub enum FeatureArray<'a> {
    /// Numbers. A missing value is NULL.
    Numbers(&'a Float64Array),
    /// Categories. A missing value is NULL.
    Texts(&'a StringArray),
}

/// The customers of a shard, as the scoring step reads them.
#[derive(Debug, Clone)]
pub struct Customers {
    table: Table,
}

impl Customers {
    /// Reads a file of exactly `rows` customers.
    ///
    /// # Errors
    /// When the bytes are not such a file.
    pub fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        let customers = Self { table: Table::from_parquet(bytes, rows)? };
        customers.ids()?;
        customers.scores()?;
        customers.limits()?;
        customers.unreadable()?;
        customers.has_features()?;
        customers.incomes()?;
        Ok(customers)
    }

    /// The number of customers.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.table.rows()
    }

    /// These customers alone, in this order.
    ///
    /// # Errors
    /// When the file has no such row.
    pub fn take(&self, rows: &[u32]) -> Result<Self, HandoffError> {
        Ok(Self { table: self.table.take(rows)? })
    }

    /// The keys of the customers.
    ///
    /// # Errors
    /// When the column is missing, has another type, or has a NULL.
    pub fn ids(&self) -> Result<&StringArray, HandoffError> {
        self.table.filled("customer_id", &DataType::Utf8)
    }

    /// The current scores, in points. NULL where the score could not be read.
    ///
    /// # Errors
    /// See [`Customers::ids`].
    pub fn scores(&self) -> Result<&Int32Array, HandoffError> {
        self.table.column("current_score", &DataType::Int32)
    }

    /// The current limits, in cents. NULL where the limit could not be read.
    ///
    /// # Errors
    /// See [`Customers::ids`].
    pub fn limits(&self) -> Result<&Decimal128Array, HandoffError> {
        self.table.column("current_limit", &MONEY)
    }

    /// Why a score or a limit could not be read. NULL where both are there.
    ///
    /// # Errors
    /// See [`Customers::ids`].
    pub fn unreadable(&self) -> Result<&StringArray, HandoffError> {
        self.table.column("unreadable", &DataType::Utf8)
    }

    /// The annual incomes, in cents. NULL if missing, or if the policy does not ask for the income.
    ///
    /// # Errors
    /// See [`Customers::ids`].
    pub fn incomes(&self) -> Result<&Decimal128Array, HandoffError> {
        self.table.column("annual_income", &INCOME)
    }

    /// Which customers have a features row.
    ///
    /// # Errors
    /// See [`Customers::ids`].
    pub fn has_features(&self) -> Result<&BooleanArray, HandoffError> {
        self.table.filled("has_features", &DataType::Boolean)
    }

    /// The values of a source column.
    ///
    /// # Errors
    /// When the file has no column of this name and kind.
    pub fn feature(&self, column: &SourceColumn) -> Result<FeatureArray<'_>, HandoffError> {
        let name = format!("feature_{}", column.name);
        if column.kind == ColumnKind::Category {
            self.table.column(&name, &DataType::Utf8).map(FeatureArray::Texts)
        } else {
            self.table.column(&name, &DataType::Float64).map(FeatureArray::Numbers)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow_array::Array as _;
    use proptest::prelude::*;

    fn columns() -> Vec<SourceColumn> {
        vec![SourceColumn::number("bureau"), SourceColumn::category("home")]
    }

    fn row(id: &str) -> CustomerRow<'_> {
        CustomerRow {
            customer_id: id,
            current_score: Some(640),
            current_limit: Some(Decimal::new(499_999, 2)),
            unreadable: None,
            application_date: NaiveDate::from_ymd_opt(2026, 11, 24),
            annual_income: None,
            has_features: true,
        }
    }

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut writer = CustomersWriter::new(&columns());
        let values = [CellValue::Number(Some(f64::NAN)), CellValue::Text(Some("O'Hara \"x\"\nü"))];
        writer.push(&row("a'b\n"), values).unwrap();
        writer.push(&row("b"), [CellValue::Number(None), CellValue::Text(None)]).unwrap();
        let customers = Customers::read(writer.finish().unwrap(), 2).unwrap();
        assert_eq!(customers.ids().unwrap().value(0), "a'b\n");
        assert_eq!(customers.limits().unwrap().value(1), 499_999);
        let FeatureArray::Numbers(bureau) = customers.feature(&columns()[0]).unwrap() else {
            panic!("numbers")
        };

        assert!(bureau.value(0).is_nan() && bureau.is_null(1));
        let FeatureArray::Texts(home) = customers.feature(&columns()[1]).unwrap() else {
            panic!("texts")
        };

        assert_eq!(home.value(0), "O'Hara \"x\"\nü");
        assert_eq!(writer.rows(), 0, "the writer is empty again");
    }

    #[test]
    fn equal_rows_make_equal_bytes() {
        let file = || {
            let mut writer = CustomersWriter::new(&columns());
            writer
                .push(&row("a"), [CellValue::Number(Some(1.5)), CellValue::Text(Some("x"))])
                .unwrap();
            writer.finish().unwrap()
        };

        assert_eq!(file(), file());
    }

    #[test]
    fn what_does_not_fit_the_contract_is_refused() {
        let mut writer = CustomersWriter::new(&columns());
        assert!(writer.push(&row("a"), [CellValue::Text(None), CellValue::Text(None)]).is_err());
        let mut writer = CustomersWriter::new(&columns()[..1]);
        writer.push(&row("a"), [CellValue::Number(None)]).unwrap();
        let bytes = writer.finish().unwrap();
        assert!(matches!(
            Customers::read(bytes.clone(), 2),
            Err(HandoffError::Rows { found: 1, expected: 2 })
        ));

        let customers = Customers::read(bytes, 1).unwrap();
        assert!(matches!(customers.feature(&columns()[1]), Err(HandoffError::MissingColumn(_))));
        let as_text = SourceColumn::category("bureau");
        assert!(matches!(customers.feature(&as_text), Err(HandoffError::ColumnType { .. })));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_an_error_and_never_a_panic(
            at in 0_usize..2_000,
            bit in 0_u8..8,
            cut in 0_usize..2_000,
        ) {
            let mut writer = CustomersWriter::new(&columns());
            for number in 0..20 {
                let id = format!("CUST_{number}");
                let values = [CellValue::Number(Some(f64::from(number))), CellValue::Text(Some("x"))];
                writer.push(&row(&id), values).unwrap();
            }

            let mut bytes = writer.finish().unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            // The pages have no checksum, so a flipped bit may read as another value. Storage
            // checks the SHA-256.
            let _ = Customers::read(bytes.clone().into(), 20);
            bytes.truncate(cut % bytes.len());
            prop_assert!(Customers::read(bytes.into(), 20).is_err());
        }
    }
}
