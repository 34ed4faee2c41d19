//! Opening a run: the lock that makes one of two attempts wait, and the run's row in the ledger.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::keys::shard_list_key;
use limit_increase_workflow::{Failure, ObjectRef, RunContext, RunId, RunRequest, ShardIndex};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::eligible::{EligibleStream, Selection, open_eligible};
use crate::error::database_failure;
use crate::ledger::{
    LedgerRow, applied_shards, conflict_failure, reading_failure, writing_failure,
};
use crate::transaction::begin;

/// The lock of a run, until this guard is committed or dropped. No other attempt can open the run
/// meanwhile (promise 7).
///
/// The second of two attempts waits in [`OpeningRun::hold`] and then finds what the first one has
/// recorded. So it cannot write its own customers over those of the first one.
pub struct OpeningRun<'c> {
    transaction: Transaction<'c>,
    run: &'c RunId,
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
    /// Takes the lock of a run.
    ///
    /// # Errors
    /// `Transient.Database` when another attempt holds the lock longer than the lock time-out;
    /// otherwise by SQLSTATE.
    pub async fn hold(client: &'c mut Client, run: &'c RunId) -> Result<Self, Failure> {
        let transaction = begin(client, "writing the ledger").await?;
        // The locks of the run's shards count from 0, so -1 is free.
        transaction
            .execute("SELECT pg_advisory_xact_lock(hashtextextended($1, -1))", &[&run.as_str()])
            .await
            .map_err(writing_failure)?;

        Ok(Self { transaction, run })
    }

    /// The run as the ledger has it, if it was opened before.
    ///
    /// # Errors
    /// `Permanent.RunConflict` when another release has written the row in another form; otherwise
    /// by SQLSTATE.
    pub async fn find(&self) -> Result<Option<RecordedRun>, Failure> {
        let row = self
            .transaction
            .query_opt(
                "SELECT request, context, eligible, shard_count
                 FROM limit_increase_runs WHERE run_id = $1 AND context IS NOT NULL",
                &[&self.run.as_str()],
            )
            .await
            .map_err(reading_failure)?;
        let Some(row) = row else { return Ok(None) };

        let row = LedgerRow::new(self.run, row);
        let context: RunContext = row.document("context")?;
        let shard_count = row.count::<i32, _>("shard_count")?;
        let opened = RunOpened {
            eligible: row.count::<i64, _>("eligible")?,
            shard_count,
            remaining: shard_count,
            shards: ObjectRef { bucket: context.bucket.clone(), key: shard_list_key(self.run) },
            run: context,
        };

        Ok(Some(RecordedRun { request: row.document("request")?, opened }))
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

    /// Records the run in the ledger. The row counts after [`OpeningRun::commit`].
    ///
    /// A failure may have left a row before the run was opened. That row is taken over only after
    /// [`resume_run`](crate::resume_run) has set it back to RUNNING, so a late attempt cannot
    /// reopen a run whose execution has failed (promise 5).
    ///
    /// # Errors
    /// `Permanent.RunConflict` when the run has failed or another attempt has opened it; otherwise
    /// by SQLSTATE.
    pub async fn record(
        &self,
        request: &RunRequest,
        opened: &RunOpened,
        started_at: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let Self { transaction, run } = self;
        let written = transaction
            .execute(
                "INSERT INTO limit_increase_runs
                     (run_id, status, request, context, eligible, shard_count, started_at)
                 VALUES ($1, 'RUNNING', $2, $3, $4, $5, $6)
                 ON CONFLICT (run_id) DO UPDATE
                 SET status = 'RUNNING', request = excluded.request, context = excluded.context,
                     eligible = excluded.eligible, shard_count = excluded.shard_count,
                     started_at = excluded.started_at, error = NULL, cause = NULL,
                     finished_at = NULL
                 WHERE limit_increase_runs.context IS NULL
                   AND limit_increase_runs.status = 'RUNNING'",
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
            .map_err(writing_failure)?;

        if written == 1 {
            Ok(())
        } else {
            Err(conflict_failure(format!(
                "run {run} has failed before it was open, or another attempt has opened it; \
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
