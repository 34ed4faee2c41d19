//! Many customers in one go: binary COPY into a temporary table, then one INSERT per table, in one
//! transaction.

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use limit_increase_database::quote_identifier;
use rust_decimal::Decimal;
use std::fmt::Write as _;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use crate::customers::columns::{ensure_columns, sql_type};
use limit_increase_domain::{ColumnKind, SourceColumn};

/// A customer to load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CustomerRow {
    /// Key, at most 50 characters.
    pub(crate) customer_id: String,
    /// Points.
    pub(crate) current_score: i32,
    /// Two decimals.
    pub(crate) current_limit: Decimal,
    /// When the customer applied.
    pub(crate) application_date: NaiveDate,
    /// In the order of the loader's columns.
    pub(crate) features: Vec<FeatureCell>,
}

/// A feature's value; `None` is NULL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FeatureCell {
    /// For a numeric column.
    Number(Option<f64>),
    /// For a category.
    Text(Option<String>),
}

/// What happens to a customer who is in the table already. A decision is never overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExistingCustomers {
    /// Score and limit stay as they are.
    Keep,
    /// Score, limit and date follow the new data while the customer is undecided.
    UpdateUndecided,
}

/// How to load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Columns of `customer_features` to fill.
    pub(crate) columns: Vec<SourceColumn>,
    /// What happens to customers who are there already.
    pub(crate) existing: ExistingCustomers,
    /// Empty both tables first; decisions go too. The ledger of runs stays.
    pub(crate) reset: bool,
}

/// What was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct LoadReport {
    /// Customers in the source.
    pub(crate) rows: u64,
    /// Of them new to the table.
    pub(crate) inserted: u64,
    /// Of them there already, with their data brought up to date.
    pub(crate) updated: u64,
    /// Columns that were added to `customer_features`.
    pub(crate) columns_added: Vec<String>,
}

/// Rows travel to the connection in batches of this many.
pub(crate) const BATCH: usize = 2_000;
/// Batches that may wait for the connection; this bounds the memory however fast rows are made.
const WAITING_BATCHES: usize = 4;

/// Loads all rows that `source` sends, or none if it fails.
///
/// `source` runs on a thread of its own, so that making rows and writing them overlap; it ends
/// early when its channel is closed.
pub(crate) async fn load<S>(
    client: &mut Client,
    plan: &Load,
    source: S,
    progress: impl Fn(u64),
) -> Result<LoadReport>
where
    S: FnOnce(mpsc::Sender<Vec<CustomerRow>>) -> Result<()> + Send + 'static,
{
    let transaction = client.transaction().await?;
    // Loading a million rows is one long statement, and meant to be.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = off")
        .await?;
    let columns_added = ensure_columns(&transaction, &plan.columns).await?;
    if plan.reset {
        transaction.batch_execute("TRUNCATE customer_features, batch_scores").await?;
    }

    transaction.batch_execute(&incoming_table(&plan.columns)).await?;
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let producer = tokio::task::spawn_blocking(move || source(sender));
    let copied = copy(&transaction, &plan.columns, receiver, &progress).await;
    // The source's error says which row is wrong; a broken copy would only say that it was broken
    // off.
    producer.await.context("the thread that reads the customers died")??;
    let rows = copied?;
    progress(rows);
    let (inserted, updated) = merge(&transaction, plan).await?;
    transaction.commit().await?;
    Ok(LoadReport { rows, inserted, updated, columns_added })
}

fn incoming_table(columns: &[SourceColumn]) -> String {
    let mut sql =
        "CREATE TEMPORARY TABLE incoming (customer_id VARCHAR(50), current_score INTEGER, \
                   current_limit DECIMAL(10, 2), application_date DATE"
            .to_owned();
    for (position, column) in columns.iter().enumerate() {
        // Its own names, so that a feature called current_score does no harm.
        let kind = sql_type(column.kind);
        let _ = write!(sql, ", feature_{position} {kind}");
    }

    sql.push_str(") ON COMMIT DROP");
    sql
}

