//! Counting what became of the customers of a shard or a run.

use serde::{Deserialize, Serialize};

use crate::decision::Outcome;

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
