//! Recording a failure: the ledger keeps the first one of a run.

use limit_increase_database::{Database, FailedPart};
use limit_increase_runtime::metrics;
use limit_increase_workflow::Failure;
use limit_increase_workflow::contract::{FailureReport, RecordedFailure};

/// Records the failure of a run or of one of its shards, and returns the first failure of the run,
/// which is the one to show (promise 5).
///
/// A failure of a shard that comes after the run was closed is not recorded (promise 5). The answer
/// then is the failure itself.
///
/// # Errors
/// The failure of the database.
pub(crate) async fn record_failure(
    database: &Database,
    report: FailureReport,
) -> Result<RecordedFailure, Failure> {
    let FailureReport { run_id, error, cause, execution } = report;
    tracing::warn!(error, cause, "recording a failure");

    let part = execution.map_or(FailedPart::Shard, FailedPart::Execution);
    let failure = RecordedFailure { error, cause };
    let client = database.client().await?;
    let Some(first) =
        limit_increase_database::record_failure(&client, &run_id, part, &failure).await?
    else {
        tracing::warn!("the run was closed or resumed before this failure came; it stays so");
        return Ok(failure);
    };

    // EventBridge reports the end of an execution whose failure the state machine has recorded.
    if first == failure {
        metrics::failure_recorded(&run_id, &failure.error);
    }

    Ok(first)
}
