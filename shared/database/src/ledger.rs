//! The ledger: which runs there were, with what they were opened, and how they ended.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use limit_increase_domain::Counts;
use limit_increase_workflow::contract::{RecordedFailure, RunOpened, RunToFinish};
use limit_increase_workflow::keys::shard_list_key;
use limit_increase_workflow::{Failure, FailureKind, RunId, RunRequest, RunSummary, ShardIndex};
use limit_increase_workflow::{ObjectRef, RunContext};
use rust_decimal::Decimal;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, GenericClient, Row, Transaction};

use crate::decisions::ShardOutcome;
use crate::error::database_failure;

/// A run in the ledger.
#[derive(Debug, Clone)]
pub struct LedgerRun {
    /// `RUNNING`, `SUCCEEDED` or `FAILED`.
    pub status: String,
    /// What it was asked to do.
    pub request: RunRequest,
    /// What it was opened as.
    pub opened: RunOpened,
}

fn conflict(message: String) -> Failure {
    Failure::new(FailureKind::RunConflict, message)
}

fn reading(error: tokio_postgres::Error) -> Failure {
    database_failure("reading the ledger", &error)
}

fn writing(error: tokio_postgres::Error) -> Failure {
    database_failure("writing the ledger", &error)
}

fn unsigned<T: TryFrom<i64>>(run: &RunId, column: &str, value: i64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| {
        Failure::new(
            FailureKind::Internal,
            format!("run {run}: ledger column {column} holds {value}"),
        )
    })
}

/// The run, if it was opened.
///
/// # Errors
/// By SQLSTATE.
pub async fn find_run(client: &Client, run: &RunId) -> Result<Option<LedgerRun>, Failure> {
    let row = client
        .query_opt(
            "SELECT status, request, context, eligible, shard_count
             FROM limit_increase_runs WHERE run_id = $1 AND context IS NOT NULL",
            &[&run.as_str()],
        )
        .await
        .map_err(reading)?;
    let Some(row) = row else { return Ok(None) };
    let read = || -> Result<_, tokio_postgres::Error> {
        Ok((
            row.try_get::<_, String>(0)?,
            row.try_get::<_, Json<RunRequest>>(1)?.0,
            row.try_get::<_, Json<RunContext>>(2)?.0,
            row.try_get::<_, i64>(3)?,
            row.try_get::<_, i32>(4)?,
        ))
    };

    let (status, request, context, eligible, shard_count) = read().map_err(|error| {
        conflict(format!("run {run}: its ledger row can't be read by this release: {error}"))
    })?;

    let shard_count = unsigned(run, "shard_count", shard_count.into())?;
    let opened = RunOpened {
        eligible: unsigned(run, "eligible", eligible)?,
        shard_count,
        remaining: shard_count,
        shards: ObjectRef { bucket: context.bucket.clone(), key: shard_list_key(run) },
        run: context,
    };

    Ok(Some(LedgerRun { status, request, opened }))
}

/// Keeps other attempts at opening this run waiting until the transaction ends.
///
/// # Errors
/// By SQLSTATE; `Transient.Database` when another attempt takes longer than the lock time-out.
pub async fn hold_run<'c>(client: &'c mut Client, run: &RunId) -> Result<Transaction<'c>, Failure> {
    let transaction = client.transaction().await.map_err(writing)?;
    // Beside the locks of the run's shards, which count from 0.
    transaction
        .execute("SELECT pg_advisory_xact_lock(hashtextextended($1, -1))", &[&run.as_str()])
        .await
        .map_err(writing)?;
    Ok(transaction)
}

/// Opens a run. A row left by a failure before the run was opened is taken over once [`resume_run`] has opened that again:
/// a late attempt whose execution has failed meanwhile does not bring the run back to life.
///
/// # Errors
/// `Permanent.RunConflict` when another attempt has opened it meanwhile; else by SQLSTATE.
pub async fn open_run(
    client: &Client,
    request: &RunRequest,
    opened: &RunOpened,
    started_at: DateTime<Utc>,
) -> Result<(), Failure> {
    let run = &opened.run.run_id;
    let written = client
        .execute(
            "INSERT INTO limit_increase_runs (run_id, status, request, context, eligible, shard_count, started_at)
             VALUES ($1, 'RUNNING', $2, $3, $4, $5, $6)
             ON CONFLICT (run_id) DO UPDATE
             SET status = 'RUNNING', request = excluded.request, context = excluded.context,
                 eligible = excluded.eligible, shard_count = excluded.shard_count, started_at = excluded.started_at,
                 error = NULL, cause = NULL, finished_at = NULL
             WHERE limit_increase_runs.context IS NULL AND limit_increase_runs.status = 'RUNNING'",
            &[
                &run.as_str(),
                &Json(request),
                &Json(&opened.run),
                &(opened.eligible as i64),
                &(opened.shard_count as i32),
                &started_at,
            ],
        )
        .await
        .map_err(writing)?;
    if written == 1 {
        Ok(())
    } else {
        Err(conflict(format!(
            "run {run} has failed before it was open, or another attempt has opened it; redrive it"
        )))
    }
}

