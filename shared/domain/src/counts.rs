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
    /// Changed, or decided by another run, since the query. Their rows are left as they are.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_four() {
        let counts = Counts { approved: 1000, declined: 200, referred: 30, stale: 4 };
        assert_eq!(counts.total(), 1234);
        assert_eq!(Counts::default().total(), 0);
    }

    #[test]
    fn each_outcome_is_counted_once_and_in_its_own_place() {
        let before = Counts { approved: 10, declined: 20, referred: 30, stale: 40 };
        let cases = [
            (Outcome::Approved, Counts { approved: 11, ..before }),
            (Outcome::Declined, Counts { declined: 21, ..before }),
            (Outcome::Referred, Counts { referred: 31, ..before }),
        ];

        for (outcome, expected) in cases {
            let mut counts = before;
            counts.add(outcome);
            assert_eq!(counts, expected, "{outcome}");
        }
    }
}
