//! The things that `update-database` is asked to do.

use bytes::Bytes;
use limit_increase_database::Credentials;
use limit_increase_database::{Database, Failed, finish_run, record_failure, resume_run};
use limit_increase_runtime::lambda::StepError;
use limit_increase_runtime::metrics;
use limit_increase_storage::Storage;
use limit_increase_storage::aws;
use limit_increase_workflow::contract::{RecordedFailure, RunToFinish, ShardApplied, UpdateTask};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::keys::summary_key;
use limit_increase_workflow::{Failure, FailureKind, RunId, RunSummary};
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
    Resumed { resumed: bool },
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
    /// By the step that failed: request, hand-off, ledger, database, storage; or the recorded failure of the run.
    pub(crate) async fn handle(&self, event: Value) -> Result<Answer, StepError> {
        let task: UpdateTask = parse(event)?;
        let database = &self.database;
        Ok(match task {
            UpdateTask::ApplyShard(task) => {
                Answer::Applied(shard::apply(database, &self.storage, &task).await?)
            }
            UpdateTask::FinishRun(opened) => {
                Answer::Finished(Box::new(self.finish(database, &opened).await?))
            }
            UpdateTask::RecordFailure { run_id, error, cause, execution } => {
                let what = if execution.is_some() { Failed::Run } else { Failed::Shard };
                let redrive_count = execution.map_or(0, |execution| execution.redrive_count);
                Answer::Recorded(
                    record(
                        database,
                        &run_id,
                        what,
                        RecordedFailure { error, cause, redrive_count },
                    )
                    .await?,
                )
            }
            UpdateTask::FailOrResume { error, cause, failed_at_redrive, execution, .. }
                if execution.redrive_count <= failed_at_redrive =>
            {
                return Err(StepError { name: error, message: message_of(cause) });
            }
            UpdateTask::FailOrResume { run_id, execution, .. } => {
                resume_run(&*database.client().await?, &run_id).await?;
                tracing::info!(redrive_count = execution.redrive_count, "the run goes on");
                Answer::Resumed { resumed: true }
            }
        })
    }

    /// Closes the run in the ledger and writes its summary, both or neither.
    async fn finish(
        &self,
        database: &Database,
        opened: &RunToFinish,
    ) -> Result<RunSummary, Failure> {
        let mut client = database.client().await?;
        let summary = finish_run(&mut client, opened, |summary| {
            self.write_summary(&opened.run.bucket, summary)
        })
        .await?;

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

    async fn write_summary(&self, bucket: &str, summary: RunSummary) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(&summary)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("summary: {error}")))?;
        self.storage
            .put(bucket, &summary_key(&summary.run_id), Bytes::from(json), "application/json")
            .await
    }
}

async fn record(
    database: &Database,
    run_id: &RunId,
    what: Failed,
    failure: RecordedFailure,
) -> Result<RecordedFailure, Failure> {
    tracing::warn!(error = failure.error, cause = failure.cause, "recording a failure");
    let Some(first) = record_failure(&*database.client().await?, run_id, what, &failure).await?
    else {
        tracing::warn!("the run was closed before this shard's failure came; it stays closed");
        return Ok(failure);
    };

    metrics::failure_recorded(run_id, &failure.error);
    Ok(first)
}

/// The message inside a cause that is a failed invocation, which Lambda would otherwise wrap a second time.
fn message_of(cause: String) -> String {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        #[serde(rename = "errorMessage")]
        message: String,
    }

    serde_json::from_str::<Wrapped>(&cause).map_or(cause, |wrapped| wrapped.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_unwrapped_once_and_any_other_text_stays_as_it_is() {
        let cases = [
            (r#"{"errorType":"Permanent.ModelMissing","errorMessage":"no model"}"#, "no model"),
            (r#"{"errorMessage":"{\"errorMessage\":\"inner\"}"}"#, r#"{"errorMessage":"inner"}"#),
            (r#"{"other":1}"#, r#"{"other":1}"#),
            ("The Map failed.", "The Map failed."),
            ("", ""),
        ];

        for (cause, expected) in cases {
            assert_eq!(message_of(cause.to_owned()), expected, "{cause}");
        }
    }
}
