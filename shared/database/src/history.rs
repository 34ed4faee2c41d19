//! The history: which run decided a customer, and where the record of the decision is.

use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{Failure, RunContext, RunId, ShardIndex};
use rust_decimal::Decimal;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use crate::customer_filter::{PROBES, customer_filter, probe_numbers};
use crate::decisions::StaleIds;
use crate::error::database_failure;
use crate::ledger::conflict_failure;
use crate::transaction::begin;

/// One decision that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDecision {
    /// The run that decided the customer.
    pub run_id: RunId,
    /// The shard of the run whose files have the customer.
    pub shard: ShardIndex,
    /// The row in each of these files. The first one is 0.
    pub row: u32,
    /// The business date of the run.
    pub as_of: NaiveDate,
    /// How the case ended, as it is written in the table: APPROVED, DECLINED or REFERRED.
    pub outcome: String,
    /// The score of that run; `None` if the customer could not be scored.
    pub new_score: Option<i32>,
    /// The limit at the time of the query; `None` if it could not be read.
    pub current_limit: Option<Decimal>,
    /// The raised limit of an approval.
    pub new_limit: Option<Decimal>,
    /// When the decision was written.
    pub decided_at: DateTime<Utc>,
}

/// The part of a table's columns that is read for a [`PastDecision`].
const COLUMNS: &str = "run_id, shard_index, row_index, as_of, outcome, new_score, current_limit, \
                       new_limit, decided_at";

fn reading_failure(error: tokio_postgres::Error) -> Failure {
    database_failure("reading the history of decisions", &error)
}

/// Makes the tables of this month and the next one. A run calls it before it opens, so that its
/// shards find the table of their month.
///
/// # Errors
/// `Permanent.DatabaseSchema` when the schema is older than this release; otherwise by SQLSTATE.
pub(crate) async fn add_months(client: &mut Client) -> Result<(), Failure> {
    const DOING: &str = "adding a month to the history of decisions";
    let transaction = begin(client, DOING).await?;
    transaction
        .batch_execute("SELECT limit_increase_add_months()")
        .await
        .map_err(|error| database_failure(DOING, &error))?;
    transaction.commit().await.map_err(|error| database_failure(DOING, &error))
}

