//! Reading the eligible customers with their features: one statement, so one snapshot, streamed in binary.

use std::pin::Pin;

use chrono::NaiveDate;
use futures_util::StreamExt as _;
use limit_increase_domain::policy::Eligibility;
use limit_increase_workflow::{Failure, FailureKind};
use rust_decimal::Decimal;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::error::database_failure;
use crate::quote_identifier;
use limit_increase_domain::{ColumnKind, SourceColumn};
use limit_increase_workflow::rows::{CellValue, CustomerRow};

const READING: &str = "reading the eligible customers";

/// What a run selects.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Who is eligible.
    pub eligibility: &'a Eligibility,
    /// At most so many; `None` for all.
    pub limit: Option<u64>,
    /// The features the model reads.
    pub features: &'a [SourceColumn],
    /// The column of annual income, under an affordability cap.
    pub income_column: Option<&'a str>,
}

/// The eligible customers, one after the other: best score first under a cap, by their keys without one.
pub struct EligibleStream {
    rows: Pin<Box<BinaryCopyOutStream>>,
    features: Vec<SourceColumn>,
}

/// A row of the stream, which lends its fields.
pub struct EligibleRow<'s> {
    row: BinaryCopyOutRow,
    features: &'s [SourceColumn],
}

/// Columns before the features.
const FIXED: [Type; 6] =
    [Type::TEXT, Type::INT4, Type::NUMERIC, Type::DATE, Type::NUMERIC, Type::BOOL];

/// Starts the stream.
///
/// # Errors
/// `Permanent.DatabaseSchema` when `customer_features` lacks a column that the model or the policy reads, or has it in
/// a type that doesn't go; else by SQLSTATE.
pub async fn open_eligible(
    client: &Client,
    selection: &Selection<'_>,
) -> Result<EligibleStream, Failure> {
    let sql = statement(client, selection).await?;
    let types: Vec<Type> = FIXED
        .into_iter()
        .chain(selection.features.iter().map(|column| {
            if column.kind == ColumnKind::Category { Type::TEXT } else { Type::FLOAT8 }
        }))
        .collect();
    let stream = client.copy_out(&sql).await.map_err(|error| database_failure(READING, &error))?;
    Ok(EligibleStream {
        rows: Box::pin(BinaryCopyOutStream::new(stream, &types)),
        features: selection.features.to_vec(),
    })
}

impl EligibleStream {
    /// The next customer, `None` after the last.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn next(&mut self) -> Result<Option<EligibleRow<'_>>, Failure> {
        match self.rows.next().await {
            None => Ok(None),
            Some(Ok(row)) => Ok(Some(EligibleRow { row, features: &self.features })),
            Some(Err(error)) => Err(database_failure(READING, &error)),
        }
    }
}

impl EligibleRow<'_> {
    /// The fixed fields.
    ///
    /// # Errors
    /// When a field is not of the type that the statement gives it.
    pub fn customer(&self) -> Result<CustomerRow<'_>, Failure> {
        let read = || {
            Ok(CustomerRow {
                customer_id: self.row.try_get::<&str>(0)?,
                current_score: self.row.try_get::<i32>(1)?,
                current_limit: self.row.try_get::<Decimal>(2)?,
                application_date: self.row.try_get::<Option<NaiveDate>>(3)?,
                annual_income: self.row.try_get::<Option<Decimal>>(4)?,
                has_features: self.row.try_get::<bool>(5)?,
            })
        };

        read().map_err(|error: tokio_postgres::Error| database_failure(READING, &error))
    }

    /// The features, in the order of the selection.
    ///
    /// # Errors
    /// As [`EligibleRow::customer`].
    pub fn features(&self) -> Result<Vec<CellValue<'_>>, Failure> {
        let read = |(position, column): (usize, &SourceColumn)| {
            let index = FIXED.len() + position;
            Ok(if column.kind == ColumnKind::Category {
                CellValue::Text(self.row.try_get::<Option<&str>>(index)?)
            } else {
                CellValue::Number(self.row.try_get::<Option<f64>>(index)?)
            })
        };

        let features: Result<_, tokio_postgres::Error> =
            self.features.iter().enumerate().map(read).collect();
        features.map_err(|error| database_failure(READING, &error))
    }
}

