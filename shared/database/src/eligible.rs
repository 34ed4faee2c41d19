//! Reading the eligible customers with their features. It is one COPY statement, so one snapshot,
//! and its rows come as a stream in binary.

use std::pin::Pin;

use chrono::NaiveDate;
use futures_util::StreamExt as _;
use limit_increase_domain::policy::Eligibility;
use limit_increase_domain::{ColumnKind, Policy, SourceColumn};
use limit_increase_workflow::Failure;
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use rust_decimal::Decimal;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::error::{database_failure, row_failure};
use crate::schema::{FeaturePlan, TablePlan, WantedFeatures, Writes, plan_query};

const READING: &str = "reading the eligible customers";

/// The customers and the columns that a run takes.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The policy: who is eligible, and which limits can be written.
    pub policy: &'a Policy,
    /// At most this many customers; `None` for all.
    pub limit: Option<u64>,
    /// The source columns that the model reads.
    pub features: &'a [SourceColumn],
    /// No reason that the model can give has more characters.
    pub longest_reason: usize,
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
const FIXED: [Type; 7] =
    [Type::TEXT, Type::INT4, Type::NUMERIC, Type::TEXT, Type::DATE, Type::NUMERIC, Type::BOOL];

/// Starts the stream.
///
/// # Errors
/// `Permanent.DatabaseSchema` with all that keeps the tables from being read and written exactly;
/// otherwise by SQLSTATE.
pub async fn open_eligible(
    client: &Client,
    selection: &Selection<'_>,
) -> Result<EligibleStream, Failure> {
    let writes = Writes { policy: selection.policy, longest_reason: selection.longest_reason };
    let cap = selection.policy.affordability.as_ref();
    let wanted = WantedFeatures {
        columns: selection.features,
        income: cap.map(|cap| cap.income_column.as_str()),
    };
    let (plan, features) = plan_query(client, &writes, wanted).await?;
    let sql = copy_statement(selection, &plan, &features);
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
                current_score: self.row.try_get::<Option<i32>>(1)?,
                current_limit: self.row.try_get::<Option<Decimal>>(2)?,
                unreadable: self.row.try_get::<Option<&str>>(3)?,
                application_date: self.row.try_get::<Option<NaiveDate>>(4)?,
                annual_income: self.row.try_get::<Option<Decimal>>(5)?,
                has_features: self.row.try_get::<bool>(6)?,
            })
        };

        read().map_err(|error: tokio_postgres::Error| row_failure(READING, &error))
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
        features.map_err(|error| row_failure(READING, &error))
    }
}

/// The condition on a customer whom the policy lets in.
pub(crate) fn qualifies(policy: &Policy) -> String {
    let Eligibility { minimum_current_score: score, current_limit_below: below } =
        &policy.eligibility;
    format!("current_score >= {score} AND current_limit < {below}")
}

/// The COPY statement. COPY takes no parameters. So every part of it is a fixed text, a number, or
/// a quoted identifier that PostgreSQL's catalogue knows.
fn copy_statement(selection: &Selection<'_>, plan: &TablePlan, features: &FeaturePlan) -> String {
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

    let qualifies = qualifies(selection.policy);
    let columns: String =
        features.columns.iter().map(|expression| format!(", {expression}")).collect();
    format!(
        "COPY (
             SELECT b.customer_id::text, {}, {}, {},
                    {},
                    {}, f.customer_id IS NOT NULL{columns}
             FROM (
                 SELECT customer_id, current_score, current_limit, application_date
                 FROM batch_scores
                 WHERE limit_increase_decision IS NULL
                   AND {qualifies}
                 {cap}
             ) b
             LEFT JOIN customer_features f ON f.customer_id = b.customer_id
             ORDER BY {order}
         ) TO STDOUT (FORMAT binary)",
        plan.score(),
        plan.limit(),
        plan.unreadable(),
        plan.date(),
        features.income,
    )
}
