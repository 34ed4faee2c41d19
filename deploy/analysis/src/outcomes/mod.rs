//! What became of customers: bad or not, and how well their scores said so before.

pub mod backtest;
pub mod calibration;
pub mod ranking;

use std::collections::HashMap;

use chrono::NaiveDate;

/// What became of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Whether the customer went bad.
    pub bad: bool,
    /// The day up to which the customer was watched, if it is known. A score of a later day did
    /// not forecast this outcome.
    pub date: Option<NaiveDate>,
}

/// The outcomes of customers, by key.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    by_customer: HashMap<Box<str>, Observation>,
}

impl Outcomes {
    /// Adds a customer's outcome; false if the customer has one already, which then stays.
    pub fn insert(&mut self, customer: &str, observation: Observation) -> bool {
        if self.by_customer.contains_key(customer) {
            return false;
        }

        self.by_customer.insert(customer.into(), observation);
        true
    }

    /// What became of a customer by way of a run on this business date.
    #[must_use]
    pub fn bad_after(&self, customer: &str, as_of: NaiveDate) -> Option<bool> {
        let observation = self.by_customer.get(customer)?;
        observation.date.is_none_or(|date| as_of <= date).then_some(observation.bad)
    }

    /// The number of customers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_customer.len()
    }

    /// Whether there is no customer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_customer.is_empty()
    }
}
