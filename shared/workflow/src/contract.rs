//! What one step of the workflow says to the next: references and counts, never rows.
//!
//! Rows travel through S3, because a payload between states may have 256 KiB at most.

use limit_increase_domain::Counts;
use serde::{Deserialize, Serialize};

use crate::keys::ObjectRef;
use crate::run::{RunContext, RunId};
use crate::shard::{ShardIndex, ShardRef};

/// What `QueryBatchScores` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOpened {
    /// The run, as every later step gets it.
    pub run: RunContext,
    /// Customers taken.
    pub eligible: u64,
    /// Shards written.
    pub shard_count: u32,
    /// Shards listed, which is all of them but for a run that is resumed.
    pub remaining: u32,
    /// The list of the shards to work on: a JSON array of [`ShardRef`].
    pub shards: ObjectRef,
}

/// What `ScoreCustomers` and `EvaluateLimitIncrease` get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardTask {
    /// The run.
    pub run: RunContext,
    /// The shard to work on.
    pub shard: ShardRef,
}

/// A run as it is to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunToFinish {
    /// The run.
    pub run: RunContext,
    /// Customers taken.
    pub eligible: u64,
    /// Shards written.
    pub shard_count: u32,
}

/// What `UpdateDatabase` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum UpdateTask {
    /// Write one shard's decisions, with its ledger row, in one transaction.
    ApplyShard(ShardTask),
    /// Check the ledger, write the summary, close the run.
    FinishRun(RunToFinish),
    /// Record that the run failed.
    RecordFailure {
        /// The run.
        run_id: RunId,
        /// Name of the error, as Step Functions has it.
        error: String,
        /// Its cause, as Step Functions has it.
        cause: String,
        /// The run's own execution; absent when a shard failed.
        #[serde(default)]
        execution: Option<Execution>,
    },
    /// Fail with the failure that was recorded; or, in an execution that was redriven since, let the run go on.
    FailOrResume {
        /// The run.
        run_id: RunId,
        /// Name of the recorded error.
        error: String,
        /// Its cause.
        cause: String,
        /// How often the execution had been redriven when the failure was recorded.
        failed_at_redrive: u32,
        /// The execution as it is now.
        execution: Execution,
    },
}

/// What counts of the state machine's `$$.Execution`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// How often the execution was redriven; absent where the service does not tell.
    #[serde(rename = "RedriveCount", default)]
    pub redrive_count: u32,
}

/// What `UpdateDatabase` answers for a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardApplied {
    /// The shard.
    pub index: ShardIndex,
    /// What became of its customers.
    pub counts: Counts,
    /// Whether an earlier attempt had applied it already.
    pub replayed: bool,
}

/// What `UpdateDatabase` answers when it has recorded a failure: the first failure of the run, which is the one to
/// show. What follows from it (a Map over its tolerance, a ledger that does not add up) would hide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFailure {
    /// Name of the error.
    pub error: String,
    /// Its cause.
    pub cause: String,
    /// How often the execution had been redriven by then.
    #[serde(default)]
    pub redrive_count: u32,
}
