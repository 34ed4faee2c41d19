//! The ledger as it is now: runs, shards with the hashes of their files, seals.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use limit_increase_domain::Counts;
use limit_increase_evidence::seal::{LedgerRun, StoredSeal};
use limit_increase_workflow::RunStatus;
use limit_increase_workflow::seal::SealedShard;
use serde_json::Value;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

/// Everything that is sealed, in one snapshot.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The runs that were opened, in the order of their start. One that has not ended is left out.
    pub runs: Vec<LedgerRun>,
    /// The seals, in their order.
    pub seals: Vec<StoredSeal>,
}

/// Reads the ledger in one snapshot.
///
/// # Errors
/// When a query fails, or a stored value is not of the type that the migrations gave it.
pub async fn read(client: &mut Client) -> Result<Ledger> {
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let seals = snapshot
        .query(
            "SELECT number, run_id, started_at, document, seal FROM limit_increase_seals
             ORDER BY number",
            &[],
        )
        .await?;
    let shards = snapshot
        .query(
            "SELECT run_id, shard_index, rows, approved, declined, referred, stale, total_increase,
                    evaluations_sha256, results_sha256
             FROM limit_increase_shards
             LEFT JOIN limit_increase_shard_files USING (run_id, shard_index)
             ORDER BY run_id, shard_index",
            &[],
        )
        .await?;
    let runs = snapshot
        .query(
            "SELECT run_id, status, context, eligible, coalesce(approved, 0) AS approved,
                    coalesce(declined, 0) AS declined, coalesce(referred, 0) AS referred,
                    coalesce(stale, 0) AS stale, coalesce(total_increase, 0) AS total_increase,
                    shard_count, started_at, finished_at
             FROM limit_increase_runs
             WHERE context IS NOT NULL AND finished_at IS NOT NULL ORDER BY started_at, run_id",
            &[],
        )
        .await?;

    let mut by_run: BTreeMap<String, Vec<SealedShard>> = BTreeMap::new();
    for row in &shards {
        by_run.entry(row.try_get("run_id")?).or_default().push(shard(row)?);
    }
    Ok(Ledger {
        runs: runs.iter().map(|row| run(row, &mut by_run)).collect::<Result<_>>()?,
        seals: seals.iter().map(seal).collect::<Result<_>>()?,
    })
}

fn seal(row: &Row) -> Result<StoredSeal> {
    Ok(StoredSeal {
        number: count(row, "number")?,
        run_id: row.try_get("run_id")?,
        started_at: row.try_get("started_at")?,
        document: row.try_get("document")?,
        seal: row.try_get("seal")?,
    })
}

fn shard(row: &Row) -> Result<SealedShard> {
    Ok(SealedShard {
        index: u32::try_from(row.try_get::<_, i32>("shard_index")?)?,
        rows: count(row, "rows")?,
        counts: counts(row)?,
        total_increase: row.try_get("total_increase")?,
        evaluations_sha256: row.try_get("evaluations_sha256")?,
        results_sha256: row.try_get("results_sha256")?,
    })
}

fn run(row: &Row, shards: &mut BTreeMap<String, Vec<SealedShard>>) -> Result<LedgerRun> {
    let run_id: String = row.try_get("run_id")?;
    let status: &str = row.try_get("status")?;
    let Json(context) = row.try_get::<_, Json<Value>>("context")?;
    Ok(LedgerRun {
        status: RunStatus::parse(status)
            .with_context(|| format!("the ledger has the unknown status {status:?}"))?,
        context,
        eligible: count(row, "eligible")?,
        counts: counts(row)?,
        total_increase: row.try_get("total_increase")?,
        shard_count: u32::try_from(row.try_get::<_, i32>("shard_count")?)?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        shards: shards.remove(&run_id).unwrap_or_default(),
        run_id,
    })
}

fn counts(row: &Row) -> Result<Counts> {
    Ok(Counts {
        approved: count(row, "approved")?,
        declined: count(row, "declined")?,
        referred: count(row, "referred")?,
        stale: count(row, "stale")?,
    })
}

fn count(row: &Row, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).with_context(|| format!("the ledger's column {column} holds {value}"))
}
