//! Loads many customers in one transaction: a binary COPY into a temporary table, then one INSERT
//! for each table.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use chrono::NaiveDate;
use futures_util::SinkExt as _;
use limit_increase_database::quote_identifier;
use rust_decimal::Decimal;
use std::fmt::Write as _;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Transaction};

use super::key::TableKey;
use crate::customers::columns::{ensure_columns, sql_type};
use crate::terminal::Problem;
use limit_increase_domain::SourceColumn;
use limit_increase_portfolio::{CopyRows, Head};

/// A customer on the way into the tables. It owns its values, because a thread of its own makes
/// the rows; the workflow's `CustomerRow` is what the query reads back, and borrows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IncomingCustomer {
    /// The key in both tables, 1 to 50 characters.
    pub(crate) customer_id: String,
    /// The current score, in points.
    pub(crate) current_score: i32,
    /// The current limit, an amount with two decimals.
    pub(crate) current_limit: Decimal,
    /// The day on which the customer applied.
    pub(crate) application_date: NaiveDate,
    /// The values of the features, in the order of [`Load::columns`].
    pub(crate) features: Vec<IncomingCell>,
}

/// The value of one feature of an incoming customer; `None` becomes NULL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum IncomingCell {
    /// The value of a column of numbers.
    Number(Option<f64>),
    /// The value of a column of categories.
    Text(Option<String>),
}

impl IncomingCustomer {
    /// Adds the customer as a row.
    pub(crate) fn write(&self, rows: &mut CopyRows) {
        rows.begin(&Head {
            id: &self.customer_id,
            score: self.current_score,
            // A limit has two decimals and is not negative.
            limit_cents: u64::try_from(self.current_limit.mantissa()).unwrap_or_default(),
            date: self.application_date,
        });
        for cell in &self.features {
            match cell {
                IncomingCell::Number(number) => rows.number(*number),
                IncomingCell::Text(text) => rows.text(text.as_deref()),
            }
        }
    }
}

/// What happens to a customer who is already in the table. A decision is never overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingCustomers {
    /// The score, the limit and the date stay as they are.
    Keep,
    /// The score, the limit and the date take the new values while the customer is undecided.
    UpdateUndecided,
}

/// Which columns to load, and how to treat the rows that the tables already have.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The columns of `customer_features` to fill.
    pub(crate) columns: Vec<SourceColumn>,
    /// The types of the key in both tables.
    pub(super) key: TableKey,
    /// What happens to customers who are already in the table.
    pub(crate) existing: ExistingCustomers,
    /// Whether both tables are emptied first, with the decisions in them. The ledger stays.
    pub(crate) reset: bool,
}

/// How many customers were loaded, and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct LoadReport {
    /// The number of customers in the source.
    pub(crate) rows: u64,
    /// How many of them are new in the table.
    pub(crate) inserted: u64,
    /// How many of them were in the table and got new values.
    pub(crate) updated: u64,
    /// The names of the columns that were added to `customer_features`.
    pub(crate) columns_added: Vec<String>,
}

/// Number of rows in one batch on the way to the connection.
pub(crate) const BATCH: usize = 2_000;
/// Number of batches that may wait for the connection. It bounds the memory when the rows are made
/// faster than they are written.
const WAITING_BATCHES: usize = 4;

/// Loads all rows that `source` sends, or none of them if anything fails.
///
/// `source` runs on a thread of its own, so that rows are made while others are written. It should
/// stop when its channel is closed. `progress` is told the number of rows written so far.
pub(crate) async fn load<S>(
    client: &mut Client,
    plan: &Load,
    source: S,
    progress: impl Fn(u64),
) -> Result<LoadReport>
where
    S: FnOnce(mpsc::Sender<CopyRows>) -> Result<()> + Send + 'static,
{
    let transaction = client.transaction().await?;
    // The statement that loads a million rows takes longer than the usual timeout allows.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = off")
        .await?;
    let columns_added = ensure_columns(&transaction, &plan.columns).await?;
    if plan.reset {
        transaction.batch_execute("TRUNCATE customer_features, batch_scores").await?;
    }

    let rows = receive(&transaction, &plan.columns, source, &progress).await?;
    let (inserted, updated) = merge(&transaction, plan).await?;
    transaction.commit().await?;
    Ok(LoadReport { rows, inserted, updated, columns_added })
}

/// Copies all rows that `source` sends into the temporary table `incoming`.
pub(super) async fn receive<S>(
    transaction: &Transaction<'_>,
    columns: &[SourceColumn],
    source: S,
    progress: &impl Fn(u64),
) -> Result<u64>
where
    S: FnOnce(mpsc::Sender<CopyRows>) -> Result<()> + Send + 'static,
{
    transaction.batch_execute(&incoming_table(columns)).await?;
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let producer = tokio::task::spawn_blocking(move || source(sender));
    let copied = copy(transaction, receiver, progress).await;
    // The source's error comes first, since it says which row is wrong. The copy's error would only
    // say that the copy was interrupted.
    producer.await.context("the thread that reads the customers died")??;
    let rows = copied?;
    check_limits(transaction).await?;
    progress(rows);
    Ok(rows)
}

