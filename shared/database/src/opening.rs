//! Opening a run: the lock that makes one of two attempts wait, and the run's row in the ledger.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use limit_increase_workflow::contract::{Execution, RunOpened};
use limit_increase_workflow::keys::shard_list_key;
use limit_increase_workflow::{Failure, ObjectRef, RunContext, RunId, RunRequest, ShardIndex};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::eligible::{EligibleStream, Selection, open_eligible, qualifies};
use crate::error::database_failure;
use crate::history::add_months;
use crate::ledger::{
    LedgerRow, applied_shards, conflict_failure, reading_failure, redrive_of, same_execution,
    writing_failure,
};
use crate::reporting::Candidates;
use crate::transaction::begin;

/// The lock of a run, until this guard is committed or dropped. No other attempt can open the run
/// meanwhile (promise 7).
///
/// The second of two attempts waits in [`OpeningRun::hold`] and then finds what the first one has
/// recorded. So it cannot write its own customers over those of the first one.
pub struct OpeningRun<'c> {
    transaction: Transaction<'c>,
    run: &'c RunId,
    execution: Execution,
}

/// The scheduled event that started a run.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// What identifies the event; `None` for a run that was not started by a schedule.
    pub event: Option<String>,
    /// The run that the same event has started before.
    pub duplicate_of: Option<RunId>,
}

/// A run that the ledger has already.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// What the run was asked to do.
    pub request: RunRequest,
    /// What it was opened as.
    pub opened: RunOpened,
}

impl fmt::Debug for OpeningRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningRun").field("run", &self.run).finish_non_exhaustive()
    }
}

impl<'c> OpeningRun<'c> {
    /// Takes the lock of a run, for an attempt of this execution. The history gets the tables of
    /// its next months before that.
    ///
    /// # Errors
    /// `Transient.Database` when another attempt holds the lock longer than the lock time-out;
    /// otherwise by SQLSTATE.
    pub async fn hold(
        client: &'c mut Client,
        run: &'c RunId,
        execution: Execution,
    ) -> Result<Self, Failure> {
        add_months(client).await?;
        let transaction = begin(client, "writing the ledger").await?;
        // The locks of the run's shards count from 0, so -1 is free.
        transaction
            .execute("SELECT pg_advisory_xact_lock(hashtextextended($1, -1))", &[&run.as_str()])
            .await
            .map_err(writing_failure)?;

        Ok(Self { transaction, run, execution })
    }

    /// The run as the ledger has it, if it was opened before.
    ///
    /// # Errors
    /// `Permanent.RunConflict` when the row is that of an older execution with the same name, or
    /// when another release has written it in another form; otherwise by SQLSTATE.
    pub async fn find(&self) -> Result<Option<RecordedRun>, Failure> {
        let row = self
            .transaction
            .query_opt(
                concat!(
                    "SELECT request, context, eligible, shard_count,",
                    same_execution!("$2"),
                    "AS same_execution
                     FROM limit_increase_runs AS run
                     WHERE run_id = $1 AND context IS NOT NULL"
                ),
                &[&self.run.as_str(), &self.execution.start_time],
            )
            .await
            .map_err(reading_failure)?;
        let Some(row) = row else { return Ok(None) };

        let row = LedgerRow::new(self.run, row);
        if !row.get::<bool>("same_execution")? {
            return Err(conflict_failure(format!(
                "the name {} was used by an older run; start a run with another name",
                self.run
            )));
        }

        let context: RunContext = row.document("context")?;
        let shard_count = row.count::<i32, _>("shard_count")?;
        let opened = RunOpened {
            eligible: row.count::<i64, _>("eligible")?,
            shard_count,
            remaining: shard_count,
            shards: ObjectRef { bucket: context.bucket.clone(), key: shard_list_key(self.run) },
            shard: None,
            run: context,
        };

        Ok(Some(RecordedRun { request: row.document("request")?, opened }))
    }

