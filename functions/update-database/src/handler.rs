//! Which action does what the event asks.

use limit_increase_database::Database;
use limit_increase_runtime::lambda::StepError;
use limit_increase_storage::Storage;
use limit_increase_workflow::RunSummary;
use limit_increase_workflow::contract::{
    ExecutionEnded, OpenRuns, RecordedFailure, ShardApplied, UpdateTask,
};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::pipeline::StatusChanged;
use serde::Serialize;
use serde_json::Value;

use crate::apply_shard::apply_shard;
use crate::fail_or_resume::{RunResumed, fail_or_resume};
use crate::finish_run::finish_run;
use crate::migrate::{SchemaMigrated, migrate};
use crate::record_failure::record_failure;
use crate::report_open_runs::report_open_runs;

/// Handles all events of an execution environment, which keeps its clients between them.
pub(crate) struct Handler {
    storage: Storage,
    database: Database,
}

/// The answer of each action.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    ApplyShard(ShardApplied),
    FinishRun(Box<RunSummary>),
    RecordFailure(RecordedFailure),
    FailOrResume(RunResumed),
    Migrate(SchemaMigrated),
    OpenRuns(OpenRuns),
}

impl Handler {
    pub(crate) fn new(storage: Storage, database: Database) -> Self {
        Self { storage, database }
    }

    /// Does what the event asks: a task of the state machine, or the end of an execution that
    /// EventBridge reports.
    ///
    /// # Errors
    /// The failure of the hand-off, of the ledger, of the database or of the storage; or, for
    /// `fail_or_resume`, the recorded failure of the run.
    pub(crate) async fn handle(&self, event: Value) -> Result<Answer, StepError> {
        let Self { storage, database } = self;
        if let Some(detail_type) = event.get("detail-type").and_then(Value::as_str) {
            if StatusChanged::is_detail_type(detail_type) {
                let report = parse::<StatusChanged>(event)?.into_report()?;
                return Ok(Answer::RecordFailure(record_failure(database, report).await?));
            }

            let ExecutionEnded { detail } = parse(event)?;
            return Ok(Answer::RecordFailure(record_failure(database, detail.into()).await?));
        }

        Ok(match parse(event)? {
            UpdateTask::ApplyShard(task) => {
                Answer::ApplyShard(apply_shard(database, storage, &task).await?)
            }
            UpdateTask::FinishRun(task) => {
                Answer::FinishRun(Box::new(finish_run(database, storage, &task).await?))
            }
            UpdateTask::RecordFailure(report) => {
                Answer::RecordFailure(record_failure(database, report).await?)
            }
            UpdateTask::ReportOpenRuns => Answer::OpenRuns(report_open_runs(database).await),
            UpdateTask::FailOrResume(task) => {
                Answer::FailOrResume(fail_or_resume(database, task).await?)
            }
            UpdateTask::Migrate => Answer::Migrate(migrate(database).await?),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_resumed_run_answers_as_the_state_machine_expects() {
        let answer = Answer::FailOrResume(RunResumed { resumed: true });
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"resumed":true}"#);
    }

    #[test]
    fn a_migrated_schema_names_what_was_applied() {
        let answer = Answer::Migrate(SchemaMigrated { migrations: vec!["ledger"] });
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"migrations":["ledger"]}"#);
    }
}
