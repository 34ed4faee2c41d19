//! The history of decisions beside the records: each decision that was written has its row, at its place
//! and with its values, and there is no other row.

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use limit_increase_evidence::seal::Finding;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results::{self, Effect};
use limit_increase_handoff::row_count;
use limit_increase_workflow::ShardIndex;
use rust_decimal::Decimal;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

const PLACE: &str = "limit_increase_decisions";

/// A row of the history, as far as the records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decided {
    row: i32,
    customer_id: String,
    outcome: String,
    new_score: Option<i32>,
    current_limit: Option<Decimal>,
    new_limit: Option<Decimal>,
}

/// Compares the history of a shard with its files, whose hashes are right.
///
/// # Errors
/// When the history can't be read.
pub async fn check_shard(
    client: &Client,
    (run, shard): (&str, ShardIndex),
    evaluations: Bytes,
    record: Bytes,
) -> Result<Option<Finding>> {
    let (recorded, found) = (recorded(evaluations, record)?, rows(client, run, shard).await?);
    if recorded == found {
        return Ok(None);
    }

    let first = recorded
        .iter()
        .zip(&found)
        .find(|(recorded, found)| recorded != found)
        .map_or(recorded.len().min(found.len()), |(recorded, _)| recorded.row as usize);
    let problem = format!(
        "the history of shard {shard} is not what its record says: {} rows for {} written \
         decisions, the first that differs is of row {first}",
        found.len(),
        recorded.len()
    );
    Ok(Some(Finding::new(run, PLACE, problem)))
}

/// Rows of the history that are of no shard of the ledger. It reads the whole history.
///
/// # Errors
/// When the history can't be read.
pub async fn check_strays(client: &Client) -> Result<Vec<Finding>> {
    let rows = client
        .query(
            "SELECT run_id, count(*) AS rows FROM limit_increase_decisions d
             WHERE NOT EXISTS (
                 SELECT FROM limit_increase_shards s
                 WHERE s.applied_at = d.decided_at AND s.run_id = d.run_id
                   AND s.shard_index = d.shard_index)
             GROUP BY run_id ORDER BY run_id",
            &[],
        )
        .await?;
    let finding = |row: &Row| {
        let (run, count): (&str, i64) = (row.try_get("run_id")?, row.try_get("rows")?);
        let problem = format!("{count} rows of the history are of no shard of the ledger");
        Ok(Finding::new(run, PLACE, problem))
    };
    rows.iter().map(finding).collect()
}

/// What the history has to have of a shard: its written decisions. A dry run has none.
fn recorded(evaluations: Bytes, record: Bytes) -> Result<Vec<Decided>> {
    let rows = row_count(&evaluations)?;
    let evaluations = Evaluations::read(evaluations, rows)?;
    let effects = results::read(record, rows)?;
    let mut decided = Vec::new();
    for (position, (evaluation, [_, _, effect])) in evaluations.iter()?.zip(effects).enumerate() {
        let evaluation = evaluation?;
        if effect == Effect::Written.as_str() {
            decided.push(Decided {
                row: i32::try_from(position)?,
                customer_id: evaluation.customer_id.to_owned(),
                outcome: evaluation.outcome.as_str().to_owned(),
                new_score: evaluation.new_score.map(|score| score.value()),
                current_limit: evaluation.current_limit,
                new_limit: evaluation.new_limit,
            });
        }
    }

    Ok(decided)
}

async fn rows(client: &Client, run: &str, shard: ShardIndex) -> Result<Vec<Decided>> {
    let shard = i32::try_from(shard.0)?;
    let applied = client
        .query_typed_opt(
            "SELECT applied_at FROM limit_increase_shards WHERE run_id = $1 AND shard_index = $2",
            &[(&run, Type::VARCHAR), (&shard, Type::INT4)],
        )
        .await?;
    let Some(applied) = applied else { return Ok(Vec::new()) };

    // The time leads to the rows: the history has no other index.
    let applied_at: DateTime<Utc> = applied.try_get("applied_at")?;
    let rows = client
        .query_typed(
            "SELECT row_index, customer_id, outcome, new_score, current_limit, new_limit
             FROM limit_increase_decisions
             WHERE decided_at = $1 AND run_id = $2 AND shard_index = $3 ORDER BY row_index",
            &[(&applied_at, Type::TIMESTAMPTZ), (&run, Type::VARCHAR), (&shard, Type::INT4)],
        )
        .await?;
    let decided = |row: &Row| {
        Ok(Decided {
            row: row.try_get("row_index")?,
            customer_id: row.try_get("customer_id")?,
            outcome: row.try_get("outcome")?,
            new_score: row.try_get("new_score")?,
            current_limit: row.try_get("current_limit")?,
            new_limit: row.try_get("new_limit")?,
        })
    };
    rows.iter().map(decided).collect()
}