/// Refuses a limit that a lender's own column would round: a limit of 4700.50 in an INTEGER.
async fn check_limits(transaction: &Transaction<'_>) -> Result<()> {
    let kind = transaction
        .query_opt(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('batch_scores') AND attname = 'current_limit'
               AND NOT (atttypid = 'numeric'::regtype
                        -- Without a bound, or with at least two decimals.
                        AND (atttypmod = -1 OR ((atttypmod - 4) & 2047) BETWEEN 2 AND 1000))",
            &[],
        )
        .await?;
    let Some(kind) = kind else { return Ok(()) };

    let kind: &str = kind.try_get(0)?;
    let rounded = transaction
        .query_opt(
            &format!(
                "SELECT customer_id, current_limit::text FROM incoming
                 WHERE current_limit::{kind}::numeric <> current_limit LIMIT 1"
            ),
            &[],
        )
        .await?;
    let Some(row) = rounded else { return Ok(()) };

    let (customer, limit): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    Err(Problem::usage(format!("the limit {limit} of {customer} would be rounded to a {kind}"))
        .at("batch_scores.current_limit")
        .next(
            "ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE NUMERIC(12, 2), or correct \
             the file; nothing was loaded",
        )
        .into())
}

fn incoming_table(columns: &[SourceColumn]) -> String {
    let mut sql =
        "CREATE TEMPORARY TABLE incoming (customer_id VARCHAR(50), current_score INTEGER, \
                   current_limit DECIMAL(10, 2), application_date DATE"
            .to_owned();
    for (position, column) in columns.iter().enumerate() {
        // Numbered names cannot collide with the four columns above, as a feature's own name could.
        let kind = sql_type(column.kind);
        let _ = write!(sql, ", feature_{position} {kind}");
    }

    sql.push_str(") ON COMMIT DROP");
    sql
}

async fn copy(
    transaction: &Transaction<'_>,
    mut batches: mpsc::Receiver<CopyRows>,
    progress: &impl Fn(u64),
) -> Result<u64> {
    let sink = transaction.copy_in("COPY incoming FROM STDIN (FORMAT binary)").await?;
    let mut sink = pin!(sink);
    sink.send(Bytes::from_static(CopyRows::HEADER)).await?;
    let mut rows = 0;
    while let Some(batch) = batches.recv().await {
        rows += batch.rows();
        sink.send(Bytes::from(batch.into_bytes())).await?;
        progress(rows);
    }

    sink.send(Bytes::from_static(CopyRows::TRAILER)).await?;
    sink.finish().await?;
    Ok(rows)
}

/// Moves the incoming rows into both tables. Returns the number of customers that were inserted,
/// and the number that were updated.
async fn merge(transaction: &Transaction<'_>, plan: &Load) -> Result<(u64, u64)> {
    if plan.reset {
        return fill_empty(transaction, plan).await;
    }

    let on_conflict = match plan.existing {
        ExistingCustomers::Keep => "DO NOTHING",
        ExistingCustomers::UpdateUndecided => {
            "DO UPDATE SET current_score = excluded.current_score,
                           current_limit = excluded.current_limit,
                           application_date = excluded.application_date
             WHERE known.limit_increase_decision IS NULL
               AND (known.current_score, known.current_limit, known.application_date)
                   IS DISTINCT FROM
                   (excluded.current_score, excluded.current_limit, excluded.application_date)"
        }
    };

    // PostgreSQL sets xmax on a row version that it updated; a row that was inserted has 0.
    let counts = transaction
        .query_one(
            &format!(
                "WITH written AS (
                     INSERT INTO batch_scores AS known
                         (customer_id, current_score, current_limit, application_date)
                     SELECT customer_id{cast}, current_score, current_limit, application_date
                     FROM incoming
                     ON CONFLICT (customer_id) {on_conflict}
                     RETURNING (xmax = 0) AS is_new)
                 SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new)
                 FROM written",
                cast = plan.key.cast
            ),
            &[],
        )
        .await?;
    if !plan.columns.is_empty() {
        transaction
            .batch_execute(&features_statement(&plan.columns, &plan.key.features_cast))
            .await?;
    }

    let [inserted, updated] =
        [0, 1].map(|column| u64::try_from(counts.get::<_, i64>(column)).unwrap_or_default());
    Ok((inserted, updated))
}

/// Moves the incoming rows into tables that were emptied. Without a row that could conflict,
/// PostgreSQL need not look for one. Returns what [`merge`] does.
async fn fill_empty(transaction: &Transaction<'_>, plan: &Load) -> Result<(u64, u64)> {
    let customers = format!(
        "INSERT INTO batch_scores (customer_id, current_score, current_limit, application_date)
         SELECT customer_id{cast}, current_score, current_limit, application_date FROM incoming",
        cast = plan.key.cast
    );
    let inserted = transaction.execute(&customers, &[]).await?;
    if !plan.columns.is_empty() {
        let features = features_insert(&plan.columns, &plan.key.features_cast);
        transaction.batch_execute(&features).await?;
    }

    Ok((inserted, 0))
}

/// The statement that writes the features of customers who have none.
fn features_insert(columns: &[SourceColumn], cast: &str) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
    let values: Vec<String> =
        (0..columns.len()).map(|position| format!("feature_{position}")).collect();
    format!(
        "INSERT INTO customer_features AS known (customer_id, {names})
         SELECT customer_id{cast}, {values} FROM incoming",
        names = names.join(", "),
        values = values.join(", ")
    )
}

/// The statement that writes the features. Features are facts and not decisions, so they always
/// take the newest data. A row whose features are the same is not written.
fn features_statement(columns: &[SourceColumn], cast: &str) -> String {
    let list = |pattern: &dyn Fn(String) -> String| {
        let parts: Vec<String> =
            columns.iter().map(|column| pattern(quote_identifier(&column.name))).collect();
        parts.join(", ")
    };

    format!(
        "{insert}
         ON CONFLICT (customer_id) DO UPDATE SET {assignments}
         WHERE ROW({old}) IS DISTINCT FROM ROW({new})",
        insert = features_insert(columns, cast),
        assignments = list(&|name| format!("{name} = excluded.{name}")),
        old = list(&|name| format!("known.{name}")),
        new = list(&|name| format!("excluded.{name}")),
    )
}