/// The COPY statement. COPY takes no parameters, so everything in it is either a number of ours or a quoted
/// identifier that the catalogue knows.
async fn statement(client: &Client, selection: &Selection<'_>) -> Result<String, Failure> {
    let types = feature_types(client).await?;
    let mut columns = String::new();
    for column in selection.features {
        columns.push_str(", ");
        columns.push_str(&feature_expression(column, type_of(&types, &column.name)?)?);
    }

    let income = match selection.income_column {
        None => "NULL::numeric".to_owned(),
        Some(name) => income_expression(name, type_of(&types, name)?)?,
    };

    // A cap takes the best scores. Without one the order decides nothing, and in the order of the keys, which is mostly that
    // of the table, nothing need be sorted, the first row comes at once, and a shard's rows lie close together for its UPDATE.
    let (cap, order) = match selection.limit {
        Some(limit) => (
            format!("ORDER BY current_score DESC, customer_id LIMIT {limit}"),
            "b.current_score DESC, b.customer_id",
        ),
        None => (String::new(), "b.customer_id"),
    };

    let score = selection.eligibility.minimum_current_score;
    let below = selection.eligibility.current_limit_below;
    // Dates outside the years 1 to 9999, infinity among them, become NULL rather than an error that stops the run.
    Ok(format!(
        "COPY (
             SELECT b.customer_id::text, b.current_score, b.current_limit,
                    CASE WHEN b.application_date BETWEEN '0001-01-01' AND '9999-12-31' THEN b.application_date END,
                    {income}, f.customer_id IS NOT NULL{columns}
             FROM (
                 SELECT customer_id, current_score, current_limit, application_date
                 FROM batch_scores
                 WHERE limit_increase_decision IS NULL AND current_score >= {score} AND current_limit < {below}
                 {cap}
             ) b
             LEFT JOIN customer_features f ON f.customer_id = b.customer_id
             ORDER BY {order}
         ) TO STDOUT (FORMAT binary)"
    ))
}

/// Names and types of the columns of `customer_features`, which must be unique by customer.
async fn feature_types(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let rows = client
        .query(
            "SELECT a.attname::text, t.typname::text
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = to_regclass('customer_features') AND a.attnum > 0 AND NOT a.attisdropped",
            &[],
        )
        .await
        .map_err(|error| database_failure("reading the columns of customer_features", &error))?;
    let unique = client
        .query_one(
            "SELECT EXISTS (
                 SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = to_regclass('customer_features') AND i.indisunique AND i.indisvalid
                   AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = 'customer_id')",
            &[],
        )
        .await
        .map_err(|error| database_failure("reading the indexes of customer_features", &error))?;
    if rows.is_empty() {
        return Err(schema("table customer_features does not exist".to_owned()));
    }

    if !unique.get::<_, bool>(0) {
        return Err(schema(
            "customer_features has no primary key on customer_id: a customer could appear twice"
                .to_owned(),
        ));
    }

    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn schema(problem: String) -> Failure {
    Failure::new(
        FailureKind::DatabaseSchema,
        format!(
            "{problem}; run limit-increase setup-db, or load the features that the model reads (setup-db --data)"
        ),
    )
}

fn type_of<'t>(types: &'t [(String, String)], name: &str) -> Result<&'t str, Failure> {
    types
        .iter()
        .find(|(column, _)| column == name)
        .map(|(_, type_name)| type_name.as_str())
        .ok_or_else(|| {
            schema(format!(
                "customer_features has no column {name:?}, which the model or the policy reads"
            ))
        })
}

/// A feature as float8 or text. A number that float8 can't hold becomes infinity, for which the customer is referred, or
/// zero, where it is too small: the cast itself would stop the run.
fn feature_expression(column: &SourceColumn, type_name: &str) -> Result<String, Failure> {
    let name = format!("f.{}", quote_identifier(&column.name));
    if column.kind == ColumnKind::Category {
        return Ok(format!("{name}::text"));
    }

    match type_name {
        "float8" => Ok(name),
        "int2" | "int4" | "int8" | "float4" => Ok(format!("{name}::float8")),
        "bool" => Ok(format!("{name}::int::float8")),
        "numeric" => Ok(format!(
            "CASE WHEN {name} = 'NaN' THEN 'NaN'::float8 WHEN abs({name}) < 1e-300 THEN 0 \
             WHEN abs({name}) <= 1e300 THEN {name}::float8 WHEN {name} IS NOT NULL THEN 'Infinity'::float8 END"
        )),
        other => Err(schema(format!(
            "column {:?} of customer_features has type {other}, but the model reads it as a number",
            column.name
        ))),
    }
}

/// Income to the cent; what can't be an income (NaN, infinite, beyond 10^11) is NULL, for which the customer is referred.
fn income_expression(name: &str, type_name: &str) -> Result<String, Failure> {
    let column = format!("f.{}", quote_identifier(name));
    match type_name {
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => Ok(format!(
            "CASE WHEN {column} BETWEEN -1e11 AND 1e11 THEN round({column}::numeric, 2) END"
        )),
        other => Err(schema(format!(
            "column {name:?} of customer_features has type {other}, but the policy's affordability cap needs a number"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn identifiers_are_quoted_whatever_they_hold() {
        let column = SourceColumn::number("a\"; DROP TABLE x; --");
        assert_eq!(feature_expression(&column, "float8").unwrap(), "f.\"a\"\"; DROP TABLE x; --\"");
    }

    #[test]
    fn text_is_no_number() {
        let column = SourceColumn::number("home");
        let failure = feature_expression(&column, "text").unwrap_err();
        assert_eq!(failure.kind, FailureKind::DatabaseSchema);
        assert!(failure.message.contains("\"home\""));
    }
}
