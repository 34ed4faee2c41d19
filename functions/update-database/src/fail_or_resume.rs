//! Ending a failed execution with its recorded failure, or resuming the run after a redrive.

use limit_increase_database::{Database, resume_run};
use limit_increase_runtime::lambda::StepError;
use limit_increase_workflow::contract::{CaughtFailure, FailureReport, RunAfterFailure};
use serde::{Deserialize, Serialize};

use crate::record_failure::record_failure;

/// The answer for a run that goes on.
#[derive(Serialize)]
pub(crate) struct RunResumed {
    pub(crate) resumed: bool,
}

/// Resumes the run once for each redrive of its execution (promise 4). Otherwise it fails with the
/// failure, so that the execution fails with the first cause (promise 5).
///
/// A redrive may start in any state. When it started inside the Map or in SaveResults, it has not
/// come past QueryBatchScores, which lists the shards that are left; then it does so now. So one
/// redrive is enough wherever the execution had ended.
///
/// # Errors
/// The failure; or, when the run has to be resumed, the failure of the database.
pub(crate) async fn fail_or_resume(
    database: &Database,
    task: RunAfterFailure,
) -> Result<RunResumed, StepError> {
    let RunAfterFailure { run_id, failure, execution } = task;
    if execution.redrive_count > 0 {
        let client = database.client().await?;
        if resume_run(&client, &run_id, execution, failure.recorded).await? {
            tracing::info!(redrive_count = execution.redrive_count, "the run goes on");
            return Ok(RunResumed { resumed: true });
        }
    }

    if failure.recorded {
        return Err(raised(failure.error, failure.cause));
    }

    // The database was unavailable a moment ago, so it may still be. The failure is the one to
    // raise in any case. EventBridge reports it to the ledger again.
    let CaughtFailure { error, cause, .. } = failure;
    let report = FailureReport { run_id, error, cause, execution: Some(execution) };
    match record_failure(database, report.clone()).await {
        Ok(first) => Err(raised(first.error, first.cause)),
        Err(unrecorded) => {
            tracing::warn!(%unrecorded, "the failure could not be recorded");
            Err(raised(report.error, report.cause))
        }
    }
}

/// The error with which the function fails. AWS reserves the names that begin with `States.` for
/// Step Functions, so such an error gets a name of ours. The ledger keeps the original name.
fn raised(error: String, cause: String) -> StepError {
    let name = match error.strip_prefix("States.") {
        Some(reserved) => format!("Workflow.{reserved}"),
        None => error,
    };

    StepError { name, message: message_of(cause) }
}

/// The message inside the cause of a failed invocation. Lambda would otherwise wrap it a second
/// time.
fn message_of(cause: String) -> String {
    #[derive(Deserialize)]
    struct FailedInvocation {
        #[serde(rename = "errorMessage")]
        message: String,
    }

    serde_json::from_str::<FailedInvocation>(&cause).map_or(cause, |failed| failed.message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_is_raised_under_its_name_and_never_under_a_reserved_one() {
        for (recorded, expected) in [
            ("Permanent.ModelMissing", "Permanent.ModelMissing: no model"),
            ("States.Timeout", "Workflow.Timeout: no model"),
            (
                "States.ExceedToleratedFailureThreshold",
                "Workflow.ExceedToleratedFailureThreshold: no model",
            ),
            ("ABORTED", "ABORTED: no model"),
        ] {
            let error = raised(recorded.to_owned(), r#"{"errorMessage":"no model"}"#.to_owned());
            assert_eq!(error.to_string(), expected);
        }
    }

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
