//! The messages between the steps of the workflow: references and counts, never rows.
//!
//! Rows travel through S3, because a payload between states may have at most 256 KiB.

use limit_increase_domain::Counts;
use serde::{Deserialize, Serialize};

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

/// A run with its recorded failure, in the execution that has to fail or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAfterFailure {
    /// The run.
    pub run_id: RunId,
    /// Name of the recorded error.
    pub error: String,
    /// Its cause.
    pub cause: String,
    /// How often the execution had been redriven when the failure was recorded.
    pub failed_at_redrive: u32,
    /// The execution as it is now.
    pub execution: Execution,
}

/// The part of the state machine's `$$.Execution` that the steps read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// How often the execution was redriven; 0 where the service does not say.
    #[serde(rename = "RedriveCount", default)]
    pub redrive_count: u32,
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
    /// How often the execution had been redriven when the failure was recorded.
    #[serde(default)]
    pub redrive_count: u32,
}