/// Fails unless shards of the run may still be applied. A failed run may: that is a redrive.
pub(crate) async fn require_open(client: &impl GenericClient, run: &RunId) -> Result<(), Failure> {
    let row = client
        .query_opt(
            "SELECT status FROM limit_increase_runs WHERE run_id = $1 AND context IS NOT NULL",
            &[&run.as_str()],
        )
        .await
        .map_err(reading)?;
    match row.map(|row| row.get::<_, String>(0)).as_deref() {
        Some("RUNNING" | "FAILED") => Ok(()),
        Some(status) => Err(conflict(format!("run {run} has ended ({status}); start a new run"))),
        None => Err(conflict(format!("run {run} is not in the ledger; QueryBatchScores opens it"))),
    }
}

/// What became of a shard, if it was applied.
///
/// # Errors
/// By SQLSTATE.
pub async fn applied_shard(
    client: &impl GenericClient,
    run: &RunId,
    shard: ShardIndex,
) -> Result<Option<ShardOutcome>, Failure> {
    let row = client
        .query_opt(
            "SELECT approved, declined, referred, stale, total_increase
             FROM limit_increase_shards WHERE run_id = $1 AND shard_index = $2",
            &[&run.as_str(), &(shard.0 as i32)],
        )
        .await
        .map_err(reading)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(ShardOutcome {
        counts: counts(run, &row, 0)?,
        total_increase: row.get(4),
        replayed: true,
    }))
}

/// The shards of a run that were applied.
///
/// # Errors
/// By SQLSTATE.
pub async fn applied_shards(client: &Client, run: &RunId) -> Result<BTreeSet<ShardIndex>, Failure> {
    let rows = client
        .query("SELECT shard_index FROM limit_increase_shards WHERE run_id = $1", &[&run.as_str()])
        .await
        .map_err(reading)?;
    rows.iter()
        .map(|row| unsigned(run, "shard_index", i64::from(row.get::<_, i32>(0))).map(ShardIndex))
        .collect()
}

fn counts(run: &RunId, row: &Row, first: usize) -> Result<Counts, Failure> {
    let column = |offset: usize, name: &str| unsigned(run, name, row.get::<_, i64>(first + offset));
    Ok(Counts {
        approved: column(0, "approved")?,
        declined: column(1, "declined")?,
        referred: column(2, "referred")?,
        stale: column(3, "stale")?,
    })
}

