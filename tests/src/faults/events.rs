//! EventBridge for the runs of the fault suite: the rule `RunInterrupted` of the template, which
//! reports an execution that has ended without success to `update-database`.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::lab::Lab;
use crate::simulator::machine::ExecutionEnd;

/// The event. The template's tests match the rule against it.
const EVENT: &str = include_str!("../../../events/update-database-execution-ended.json");

/// The event for an execution that has ended after this many redrives.
///
/// # Errors
/// When it did not fail.
pub fn interruption(ended: &ExecutionEnd, redrives: u32) -> Result<Value> {
    let ExecutionEnd::Failed { status, execution, error, cause, .. } = ended else {
        bail!("EventBridge reports only executions that have failed: {ended:?}")
    };

    let mut event: Value = serde_json::from_str(EVENT)?;
    let details = &mut event["detail"];
    details["name"] = json!(execution.name);
    details["status"] = json!(status);
    details["startDate"] = json!(execution.started_at.timestamp_millis());
    details["input"] = json!(execution.input.to_string());
    details["redriveCount"] = json!(redrives);
    if status == "FAILED" {
        details["error"] = json!(error);
        details["cause"] = json!(cause);
    }

    Ok(event)
}

/// Delivers an event. Lambda repeats an asynchronous invocation that has failed.
///
/// # Errors
/// When it still fails.
pub async fn deliver(lab: &Lab, event: &Value) -> Result<()> {
    const ATTEMPTS: usize = 100;
    let mut attempt = 1;
    loop {
        let process = lab.pool.take("update-database").await?;
        let answer = process.invoke(event).await;
        lab.pool.give_back("update-database", process);
        match answer {
            Ok(_) => return Ok(()),
            Err(error) if attempt == ATTEMPTS => {
                return Err(error).with_context(|| format!("delivering {event}"));
            }
            Err(_) => attempt += 1,
        }

        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
