//! The ledger: which runs there were, what they were opened with, and how they ended.
//!
//! Each function here is one statement. What needs a lock and more than one statement is a method
//! of a guard: [`OpeningRun`](crate::OpeningRun), [`HeldShard`](crate::HeldShard),
//! [`ClosingRun`](crate::ClosingRun).
//!
//! A statement outside a transaction gives the types of its parameters. So it is one message to the
//! server, and not a preparation and a use, which a pooler in transaction mode may send to two
//! servers.

use std::collections::BTreeSet;

use limit_increase_domain::Counts;
use limit_increase_workflow::contract::{Execution, OpenRuns, RecordedFailure};
use limit_increase_workflow::{Failure, FailureKind, RunContext, RunId, RunStatus, ShardIndex};
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::types::{FromSql, Json, Type};
use tokio_postgres::{Client, GenericClient, Row};

use crate::error::database_failure;

/// What became of a shard's decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardOutcome {
    /// The shard's customers, by what became of them.
    pub counts: Counts,
    /// Sum of (new limit - old limit) over the approved.
    pub total_increase: Decimal,
    /// Whether an earlier attempt had already applied the shard.
    pub replayed: bool,
}

/// The part of a run that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedPart {
    /// The run's own execution, which ends with this failure.
    Execution(Execution),
    /// One of the run's shards.
    Shard,
}

pub(crate) fn conflict_failure(message: String) -> Failure {
    Failure::new(FailureKind::RunConflict, message)
}

pub(crate) fn reading_failure(error: tokio_postgres::Error) -> Failure {
    database_failure("reading the ledger", &error)
}

pub(crate) fn writing_failure(error: tokio_postgres::Error) -> Failure {
    database_failure("writing the ledger", &error)
}

pub(crate) fn not_opened_failure(run: &RunId) -> Failure {
    conflict_failure(format!("run {run} is not in the ledger; QueryBatchScores opens it"))
}

/// A row of the ledger. Its columns are read by name, and an error names the run.
pub(crate) struct LedgerRow<'r> {
    run: &'r RunId,
    row: Row,
}

impl<'r> LedgerRow<'r> {
    pub(crate) const fn new(run: &'r RunId, row: Row) -> Self {
        Self { run, row }
    }

    pub(crate) fn get<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, Failure> {
        self.row.try_get(column).map_err(|error| self.unreadable_failure(&error))
    }

    /// A JSON document. A newer or older release may have written another form of it.
    pub(crate) fn document<'a, T>(&'a self, column: &str) -> Result<T, Failure>
    where
        Json<T>: FromSql<'a>,
    {
        self.get::<Json<T>>(column).map(|Json(document)| document)
    }

    /// A count: PostgreSQL's integers have a sign, and a count has none.
    pub(crate) fn count<'a, S, T>(&'a self, column: &str) -> Result<T, Failure>
    where
        S: FromSql<'a> + Into<i64>,
        T: TryFrom<i64>,
    {
        let value: i64 = self.get::<S>(column)?.into();
        T::try_from(value).map_err(|_| {
            Failure::new(
                FailureKind::Internal,
                format!("run {}: ledger column {column} holds {value}", self.run),
            )
        })
    }

    pub(crate) fn counts(&self) -> Result<Counts, Failure> {
        Ok(Counts {
            approved: self.count::<i64, _>("approved")?,
            declined: self.count::<i64, _>("declined")?,
            referred: self.count::<i64, _>("referred")?,
            stale: self.count::<i64, _>("stale")?,
        })
    }

    pub(crate) fn status(&self) -> Result<RunStatus, Failure> {
        let text: &str = self.get("status")?;
        RunStatus::parse(text)
            .ok_or_else(|| self.unreadable_failure(&format_args!("its status is {text:?}")))
    }

    fn unreadable_failure(&self, problem: &dyn std::fmt::Display) -> Failure {
        conflict_failure(format!(
            "run {}: its ledger row can't be read by this release: {problem}",
            self.run
        ))
    }
}

/// The status of a run, which must have been opened with exactly this context (promise 2). An event
/// with another policy, model or mode was not made by the state machine.
///
/// # Errors
/// `Permanent.RunConflict` when the run was never opened, or was opened as another; otherwise by
/// SQLSTATE.
pub(crate) async fn status_of(
    client: &impl GenericClient,
    run: &RunContext,
) -> Result<RunStatus, Failure> {
    let id = &run.run_id;
    let row = client
        .query_opt(
            "SELECT status, context FROM limit_increase_runs
             WHERE run_id = $1 AND context IS NOT NULL",
            &[&id.as_str()],
        )
        .await
        .map_err(reading_failure)?;
    let Some(row) = row else { return Err(not_opened_failure(id)) };

    let row = LedgerRow::new(id, row);
    if row.document::<RunContext>("context")? != *run {
        return Err(conflict_failure(format!(
            "run {id} was opened with another model, policy, mode or list of shards than the event \
             names; nothing was written"
        )));
    }

    row.status()
}