/// Adds the decisions of a shard that were written, in the transaction that writes them
/// (promise 14). Returns the filter of their customers for the shard's row in the ledger.
///
/// COPY puts many rows into a page at once, and so costs much less than an INSERT of the same rows.
pub(crate) async fn add_decisions(
    transaction: &Transaction<'_>,
    run: &RunContext,
    shard: ShardIndex,
    evaluations: &[Evaluation<'_>],
    stale: &StaleIds,
) -> Result<Vec<u8>, tokio_postgres::Error> {
    let written: Vec<(usize, &Evaluation<'_>)> = evaluations
        .iter()
        .enumerate()
        .filter(|(_, evaluation)| !stale.contains(evaluation.customer_id))
        .collect();

    let copy = "COPY limit_increase_decisions (customer_id, run_id, shard_index, row_index, as_of,
                    outcome, new_score, current_limit, new_limit)
                FROM STDIN (FORMAT binary)";
    let sink = transaction.copy_in(copy).await?;
    let types = [
        Type::TEXT,
        Type::VARCHAR,
        Type::INT4,
        Type::INT4,
        Type::DATE,
        Type::VARCHAR,
        Type::INT4,
        Type::NUMERIC,
        Type::NUMERIC,
    ];
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for (position, evaluation) in &written {
        let row: [&(dyn ToSql + Sync); 9] = [
            &evaluation.customer_id,
            &run.run_id.as_str(),
            &(shard.0 as i32),
            // A shard has at most 50,000 customers, so the cast keeps every position.
            &(*position as i32),
            &run.as_of,
            &evaluation.outcome.as_str(),
            &evaluation.new_score.map(|score| score.value()),
            &evaluation.current_limit,
            &evaluation.new_limit,
        ];

        writer.as_mut().write(&row).await?;
    }

    writer.finish().await?;
    Ok(customer_filter(written.iter().map(|(_, evaluation)| evaluation.customer_id)))
}

/// The decisions on a customer, the newest first.
///
/// The filters in the ledger say which shards can have the customer, and the time of such a shard
/// leads to its rows. Only when none of them has the customer all months are read: somebody may
/// have deleted old runs from the ledger.
///
/// # Errors
/// `Permanent.DatabaseSchema` when the schema is older than this release; otherwise by SQLSTATE.
pub async fn find_decisions(
    client: &Client,
    customer_id: &str,
) -> Result<Vec<PastDecision>, Failure> {
    let mut rows = find_by_filter(client, customer_id).await?;
    if rows.is_empty() {
        let all = format!("SELECT {COLUMNS} FROM limit_increase_decisions WHERE customer_id = $1");
        rows = client
            .query_typed(&all, &[(&customer_id, Type::TEXT)])
            .await
            .map_err(reading_failure)?;
    }

    let mut decisions = rows.iter().map(past_decision).collect::<Result<Vec<_>, _>>()?;
    decisions.sort_by_key(|decision| std::cmp::Reverse(decision.decided_at));
    Ok(decisions)
}

/// The customer's rows in those shards whose filter has all probed bits.
async fn find_by_filter(client: &Client, customer_id: &str) -> Result<Vec<Row>, Failure> {
    let (first, second) = probe_numbers(customer_id);
    let shards = client
        .query_typed(
            "SELECT run_id, shard_index, applied_at FROM limit_increase_shards
             WHERE customer_filter IS NOT NULL AND NOT EXISTS (
                 SELECT FROM generate_series(0, $3 - 1) AS probe
                 WHERE get_bit(customer_filter,
                           ($1 + probe * $2) & (8 * length(customer_filter) - 1)) = 0)",
            &[(&first, Type::INT8), (&second, Type::INT8), (&PROBES, Type::INT4)],
        )
        .await
        .map_err(reading_failure)?;

    let one = format!(
        "SELECT {COLUMNS} FROM limit_increase_decisions
         WHERE decided_at = $1 AND run_id = $2 AND shard_index = $3 AND customer_id = $4"
    );
    let mut rows = Vec::new();
    for shard in shards {
        let applied_at: DateTime<Utc> = shard.try_get("applied_at").map_err(reading_failure)?;
        let run: &str = shard.try_get("run_id").map_err(reading_failure)?;
        let index: i32 = shard.try_get("shard_index").map_err(reading_failure)?;
        let found = client
            .query_typed(
                &one,
                &[
                    (&applied_at, Type::TIMESTAMPTZ),
                    (&run, Type::VARCHAR),
                    (&index, Type::INT4),
                    (&customer_id, Type::TEXT),
                ],
            )
            .await
            .map_err(reading_failure)?;
        rows.extend(found);
    }

    Ok(rows)
}

fn past_decision(row: &Row) -> Result<PastDecision, Failure> {
    let get = |error| reading_failure(error);
    let run: String = row.try_get("run_id").map_err(get)?;
    Ok(PastDecision {
        run_id: RunId::try_from(run).map_err(|error| conflict_failure(error.to_string()))?,
        shard: ShardIndex(row.try_get::<_, i32>("shard_index").map_err(get)?.unsigned_abs()),
        row: row.try_get::<_, i32>("row_index").map_err(get)?.unsigned_abs(),
        as_of: row.try_get("as_of").map_err(get)?,
        outcome: row.try_get("outcome").map_err(get)?,
        new_score: row.try_get("new_score").map_err(get)?,
        current_limit: row.try_get("current_limit").map_err(get)?,
        new_limit: row.try_get("new_limit").map_err(get)?,
        decided_at: row.try_get("decided_at").map_err(get)?,
    })
}
