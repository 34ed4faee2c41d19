//! Counted decisions of one policy.

use std::ops::AddAssign;

use limit_increase_domain::{Counts, Outcome};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::interval::{BadCount, Interval};
use crate::simulate::{ScoredCustomer, Simulated};

/// What a policy decided about customers, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Customers by outcome. Nobody is stale, because nothing meets the database.
    pub counts: Counts,
    /// Customers whom a run under the policy would not take.
    pub not_eligible: u64,
    /// The sum of (new limit - old limit) over the approved.
    pub raised: Decimal,
    /// The outcomes of the approved, as far as they are known.
    pub approved_outcomes: BadCount,
    /// The outcomes of the declined, as far as they are known.
    pub declined_outcomes: BadCount,
}

impl Tally {
    /// Counts one more customer.
    pub(crate) fn add(
        &mut self,
        customer: &ScoredCustomer<'_>,
        simulated: Simulated,
        bad: Option<bool>,
    ) {
        let Simulated::Decided { outcome, new_limit } = simulated else {
            self.not_eligible += 1;
            return;
        };

        self.counts.add(outcome);
        if let Some(new_limit) = new_limit {
            self.raised += customer.raise(new_limit);
        }

        match (outcome, bad) {
            (Outcome::Approved, Some(bad)) => self.approved_outcomes.add(bad),
            (Outcome::Declined, Some(bad)) => self.declined_outcomes.add(bad),
            _ => {}
        }
    }

    /// All customers that were counted.
    #[must_use]
    pub const fn customers(&self) -> u64 {
        self.counts.total() + self.not_eligible
    }

    /// The mean raise of an approval, to the cent; `None` without one.
    #[must_use]
    pub fn mean_raise(&self) -> Option<Decimal> {
        mean(self.raised, self.counts.approved)
    }

    /// The tally as a program reads it.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            customers: self.customers(),
            approved: self.counts.approved,
            declined: self.counts.declined,
            referred: self.counts.referred,
            not_eligible: self.not_eligible,
            raised: in_cents(self.raised),
            mean_raise: self.mean_raise(),
            approved_bad_rate: self.approved_outcomes.rate(),
            declined_bad_rate: self.declined_outcomes.rate(),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.counts.approved += other.counts.approved;
        self.counts.declined += other.counts.declined;
        self.counts.referred += other.counts.referred;
        self.counts.stale += other.counts.stale;
        self.not_eligible += other.not_eligible;
        self.raised += other.raised;
        self.approved_outcomes.merge(other.approved_outcomes);
        self.declined_outcomes.merge(other.declined_outcomes);
    }
}

/// An amount with exactly two decimals, as 0.00.
pub(crate) fn in_cents(mut amount: Decimal) -> Decimal {
    amount.rescale(2);
    amount
}

/// A sum of money over a number of customers, to the cent.
pub(crate) fn mean(sum: Decimal, customers: u64) -> Option<Decimal> {
    let mean = sum.checked_div(Decimal::from(customers))?;
    Some(in_cents(mean.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)))
}

/// The figures of a [`Tally`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// All customers.
    pub customers: u64,
    /// Those whose limit rises.
    pub approved: u64,
    /// Those whose limit stays.
    pub declined: u64,
    /// Those whom a person has to decide.
    pub referred: u64,
    /// Those whom a run under the policy would not take.
    pub not_eligible: u64,
    /// By how much all limits rise together.
    pub raised: Decimal,
    /// The mean raise of an approval.
    pub mean_raise: Option<Decimal>,
    /// The share of bad customers among the approved whose outcome is known.
    pub approved_bad_rate: Option<Interval>,
    /// The share of bad customers among the declined whose outcome is known.
    pub declined_bad_rate: Option<Interval>,
}
