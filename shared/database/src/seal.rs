//! Sealing a run: the row that chains it to the run that was closed before it.

use std::collections::BTreeMap;

use limit_increase_domain::Counts;
use limit_increase_workflow::seal::{Sealed, SealedShard, seal_of, shards_sha256};
use limit_increase_workflow::{Failure, FailureKind, RunContext, RunId, RunSummary};
use tokio_postgres::Transaction;

use crate::ledger::{LedgerRow, reading_failure, writing_failure};

/// The number of the advisory lock that makes one chain of all seals: "seal" in ASCII, then 1.
const CHAIN: i64 = 0x73_6561_6c31;

/// Seals a run in the transaction that closes it, and returns the seal (promise 15). Two runs that
/// close simultaneously form one chain: the second one waits for the first one's commit.
///
/// # Errors
/// By SQLSTATE.
pub(crate) async fn seal_run(
    transaction: &Transaction<'_>,
    context: &RunContext,
    summary: &RunSummary,
    objects: BTreeMap<String, String>,
) -> Result<String, Failure> {
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&CHAIN])
        .await
        .map_err(writing_failure)?;
    let run = &summary.run_id;
    let own = transaction
        .query_opt(
            "SELECT seal FROM limit_increase_seals WHERE run_id = $1 AND started_at = $2",
            &[&run.as_str(), &summary.started_at],
        )
        .await
        .map_err(reading_failure)?;
    if let Some(row) = own {
        return LedgerRow::new(run, row).get("seal");
    }

    let last = transaction
        .query_opt(
            "SELECT number, seal FROM limit_increase_seals ORDER BY number DESC LIMIT 1",
            &[],
        )
        .await
        .map_err(reading_failure)?;
    let (number, previous) = match last {
        Some(row) => {
            let row = LedgerRow::new(run, row);
            (row.count::<i64, u64>("number")? + 1, Some(row.get("seal")?))
        }
        None => (1, None),
    };

    let shards = shards(transaction, run).await?;
    let sealed = Sealed::new((number, previous), context, summary, shards_sha256(&shards), objects);
    let document = serde_json::to_string(&sealed)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("seal: {error}")))?;
    let seal = seal_of(&document);
    transaction
        .execute(
            "INSERT INTO limit_increase_seals (number, run_id, started_at, document, seal)
             VALUES ($1, $2, $3, $4, $5)",
            &[&(number as i64), &run.as_str(), &summary.started_at, &document, &seal],
        )
        .await
        .map_err(writing_failure)?;
    Ok(seal)
}

/// The shards of a run as they are sealed, in their order.
async fn shards(transaction: &Transaction<'_>, run: &RunId) -> Result<Vec<SealedShard>, Failure> {
    let rows = transaction
        .query(
            "SELECT shard_index, rows, approved, declined, referred, stale, total_increase,
                    evaluations_sha256, results_sha256
             FROM limit_increase_shards
             LEFT JOIN limit_increase_shard_files USING (run_id, shard_index)
             WHERE run_id = $1 ORDER BY shard_index",
            &[&run.as_str()],
        )
        .await
        .map_err(reading_failure)?;

    let shard = |row| {
        let row = LedgerRow::new(run, row);
        let counts: Counts = row.counts()?;
        Ok(SealedShard {
            index: row.count::<i32, _>("shard_index")?,
            rows: row.count::<i64, _>("rows")?,
            counts,
            total_increase: row.get("total_increase")?,
            evaluations_sha256: row.get("evaluations_sha256")?,
            results_sha256: row.get("results_sha256")?,
        })
    };
    rows.into_iter().map(shard).collect()
}