/// Closes a run: its shards must add up to its customers. Closing it again gives the same summary.
///
/// `record` is called inside the transaction, before it commits: a run is closed only when its summary is in S3, and one
/// whose summary can't be written is not left SUCCEEDED by an execution that fails.
///
/// # Errors
/// `Permanent.RunConflict` when shards are missing or do not add up, a failure was recorded, or the run was opened as another;
/// `record`'s failure; else by SQLSTATE.
pub async fn finish_run<R, F>(
    client: &mut Client,
    opened: &RunToFinish,
    record: R,
) -> Result<RunSummary, Failure>
where
    R: FnOnce(RunSummary) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    let run = &opened.run.run_id;
    let transaction = client.transaction().await.map_err(writing)?;
    let row = transaction
        .query_opt(
            "SELECT status, started_at, CASE status WHEN 'SUCCEEDED' THEN finished_at ELSE date_trunc('milliseconds', clock_timestamp()) END,
                    context, eligible
             FROM limit_increase_runs WHERE run_id = $1 AND context IS NOT NULL FOR UPDATE",
            &[&run.as_str()],
        )
        .await
        .map_err(reading)?
        .ok_or_else(|| conflict(format!("run {run} is not in the ledger; QueryBatchScores opens it")))?;
    let status: String = row.get(0);
    if status == "FAILED" {
        return Err(conflict(format!("run {run} has failed; redrive the execution")));
    }

    let closed = status == "SUCCEEDED";
    let started_at: DateTime<Utc> = row.get(1);
    let finished_at: DateTime<Utc> = row.get(2);
    let context = row
        .try_get::<_, Json<RunContext>>(3)
        .map_err(|error| {
            conflict(format!("run {run}: its ledger row can't be read by this release: {error}"))
        })?
        .0;
    if context != opened.run || unsigned::<u64>(run, "eligible", row.get(4))? != opened.eligible {
        return Err(conflict(format!(
            "run {run} was opened with another model, policy or selection than it is to be closed with"
        )));
    }

    let sums = transaction
        .query_one(
            "SELECT coalesce(sum(approved), 0)::bigint, coalesce(sum(declined), 0)::bigint,
                    coalesce(sum(referred), 0)::bigint, coalesce(sum(stale), 0)::bigint,
                    coalesce(sum(total_increase), 0.00), count(*)
             FROM limit_increase_shards WHERE run_id = $1",
            &[&run.as_str()],
        )
        .await
        .map_err(reading)?;
    let counts = counts(run, &sums, 0)?;
    let total_increase: Decimal = sums.get(4);
    let shards: u32 = unsigned(run, "count", sums.get(5))?;
    if shards != opened.shard_count || counts.total() != opened.eligible {
        return Err(conflict(format!(
            "run {run} does not add up: {shards} of {} shards applied, {} of {} customers counted; redrive the execution",
            opened.shard_count,
            counts.total(),
            opened.eligible
        )));
    }

    if !closed {
        transaction
            .execute(
                "UPDATE limit_increase_runs
                 SET status = 'SUCCEEDED', approved = $2, declined = $3, referred = $4, stale = $5, total_increase = $6,
                     error = NULL, cause = NULL, finished_at = $7
                 WHERE run_id = $1",
                &[
                    &run.as_str(),
                    &(counts.approved as i64),
                    &(counts.declined as i64),
                    &(counts.referred as i64),
                    &(counts.stale as i64),
                    &total_increase,
                    &finished_at,
                ],
            )
            .await
            .map_err(writing)?;
    }

    let summary = RunSummary {
        run_id: run.clone(),
        status: "SUCCEEDED".to_owned(),
        as_of: context.as_of,
        dry_run: context.dry_run,
        eligible: opened.eligible,
        counts,
        total_increase,
        shard_count: shards,
        model: context.model,
        policy: context.policy,
        policy_sha256: context.policy_sha256,
        started_at,
        finished_at,
    };

    record(summary.clone()).await?;
    transaction.commit().await.map_err(writing)?;
    Ok(summary)
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The run's own execution, which ends with it.
    Run,
    /// One of its shards.
    Shard,
}

/// Records that a run failed, and gives the failure that the ledger then holds: the first one of the run.
///
/// A run that was closed fails as well when its own execution does, which then has not heard of the closing; a redrive closes
/// it again. A shard's failure comes too late for that, since all shards of a closed run are applied: `None`.
///
/// # Errors
/// By SQLSTATE.
pub async fn record_failure(
    client: &Client,
    run: &RunId,
    what: Failed,
    failure: &RecordedFailure,
) -> Result<Option<RecordedFailure>, Failure> {
    // PostgreSQL's text holds no NUL.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let row = client
        .query_opt(
            "INSERT INTO limit_increase_runs AS run (run_id, status, error, cause, started_at, finished_at)
             VALUES ($1, 'FAILED', $2, $3, now(), now())
             ON CONFLICT (run_id) DO UPDATE
             SET status = 'FAILED', error = coalesce(run.error, excluded.error), cause = coalesce(run.cause, excluded.cause),
                 finished_at = excluded.finished_at
             WHERE $4 OR run.status <> 'SUCCEEDED'
             RETURNING error, cause",
            &[&run.as_str(), &clean(&failure.error), &clean(&failure.cause), &(what == Failed::Run)],
        )
        .await
        .map_err(writing)?;
    Ok(row.map(|row| RecordedFailure {
        error: row.get(0),
        cause: row.get(1),
        redrive_count: failure.redrive_count,
    }))
}

/// Opens a failed run again: what fails from now on is recorded anew. A run in any other state stays as it is.
///
/// # Errors
/// By SQLSTATE.
pub async fn resume_run(client: &Client, run: &RunId) -> Result<(), Failure> {
    client
        .execute(
            "UPDATE limit_increase_runs SET status = 'RUNNING', error = NULL, cause = NULL, finished_at = NULL
             WHERE run_id = $1 AND status = 'FAILED'",
            &[&run.as_str()],
        )
        .await
        .map_err(writing)?;
    Ok(())
}
