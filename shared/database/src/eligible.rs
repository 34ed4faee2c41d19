//! Reading the eligible customers with their features. It is one COPY statement, so one snapshot,
//! and its rows come as a stream in binary.

use std::pin::Pin;

use chrono::NaiveDate;
use futures_util::StreamExt as _;
use limit_increase_domain::policy::Eligibility;
use limit_increase_domain::{ColumnKind, SourceColumn};
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use limit_increase_workflow::{Failure, FailureKind};
use rust_decimal::Decimal;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::error::{database_failure, row_failure};
use crate::quote_identifier;

const READING: &str = "reading the eligible customers";

/// The customers and the columns that a run takes.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Who is eligible.
    pub eligibility: &'a Eligibility,
    /// At most this many customers; `None` for all.
    pub limit: Option<u64>,
    /// The source columns that the model reads.
    pub features: &'a [SourceColumn],
    /// The column of annual income, when the policy has an affordability cap.
    pub income_column: Option<&'a str>,
}

/// The eligible customers, one after the other: best score first with a limit, in the order of
/// their keys without one.
pub struct EligibleStream {
    rows: Pin<Box<BinaryCopyOutStream>>,
    features: Vec<SourceColumn>,
}

/// One customer of the stream. Its fields are borrowed from the row.
pub struct EligibleRow<'s> {
    row: BinaryCopyOutRow,
    features: &'s [SourceColumn],
}

/// The types of the columns before the features.
const FIXED: [Type; 6] =
    [Type::TEXT, Type::INT4, Type::NUMERIC, Type::DATE, Type::NUMERIC, Type::BOOL];

/// Starts the stream.
///
/// # Errors
/// `Permanent.DatabaseSchema` when `customer_features` lacks a column that the model or the policy
/// reads, or has it in a type that cannot be read; otherwise by SQLSTATE.
pub async fn open_eligible(
    client: &Client,
    selection: &Selection<'_>,
) -> Result<EligibleStream, Failure> {
    let sql = copy_statement(client, selection).await?;
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
    /// The next customer; `None` after the last.
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
    /// The fields that every customer has.
    ///
    /// # Errors
    /// When a field does not have the type that the statement gives it.
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

/// The COPY statement. COPY takes no parameters. So every part of it is a fixed text, a number, or
/// a quoted identifier that PostgreSQL's catalogue knows.
async fn copy_statement(client: &Client, selection: &Selection<'_>) -> Result<String, Failure> {
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

    // A limit takes the best scores. Without one the order does not matter. The order of the keys
    // is mostly the order of the table: nothing has to be sorted, the first row comes immediately,
    // and the rows of a shard lie close together for its UPDATE.
    let (cap, order) = match selection.limit {
        Some(limit) => (
            format!("ORDER BY current_score DESC, customer_id LIMIT {limit}"),
            "b.current_score DESC, b.customer_id",
        ),
        None => (String::new(), "b.customer_id"),
    };

    let score = selection.eligibility.minimum_current_score;
    let below = selection.eligibility.current_limit_below;
    // A date outside the years 1 to 9999, such as infinity, becomes NULL. An error would stop the
    // run.
    Ok(format!(
        "COPY (
             SELECT b.customer_id::text, b.current_score, b.current_limit,
                    CASE WHEN b.application_date BETWEEN '0001-01-01' AND '9999-12-31'
                         THEN b.application_date END,
                    {income}, f.customer_id IS NOT NULL{columns}
             FROM (
                 SELECT customer_id, current_score, current_limit, application_date
                 FROM batch_scores
                 WHERE limit_increase_decision IS NULL
                   AND current_score >= {score} AND current_limit < {below}
                 {cap}
             ) b
             LEFT JOIN customer_features f ON f.customer_id = b.customer_id
             ORDER BY {order}
         ) TO STDOUT (FORMAT binary)"
    ))
}

/// The names and types of the columns of `customer_features`, which must have one row for a
/// customer.
async fn feature_types(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let rows = client
        .query(
            "SELECT a.attname::text AS column_name, t.typname::text AS type_name
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = to_regclass('customer_features') AND a.attnum > 0
               AND NOT a.attisdropped",
            &[],
        )
        .await
        .map_err(|error| database_failure("reading the columns of customer_features", &error))?;
    let unique = client
        .query_one(
            "SELECT EXISTS (
                 SELECT FROM pg_index i
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = to_regclass('customer_features')
                   AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
                   AND a.attname = 'customer_id') AS is_unique",
            &[],
        )
        .await
        .map_err(|error| database_failure("reading the indexes of customer_features", &error))?;
    if rows.is_empty() {
        return Err(schema_failure("table customer_features does not exist".to_owned()));
    }

    if !unique.try_get::<_, bool>("is_unique").map_err(catalogue_failure)? {
        return Err(schema_failure(
            "customer_features has no primary key on customer_id: a customer could appear twice"
                .to_owned(),
        ));
    }

    rows.iter()
        .map(|row| Ok((row.try_get("column_name")?, row.try_get("type_name")?)))
        .collect::<Result<_, _>>()
        .map_err(catalogue_failure)
}

fn catalogue_failure(error: tokio_postgres::Error) -> Failure {
    row_failure("reading PostgreSQL's catalogue", &error)
}

fn schema_failure(problem: String) -> Failure {
    Failure::new(
        FailureKind::DatabaseSchema,
        format!(
            "{problem}; run limit-increase setup-db --schema-only, or load the features that the model reads \
             (setup-db --data)"
        ),
    )
}

fn type_of<'t>(types: &'t [(String, String)], name: &str) -> Result<&'t str, Failure> {
    types
        .iter()
        .find(|(column, _)| column == name)
        .map(|(_, type_name)| type_name.as_str())
        .ok_or_else(|| {
            schema_failure(format!(
                "customer_features has no column {name:?}, which the model or the policy reads"
            ))
        })
}

/// The expression for a feature as float8 or text. A number that is too large for float8 becomes
/// infinity, for which the customer is referred. A number that is too small becomes zero. A plain
/// cast would stop the run.
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
             WHEN abs({name}) <= 1e300 THEN {name}::float8 \
             WHEN {name} IS NOT NULL THEN 'Infinity'::float8 END"
        )),
        other => Err(schema_failure(format!(
            "column {:?} of customer_features has type {other}, but the model reads it as a number",
            column.name
        ))),
    }
}

/// The expression for an income, rounded to the cent. A value that cannot be an income (NaN,
/// infinite, beyond 10^11) becomes NULL, for which the customer is referred.
fn income_expression(name: &str, type_name: &str) -> Result<String, Failure> {
    let column = format!("f.{}", quote_identifier(name));
    match type_name {
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => Ok(format!(
            "CASE WHEN {column} BETWEEN -1e11 AND 1e11 THEN round({column}::numeric, 2) END"
        )),
        other => Err(schema_failure(format!(
            "column {name:?} of customer_features has type {other}, but the policy's affordability \
             cap needs a number"
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
    fn text_is_not_a_number() {
        let column = SourceColumn::number("home");
        let failure = feature_expression(&column, "text").unwrap_err();
        assert_eq!(failure.kind, FailureKind::DatabaseSchema);
        assert!(failure.message.contains("\"home\""));
    }
}
