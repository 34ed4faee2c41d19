//! Counting what became of the customers of a shard or a run.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::contract::ModelPin;
use crate::decision::Outcome;
use crate::keys::RunId;
use crate::policy::Policy;

/// Customers by what became of them. `approved + declined + referred + stale` is all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Limit raised.
    pub approved: u64,
    /// Limit kept.
    pub declined: u64,
    /// Left to a person.
    pub referred: u64,
    /// Changed or decided by somebody else since the query; left as they are.
    pub stale: u64,
}

impl Counts {
    /// All customers.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.approved + self.declined + self.referred + self.stale
    }

    /// Counts one more decided customer.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Approved => self.approved += 1,
            Outcome::Declined => self.declined += 1,
            Outcome::Referred => self.referred += 1,
        }
    }
}

/// A closed run: the content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub run_id: RunId,
    /// `SUCCEEDED`; a failed run has no summary, its failure is in the ledger.
    pub status: String,
    /// Business date.
    pub as_of: NaiveDate,
    /// Whether the table was left as it was.
    pub dry_run: bool,
    /// Customers taken.
    pub eligible: u64,
    /// What became of them.
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
    /// When the run opened, UTC.
    pub started_at: DateTime<Utc>,
    /// When the run closed, UTC.
    pub finished_at: DateTime<Utc>,
}