/// Refuses a run that is closed.
///
/// A run that is FAILED passes, because the other shards go on when one of them has failed, and
/// because an execution may be redriven.
///
/// # Errors
/// `Permanent.RunConflict`.
pub(crate) fn require_open(run: &RunId, status: RunStatus) -> Result<(), Failure> {
    match status {
        RunStatus::Running | RunStatus::Failed => Ok(()),
        status @ RunStatus::Succeeded => {
            Err(conflict_failure(format!("run {run} has ended ({status}); start a new run")))
        }
    }
}

/// What became of a shard, if it was applied.
///
/// # Errors
/// By SQLSTATE.
pub(crate) async fn find_shard(
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
        .map_err(reading_failure)?;
    let Some(row) = row else { return Ok(None) };

    let row = LedgerRow::new(run, row);
    Ok(Some(ShardOutcome {
        counts: row.counts()?,
        total_increase: row.get("total_increase")?,
        replayed: true,
    }))
}

/// The shards of a run that were applied.
///
/// # Errors
/// By SQLSTATE.
pub(crate) async fn applied_shards(
    client: &impl GenericClient,
    run: &RunId,
) -> Result<BTreeSet<ShardIndex>, Failure> {
    let rows = client
        .query("SELECT shard_index FROM limit_increase_shards WHERE run_id = $1", &[&run.as_str()])
        .await
        .map_err(reading_failure)?;

    rows.into_iter()
        .map(|row| LedgerRow::new(run, row).count::<i32, _>("shard_index").map(ShardIndex))
        .collect()
}

/// What the ledger keeps of a shard beside its counts.
#[derive(Debug)]
pub(crate) struct KeptOfShard<'a, P> {
    /// Finds the customers whose decisions the shard wrote; a dry run has none.
    pub(crate) customer_filter: Option<&'a [u8]>,
    /// What was counted of the shard's customers, for the report.
    pub(crate) profile: Option<P>,
}

/// Enters a shard that was applied.
///
/// # Errors
/// The error of the driver.
pub(crate) async fn insert_shard(
    client: &impl GenericClient,
    run: &RunId,
    shard: ShardIndex,
    outcome: &ShardOutcome,
    kept: &KeptOfShard<'_, impl Serialize + std::fmt::Debug + Sync>,
) -> Result<(), tokio_postgres::Error> {
    let ShardOutcome { counts, total_increase, .. } = outcome;
    // A shard has at most 50,000 customers, so the casts keep every value.
    let number = |count: u64| count as i64;
    client
        .execute(
            "INSERT INTO limit_increase_shards
                 (run_id, shard_index, rows, approved, declined, referred, stale, total_increase,
                  customer_filter, profile, applied_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())",
            &[
                &run.as_str(),
                &(shard.0 as i32),
                &number(counts.total()),
                &number(counts.approved),
                &number(counts.declined),
                &number(counts.referred),
                &number(counts.stale),
                total_increase,
                &kept.customer_filter,
                &kept.profile.as_ref().map(Json),
            ],
        )
        .await?;
    Ok(())
}

/// A condition on the ledger's row `run`: it is the row of this execution. A name can be used again
/// after 90 days; the row then is that of an older run. `$execution` is the time at which the
/// execution was started, or NULL if nobody says. EventBridge and Step Functions may round that
/// time differently, so it need not be equal.
macro_rules! same_execution {
    ($execution:literal) => {
        concat!(
            " (run.execution_started_at IS NULL OR ",
            $execution,
            "::timestamptz IS NULL OR abs(extract(epoch FROM run.execution_started_at - ",
            $execution,
            "::timestamptz)) < 86400) "
        )
    };
}
pub(crate) use same_execution;

