//! The messages between the steps of the workflow: references and counts, never rows.
//!
//! Rows travel through S3, because a payload between states may have at most 256 KiB.

use chrono::{DateTime, Utc};
use limit_increase_domain::Counts;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::keys::{HandoffRef, ObjectRef};
use crate::run::{RunContext, RunId};
use crate::shard::{ShardIndex, ShardRef};

/// The answer of `QueryBatchScores`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOpened {
    /// The run, as every later step gets it.
    pub run: RunContext,
    /// Customers that the query took.
    pub eligible: u64,
    /// Shards that the query wrote.
    pub shard_count: u32,
    /// Shards in the list `shards`: all of them, or those that a resumed run has left.
    pub remaining: u32,
    /// The list of the shards to work on: a JSON array of [`ShardRef`].
    pub shards: ObjectRef,
    /// The shard to work on, when there is just one. A SageMaker pipeline reads no list.
    #[serde(default)]
    pub shard: Option<ShardRef>,
}

/// The task of `ScoreCustomers` for one shard. The answer is the [`HandoffRef`] of the scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardTask {
    /// The run.
    pub run: RunContext,
    /// The shard to work on.
    pub shard: ShardRef,
}

/// The task of `EvaluateLimitIncrease` for one shard. The answer is the [`HandoffRef`] of the
/// evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateTask {
    /// The run.
    pub run: RunContext,
    /// The shard to work on.
    pub shard: ShardRef,
    /// The shard's scores, as `ScoreCustomers` wrote them.
    pub scored: HandoffRef,
}

/// The task of `UpdateDatabase` for one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyTask {
    /// The run.
    pub run: RunContext,
    /// The shard to work on.
    pub shard: ShardRef,
    /// The shard's decisions, as `EvaluateLimitIncrease` wrote them.
    pub evaluations: HandoffRef,
}

/// A run to close, with what it was opened as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunToFinish {
    /// The run.
    pub run: RunContext,
    /// Customers that the query took.
    pub eligible: u64,
    /// Shards that the query wrote.
    pub shard_count: u32,
    /// The execution that closes the run.
    #[serde(default)]
    pub execution: Execution,
}

/// What `UpdateDatabase` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum UpdateTask {
    /// Write one shard's decisions, with its ledger row, in one transaction.
    ApplyShard(ApplyTask),
    /// Check the ledger, write the summary, close the run.
    FinishRun(RunToFinish),
    /// Record that the run failed.
    RecordFailure(FailureReport),
    /// Report how long the oldest open run has been running.
    ReportOpenRuns,
    /// Fail with the recorded failure, or let the run go on in an execution that was redriven.
    FailOrResume(RunAfterFailure),
    /// Bring the schema up to date. A person asks for it, never the state machine.
    Migrate,
}

/// A failure that the state machine has caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    /// The run.
    pub run_id: RunId,
    /// Name of the error, as Step Functions has it.
    pub error: String,
    /// Its cause, as Step Functions has it.
    pub cause: String,
    /// The run's own execution; absent when a shard failed.
    #[serde(default)]
    pub execution: Option<Execution>,
}

/// A failed run, in the execution that has to fail or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAfterFailure {
    /// The run.
    pub run_id: RunId,
    /// The data of the state machine: the failure.
    pub failure: CaughtFailure,
    /// The execution as it is now.
    pub execution: Execution,
}

/// A failure in the form in which the state machine passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CaughtFailure {
    /// Name of the error.
    pub error: String,
    /// Its cause.
    pub cause: String,
    /// Whether `RecordFailure` could record it in the ledger.
    #[serde(default)]
    pub recorded: bool,
}

/// The part of the state machine's `$$.Execution` that the steps read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// How often the execution was redriven; 0 where the service does not say.
    #[serde(default)]
    pub redrive_count: u32,
    /// When the execution was first started. A redrive does not change it.
    #[serde(default)]
    pub start_time: Option<DateTime<Utc>>,
}

/// EventBridge's event about an execution that has ended without success.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExecutionEnded {
    /// The details.
    pub detail: EndedExecution,
}

/// The part of EventBridge's details of an execution that the steps read. The details are those of
/// the Step Functions API `DescribeExecution`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedExecution {
    /// ARN of the execution.
    pub execution_arn: String,
    /// Its name, which is the run's id.
    pub name: RunId,
    /// How it ended.
    pub status: String,
    /// When it was first started.
    #[serde(default, deserialize_with = "milliseconds")]
    pub start_date: Option<DateTime<Utc>>,
    /// How often it had been redriven when it ended.
    #[serde(default)]
    pub redrive_count: u32,
    /// The error of an execution that failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Its cause.
    #[serde(default)]
    pub cause: Option<String>,
}

/// A time in milliseconds since 1970, as EventBridge writes it. Any other form is no time, because
/// an end without its time is recorded, and one that cannot be read is lost.
fn milliseconds<'de, D: Deserializer<'de>>(field: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let value = Value::deserialize(field)?;
    Ok(value.as_i64().and_then(DateTime::from_timestamp_millis))
}

impl From<EndedExecution> for FailureReport {
    /// An execution that was stopped or timed out has no error of its own, so its status is one.
    fn from(ended: EndedExecution) -> Self {
        Self {
            run_id: ended.name,
            error: ended.error.unwrap_or(ended.status),
            cause: ended.cause.unwrap_or_else(|| {
                format!(
                    "The execution ended before its own failure handling: {}",
                    ended.execution_arn
                )
            }),
            execution: Some(Execution {
                redrive_count: ended.redrive_count,
                start_time: ended.start_date,
            }),
        }
    }
}

/// The answer of `UpdateDatabase` for a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardApplied {
    /// The shard.
    pub index: ShardIndex,
    /// What became of its customers.
    pub counts: Counts,
    /// Whether an earlier attempt had already applied the shard.
    pub replayed: bool,
}

/// The answer of `UpdateDatabase` to the question for open runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenRuns {
    /// Runs that are RUNNING.
    pub count: u64,
    /// The one that has been running longest.
    pub oldest: Option<RunId>,
    /// For how long, since it was opened or resumed; 0 without an open run.
    pub oldest_seconds: f64,
}

/// The answer of `UpdateDatabase` after it has recorded a failure: the first failure of the run.
///
/// The first failure is the one to show (promise 5). The failures that follow from it, such as a
/// Map over its tolerance or a ledger that does not add up, would hide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFailure {
    /// Name of the error.
    pub error: String,
    /// Its cause.
    pub cause: String,
}
