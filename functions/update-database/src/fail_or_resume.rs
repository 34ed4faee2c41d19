//! Ending a failed execution with its recorded failure, or resuming the run after a redrive.

use limit_increase_database::{Database, resume_run};
use limit_increase_runtime::lambda::StepError;
use limit_increase_workflow::contract::RunAfterFailure;
use serde::{Deserialize, Serialize};

/// The answer for a run that goes on.
#[derive(Serialize)]
pub(crate) struct RunResumed {
    pub(crate) resumed: bool,
}

/// Resumes the run when its execution was redriven after the failure was recorded (promise 4).
/// Otherwise it fails with the recorded failure, so that the execution fails with the first cause
/// (promise 5).
///
/// # Errors
/// The recorded failure; or the failure of the database.
pub(crate) async fn fail_or_resume(
    database: &Database,
    task: RunAfterFailure,
) -> Result<RunResumed, StepError> {
    if !was_redriven(&task) {
        return Err(recorded_error(task));
    }

    let client = database.client().await?;
    resume_run(&client, &task.run_id).await?;
    tracing::info!(redrive_count = task.execution.redrive_count, "the run goes on");
    Ok(RunResumed { resumed: true })
}

/// Whether the execution was redriven after the failure was recorded.
const fn was_redriven(task: &RunAfterFailure) -> bool {
    task.execution.redrive_count > task.failed_at_redrive
}

fn recorded_error(task: RunAfterFailure) -> StepError {
    StepError { name: task.error, message: message_of(task.cause) }
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
    use limit_increase_workflow::RunId;
    use limit_increase_workflow::contract::Execution;

    fn task(failed_at_redrive: u32, redrive_count: u32) -> RunAfterFailure {
        RunAfterFailure {
            run_id: RunId::try_from("night".to_owned()).unwrap(),
            error: "Permanent.ModelMissing".to_owned(),
            cause: r#"{"errorMessage":"no model"}"#.to_owned(),
            failed_at_redrive,
            execution: Execution { redrive_count },
        }
    }

    #[test]
    fn a_run_goes_on_only_after_a_redrive_that_came_later_than_its_failure() {
        for (failed_at_redrive, redrive_count, expected) in
            [(0, 0, false), (0, 1, true), (1, 1, false), (1, 2, true), (2, 1, false)]
        {
            let found = was_redriven(&task(failed_at_redrive, redrive_count));
            assert_eq!(found, expected, "{failed_at_redrive}, {redrive_count}");
        }
    }

    #[test]
    fn an_execution_that_was_not_redriven_fails_with_the_recorded_failure() {
        let error = recorded_error(task(0, 0));
        assert_eq!(error.to_string(), "Permanent.ModelMissing: no model");
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