/// Records that a run failed, and returns the failure that the ledger then holds: the first one of
/// the run in this redrive (promise 5).
///
/// A failure of the execution also fails a run that is closed: the execution did not learn that the
/// run was closed, and a redrive closes it again. The answer is `None` when nothing was recorded:
///
/// * for a failure of a shard that comes after the run was closed, because then all its shards are
///   applied;
/// * for a failure of an execution before its last redrive, because the run goes on since then.
///
/// # Errors
/// By SQLSTATE.
pub async fn record_failure(
    client: &Client,
    run: &RunId,
    part: FailedPart,
    failure: &RecordedFailure,
) -> Result<Option<RecordedFailure>, Failure> {
    let execution = match part {
        FailedPart::Execution(execution) => Some(execution),
        FailedPart::Shard => None,
    };

    let row = client
        .query_typed(
            concat!(
                "INSERT INTO limit_increase_runs AS run
                     (run_id, status, error, cause, started_at, finished_at, redrive,
                      failed_at_redrive, execution_started_at)
                 VALUES ($1, 'FAILED', $2, $3, now(), now(), coalesce($4, 0), coalesce($4, 0), $5)
                 ON CONFLICT (run_id) DO UPDATE
                 SET status = 'FAILED',
                     error = CASE WHEN run.failed_at_redrive >= coalesce($4, run.redrive)
                                  THEN run.error ELSE excluded.error END,
                     cause = CASE WHEN run.failed_at_redrive >= coalesce($4, run.redrive)
                                  THEN run.cause ELSE excluded.cause END,
                     finished_at = CASE WHEN run.failed_at_redrive >= coalesce($4, run.redrive)
                                        THEN run.finished_at ELSE excluded.finished_at END,
                     failed_at_redrive =
                         greatest(run.failed_at_redrive, coalesce($4, run.redrive))
                 WHERE coalesce(run.redrive <= $4, run.status <> 'SUCCEEDED') AND",
                same_execution!("$5"),
                "RETURNING error, cause"
            ),
            &[
                (&run.as_str(), Type::TEXT),
                (&without_nul(&failure.error), Type::TEXT),
                (&without_nul(&failure.cause), Type::TEXT),
                (&execution.map(redrive_of), Type::INT4),
                (&execution.and_then(|execution| execution.start_time), Type::TIMESTAMPTZ),
            ],
        )
        .await
        .map_err(writing_failure)?;
    let Some(row) = row.into_iter().next() else { return Ok(None) };

    let row = LedgerRow::new(run, row);
    Ok(Some(RecordedFailure { error: row.get("error")?, cause: row.get("cause")? }))
}

/// The number of redrives as the ledger's column has it. AWS allows 1,000.
pub(crate) fn redrive_of(execution: Execution) -> i32 {
    i32::try_from(execution.redrive_count).unwrap_or(i32::MAX)
}

/// The text with the replacement character for each NUL, which PostgreSQL's TEXT cannot hold.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Sets a run back to RUNNING for the current redrive of its execution, and returns whether it did
/// (promise 4). The next failure is then recorded as its first.
///
/// It does so once for each redrive, so that a run that fails again ends. `recorded` says that the
/// ledger had the failure: when the run is RUNNING nevertheless, an earlier attempt of the same
/// call has resumed it and died, and the answer is the same again.
///
/// # Errors
/// By SQLSTATE.
pub async fn resume_run(
    client: &Client,
    run: &RunId,
    execution: Execution,
    recorded: bool,
) -> Result<bool, Failure> {
    let resumed = client
        .execute_typed(
            concat!(
                "INSERT INTO limit_increase_runs AS run
                     (run_id, status, started_at, redrive, execution_started_at)
                 VALUES ($1, 'RUNNING', now(), $2, $3)
                 ON CONFLICT (run_id) DO UPDATE
                 SET status = 'RUNNING', error = NULL, cause = NULL, finished_at = NULL,
                     failed_at_redrive = NULL, redrive = excluded.redrive, resumed_at = now()
                 WHERE (run.redrive < excluded.redrive
                        OR (run.redrive = excluded.redrive AND run.status = 'RUNNING' AND $4))
                   AND",
                same_execution!("$3")
            ),
            &[
                (&run.as_str(), Type::TEXT),
                (&redrive_of(execution), Type::INT4),
                (&execution.start_time, Type::TIMESTAMPTZ),
                (&recorded, Type::BOOL),
            ],
        )
        .await
        .map_err(writing_failure)?;
    Ok(resumed == 1)
}

/// The runs that are RUNNING.
///
/// # Errors
/// By SQLSTATE.
pub async fn open_runs(client: &Client) -> Result<OpenRuns, Failure> {
    let row = client
        .query_typed(
            "SELECT run_id, count(*) OVER () AS count,
                    extract(epoch FROM now() - coalesce(resumed_at, started_at))::float8 AS seconds
             FROM limit_increase_runs WHERE status = 'RUNNING'
             ORDER BY coalesce(resumed_at, started_at) LIMIT 1",
            &[],
        )
        .await
        .map_err(reading_failure)?;
    let Some(row) = row.into_iter().next() else { return Ok(OpenRuns::default()) };

    let unreadable = |error: tokio_postgres::Error| conflict_failure(error.to_string());
    let name: String = row.try_get("run_id").map_err(unreadable)?;
    let oldest = RunId::try_from(name).map_err(|error| conflict_failure(error.to_string()))?;
    let row = LedgerRow::new(&oldest, row);
    let (count, oldest_seconds) = (row.count::<i64, _>("count")?, row.get("seconds")?);
    Ok(OpenRuns { count, oldest_seconds, oldest: Some(oldest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_the_ledger_has_no_nul() {
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
        assert_eq!(without_nul("no model at s3://b/k"), "no model at s3://b/k");
    }
}
