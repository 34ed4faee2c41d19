//! The three things that `update-database` is asked to do.

use bytes::Bytes;
use limit_increase_domain::contract::{RecordedFailure, RunOpened, ShardApplied, UpdateTask};
use limit_increase_domain::keys::summary_key;
use limit_increase_domain::{Failure, FailureKind, RunId, RunSummary};
use limit_increase_platform::lambda::parse;
use limit_increase_platform::postgres::{Database, finish_run, record_failure};
use limit_increase_platform::secrets::Credentials;
use limit_increase_platform::storage::Storage;
use limit_increase_platform::{aws, metrics};
use serde::Serialize;
use serde_json::Value;

use crate::shard;

/// What outlives an event.
pub(crate) struct Handler {
    storage: Storage,
    database: Database,
}

/// An answer, by what was asked.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Applied(ShardApplied),
    Finished(Box<RunSummary>),
    Recorded(RecordedFailure),
}

impl Handler {
    /// Makes the clients.
    pub(crate) async fn new() -> Self {
        let config = aws::load_config().await;
        Self {
            storage: Storage::new(aws::s3_client(&config)),
            database: Database::new(Credentials::from_environment(&config)),
        }
    }

    /// Does what the event asks.
    ///
    /// # Errors
    /// By the step that failed: request, hand-off, ledger, database, storage.
    pub(crate) async fn handle(&self, event: Value) -> Result<Answer, Failure> {
        let task: UpdateTask = parse(event)?;
        let database = &self.database;
        match task {
            UpdateTask::ApplyShard(task) => shard::apply(database, &self.storage, &task).await.map(Answer::Applied),
            UpdateTask::FinishRun(opened) => {
                self.finish(database, &opened).await.map(|summary| Answer::Finished(Box::new(summary)))
            }
            UpdateTask::RecordFailure { run_id, error, cause } => {
                record(database, &run_id, RecordedFailure { error, cause }).await.map(Answer::Recorded)
            }
        }
    }

    /// Closes the run in the ledger, then writes its summary. In this order a summary always tells of a closed run, and
    /// a retry between the two writes the same summary.
    async fn finish(&self, database: &Database, opened: &RunOpened) -> Result<RunSummary, Failure> {
        let mut client = database.client().await?;
        let summary = finish_run(&mut client, opened).await?;
        let json = serde_json::to_vec_pretty(&summary)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("summary: {error}")))?;
        let key = summary_key(&summary.run_id);
        self.storage.put(&opened.run.bucket, &key, Bytes::from(json), "application/json").await?;
        tracing::info!(
            eligible = summary.eligible,
            approved = summary.counts.approved,
            declined = summary.counts.declined,
            referred = summary.counts.referred,
            stale = summary.counts.stale,
            "run closed"
        );
        metrics::run_closed(&summary);
        Ok(summary)
    }
}

async fn record(database: &Database, run_id: &RunId, failure: RecordedFailure) -> Result<RecordedFailure, Failure> {
    tracing::warn!(error = failure.error, cause = failure.cause, "recording a failure");
    let client = database.client().await?;
    let error = failure.error.clone();
    let first = record_failure(&client, run_id, failure).await?;
    metrics::failure_recorded(run_id, &error);
    Ok(first)
}
