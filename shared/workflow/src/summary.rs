//! The summary of a closed run: the content of `summary.json`.

use chrono::{DateTime, NaiveDate, Utc};
use limit_increase_domain::{Counts, Policy};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::release::Release;
use crate::run::{ModelPin, RunId, RunStatus};

/// What a closed run was opened with, and what became of its customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run_id: RunId,
    /// Always `SUCCEEDED`. A failed run has no summary; its failure is in the ledger.
    pub status: RunStatus,
    /// Business date.
    pub as_of: NaiveDate,
    /// Whether the table was left as it was.
    pub dry_run: bool,
    /// Customers that the query took.
    pub eligible: u64,
    /// What became of them. The counts add up to `eligible` (promise 3).
    #[serde(flatten)]
    pub counts: Counts,
    /// Sum of (new limit - old limit) over the approved.
    pub total_increase: Decimal,
    /// Shards applied.
    pub shard_count: u32,
    /// The model.
    pub model: ModelPin,
    /// The policy.
    pub policy: Policy,
    /// SHA-256 of the policy.
    pub policy_sha256: String,
    /// The release that opened the run.
    #[serde(default)]
    pub release: Release,
    /// When the run opened, UTC.
    pub started_at: DateTime<Utc>,
    /// When the run closed, UTC.
    pub finished_at: DateTime<Utc>,
}