async fn copy(
    transaction: &Transaction<'_>,
    columns: &[SourceColumn],
    mut batches: mpsc::Receiver<Vec<CustomerRow>>,
    progress: &impl Fn(u64),
) -> Result<u64> {
    let mut types = vec![Type::VARCHAR, Type::INT4, Type::NUMERIC, Type::DATE];
    types.extend(
        columns.iter().map(|column| {
            if column.kind == ColumnKind::Number { Type::FLOAT8 } else { Type::TEXT }
        }),
    );

    let sink = transaction.copy_in("COPY incoming FROM STDIN (FORMAT binary)").await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    let mut rows = 0;
    while let Some(batch) = batches.recv().await {
        for row in &batch {
            let mut values: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(types.len());
            values.extend([
                &row.customer_id as &(dyn ToSql + Sync),
                &row.current_score,
                &row.current_limit,
                &row.application_date,
            ]);

            values.extend(row.features.iter().map(|cell| match cell {
                FeatureCell::Number(number) => number as &(dyn ToSql + Sync),
                FeatureCell::Text(text) => text as &(dyn ToSql + Sync),
            }));

            writer.as_mut().write(&values).await?;
        }

        rows += batch.len() as u64;
        progress(rows);
    }

    writer.finish().await?;
    Ok(rows)
}

/// Moves the incoming rows into both tables; returns how many customers are new, and how many were
/// brought up to date.
async fn merge(transaction: &Transaction<'_>, plan: &Load) -> Result<(u64, u64)> {
    let on_conflict = match plan.existing {
        ExistingCustomers::Keep => "DO NOTHING",
        ExistingCustomers::UpdateUndecided => {
            "DO UPDATE SET current_score = excluded.current_score, current_limit = excluded.current_limit,
                           application_date = excluded.application_date
             WHERE known.limit_increase_decision IS NULL
               AND (known.current_score, known.current_limit, known.application_date)
                   IS DISTINCT FROM (excluded.current_score, excluded.current_limit, excluded.application_date)"
        }
    };

    // A row version that this statement inserted, and did not update, has no xmax.
    let counts = transaction
        .query_one(
            &format!(
                "WITH written AS (
                     INSERT INTO batch_scores AS known (customer_id, current_score, current_limit, application_date)
                     SELECT customer_id, current_score, current_limit, application_date FROM incoming
                     ON CONFLICT (customer_id) {on_conflict}
                     RETURNING (xmax = 0) AS is_new)
                 SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written"
            ),
            &[],
        )
        .await?;
    if !plan.columns.is_empty() {
        transaction.batch_execute(&features_statement(&plan.columns)).await?;
    }

    let [inserted, updated] =
        [0, 1].map(|column| u64::try_from(counts.get::<_, i64>(column)).unwrap_or_default());
    Ok((inserted, updated))
}

/// Features are facts, not decisions: they always follow the newest data. Rows that would not
/// change are left alone.
fn features_statement(columns: &[SourceColumn]) -> String {
    let list = |pattern: &dyn Fn(usize, String) -> String| {
        let parts: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(position, column)| pattern(position, quote_identifier(&column.name)))
            .collect();
        parts.join(", ")
    };

    format!(
        "INSERT INTO customer_features AS known (customer_id, {names})
         SELECT customer_id, {values} FROM incoming
         ON CONFLICT (customer_id) DO UPDATE SET {assignments}
         WHERE ROW({old}) IS DISTINCT FROM ROW({new})",
        names = list(&|_, name| name),
        values = list(&|position, _| format!("feature_{position}")),
        assignments = list(&|_, name| format!("{name} = excluded.{name}")),
        old = list(&|_, name| format!("known.{name}")),
        new = list(&|_, name| format!("excluded.{name}")),
    )
}