    /// Sets an open run back to RUNNING when its execution was redriven since (promise 4). So a
    /// late event of EventBridge, which reports the end of an earlier redrive, cannot fail it.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn reopen(&self) -> Result<(), Failure> {
        self.transaction
            .execute(
                "UPDATE limit_increase_runs
                 SET status = 'RUNNING', error = NULL, cause = NULL, finished_at = NULL,
                     failed_at_redrive = NULL, redrive = $2, resumed_at = now()
                 WHERE run_id = $1 AND redrive < $2 AND status <> 'SUCCEEDED'",
                &[&self.run.as_str(), &redrive_of(self.execution)],
            )
            .await
            .map_err(writing_failure)?;
        Ok(())
    }

    /// The other run that the same scheduled event has started, unless that run has failed.
    ///
    /// EventBridge may deliver an event twice, and each delivery starts an execution. The second
    /// of them waits here until the first one has opened its run.
    ///
    /// # Errors
    /// `Transient.Database` when the first one takes longer than the lock time-out; otherwise by
    /// SQLSTATE.
    pub async fn find_duplicate(&self, event: &str) -> Result<Option<RunId>, Failure> {
        self.transaction
            .execute("SELECT pg_advisory_xact_lock(hashtextextended($1, -2))", &[&event])
            .await
            .map_err(writing_failure)?;
        let row = self
            .transaction
            .query_opt(
                "SELECT run_id FROM limit_increase_runs
                 WHERE scheduled_event = $1 AND run_id <> $2 AND context IS NOT NULL
                   AND status <> 'FAILED'
                 ORDER BY started_at LIMIT 1",
                &[&event, &self.run.as_str()],
            )
            .await
            .map_err(reading_failure)?;
        let Some(row) = row else { return Ok(None) };

        let name: String = LedgerRow::new(self.run, row).get("run_id")?;
        RunId::try_from(name).map(Some).map_err(|error| conflict_failure(error.to_string()))
    }

    /// The shards of the run that were applied.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn applied_shards(&self) -> Result<BTreeSet<ShardIndex>, Failure> {
        applied_shards(&self.transaction, self.run).await
    }

    /// The eligible customers, as [`open_eligible`] reads them.
    ///
    /// # Errors
    /// As [`open_eligible`].
    pub async fn open_eligible(
        &self,
        selection: &Selection<'_>,
    ) -> Result<EligibleStream, Failure> {
        open_eligible(self.transaction.client(), selection).await
    }

    /// Counts the customers without a decision, and those of them whom the policy lets in. Without
    /// a limit the latter are the customers that the query took.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn count_candidates(
        &self,
        selection: &Selection<'_>,
        taken: u64,
    ) -> Result<Candidates, Failure> {
        let qualifying = match selection.limit {
            None => "NULL::bigint".to_owned(),
            Some(_) => format!("count(*) FILTER (WHERE {})", qualifies(selection.policy)),
        };
        let row = self
            .transaction
            .query_one(
                &format!(
                    "SELECT count(*) AS undecided, {qualifying} AS qualifying
                     FROM batch_scores WHERE limit_increase_decision IS NULL"
                ),
                &[],
            )
            .await
            .map_err(reading_failure)?;

        let row = LedgerRow::new(self.run, row);
        let qualifying = match selection.limit {
            None => taken,
            Some(_) => row.count::<i64, _>("qualifying")?,
        };
        Ok(Candidates {
            undecided: Some(row.count::<i64, _>("undecided")?),
            qualifying: Some(qualifying),
        })
    }

    /// Records the run in the ledger. The row counts after [`OpeningRun::commit`].
    ///
    /// A failure may have left a row before the run was opened. That row is taken over only by an
    /// execution that was redriven since. So a late attempt cannot reopen a run whose execution has
    /// failed (promise 5), and cannot open one that a redrive is about to open.
    ///
    /// # Errors
    /// `Permanent.RunConflict` when the run has failed or another attempt has opened it; otherwise
    /// by SQLSTATE.
    pub async fn record(
        &self,
        request: &RunRequest,
        opened: &RunOpened,
        (schedule, candidates): (&Schedule, Candidates),
        started_at: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let Self { transaction, run, execution } = self;
        let written = transaction
            .execute(
                "INSERT INTO limit_increase_runs AS run
                     (run_id, status, request, context, eligible, shard_count, started_at,
                      redrive, execution_started_at, scheduled_event, duplicate_of, undecided,
                      qualifying)
                 VALUES ($1, 'RUNNING', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                 ON CONFLICT (run_id) DO UPDATE
                 SET status = 'RUNNING', request = excluded.request, context = excluded.context,
                     eligible = excluded.eligible, shard_count = excluded.shard_count,
                     started_at = excluded.started_at, error = NULL, cause = NULL,
                     finished_at = NULL, failed_at_redrive = NULL, redrive = excluded.redrive,
                     execution_started_at = excluded.execution_started_at,
                     scheduled_event = excluded.scheduled_event,
                     duplicate_of = excluded.duplicate_of, undecided = excluded.undecided,
                     qualifying = excluded.qualifying
                 WHERE run.context IS NULL AND run.redrive <= excluded.redrive
                   AND (run.status = 'RUNNING' OR run.failed_at_redrive < excluded.redrive)",
                &[
                    &run.as_str(),
                    &Json(request),
                    &Json(&opened.run),
                    &(opened.eligible as i64),
                    &(opened.shard_count as i32),
                    &started_at,
                    &redrive_of(*execution),
                    &execution.start_time,
                    &schedule.event,
                    &schedule.duplicate_of.as_ref().map(RunId::as_str),
                    &candidates.undecided.map(|count| count as i64),
                    &candidates.qualifying.map(|count| count as i64),
                ],
            )
            .await
            .map_err(writing_failure)?;

        if written == 1 {
            Ok(())
        } else {
            Err(conflict_failure(format!(
                "run {run} has failed before it was open, or a later attempt has opened it; \
                 redrive it"
            )))
        }
    }

    /// Makes the record durable and releases the lock.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await.map_err(|error| database_failure("opening the run", &error))
    }
}
