//! Several policies, and one or two models, on the customers of one stored run.
//!
//! A [`Question`] says what to compare. It answers for one shard at a time, and the answers add up,
//! so that memory is that of a shard whatever the size of the run.

pub mod bands;
pub mod fit;
pub mod report;
pub mod swap_set;
pub mod tally;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use limit_increase_domain::{CreditScore, Policy};
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::scored::Scored;

use crate::outcomes::Outcomes;
use crate::outcomes::ranking::RankedCustomers;
use crate::simulate::{ScoredCustomer, Simulated, simulate};
use bands::Band;
use swap_set::SwapSet;
use tally::Tally;

/// The columns of numbers that a comparison reads beside what a decision needs.
pub const NUMBERS: [&str; 1] = ["raw_value"];

/// A policy, and the model by whose scores it decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// What people call it.
    pub name: String,
    /// The policy.
    pub policy: Policy,
    /// The model.
    pub model: ArmModel,
}

/// A model of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArmModel {
    /// The model of the run, whose scores are stored.
    Stored,
    /// A model that scores the stored inputs again.
    Challenger,
}

/// What the challenger says about a customer; `None` for one whom it cannot score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChallengerScore {
    /// Log-odds of the bad class.
    pub raw_value: f64,
    /// The score in points.
    pub score: CreditScore,
}

/// What is compared.
#[derive(Debug)]
pub struct Question {
    /// The arms. The others are compared with the first one.
    pub arms: Vec<Arm>,
    /// More policies, of which only the totals are asked. They decide by the model of the first
    /// arm.
    pub grid: Vec<Policy>,
    /// The business date of the run.
    pub as_of: NaiveDate,
    /// What became of customers, if it is known.
    pub outcomes: Option<Outcomes>,
    /// Whether the customers of whom the arms say different things are listed.
    pub lists_swapped: bool,
}

/// The answer for some of a run's customers.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Customers of the run.
    pub customers: u64,
    /// One tally for each arm.
    pub totals: Vec<Tally>,
    /// The tallies by the score of the arm's own model. Who has no score is in no band.
    pub by_score: BTreeMap<Option<Band>, Vec<Tally>>,
    /// The tallies by current limit. Whose limit could not be read is in no band.
    pub by_limit: BTreeMap<Option<Band>, Vec<Tally>>,
    /// For each arm after the first one, who comes in and who goes out.
    pub swap_sets: Vec<SwapSet>,
    /// One tally for each policy of the grid.
    pub grid: Vec<Tally>,
    /// Customers with a known outcome and a score by every model.
    pub ranked: RankedCustomers,
    /// CSV of the customers of whom the arms say different things, without its header.
    pub swapped: Vec<u8>,
}

impl Question {
    /// Whether a challenger takes part.
    #[must_use]
    pub fn has_challenger(&self) -> bool {
        self.arms.iter().any(|arm| arm.model == ArmModel::Challenger)
    }

    /// The answer for nobody, to which others are added.
    #[must_use]
    pub fn nobody(&self) -> Comparison {
        Comparison {
            customers: 0,
            totals: vec![Tally::default(); self.arms.len()],
            by_score: BTreeMap::new(),
            by_limit: BTreeMap::new(),
            swap_sets: vec![SwapSet::default(); self.arms.len().saturating_sub(1)],
            grid: vec![Tally::default(); self.grid.len()],
            ranked: RankedCustomers::new(1 + usize::from(self.has_challenger())),
            swapped: Vec::new(),
        }
    }

    /// The answer for a shard. `challenger` has one entry for each of its customers if a challenger
    /// takes part.
    ///
    /// # Errors
    /// When the file lacks a column, or the challenger has scored another number of customers.
    pub fn answer(
        &self,
        scored: &Scored,
        challenger: &[Option<ChallengerScore>],
    ) -> Result<Comparison, HandoffError> {
        let columns = scored.columns()?;
        let raw = scored.numbers(NUMBERS[0])?;
        if self.has_challenger() && challenger.len() != scored.rows() {
            let (found, expected) = (challenger.len() as u64, scored.rows() as u64);
            return Err(HandoffError::Rows { found, expected });
        }

        let mut comparison = self.nobody();
        let mut list = csv::Writer::from_writer(Vec::new());
        let mut simulated = Vec::with_capacity(self.arms.len());
        for row in 0..scored.rows() {
            let customer = ScoredCustomer::of(&columns, row);
            let again = challenger.get(row).copied().flatten();
            let bad = self
                .outcomes
                .as_ref()
                .and_then(|outcomes| outcomes.bad_after(customer.id, self.as_of));

            simulated.clear();
            simulated.extend(
                self.arms.iter().map(|arm| simulate(&arm.policy, &arm.of(&customer, again))),
            );
            comparison.add(self, &customer, again, &simulated, bad);
            for (tally, policy) in comparison.grid.iter_mut().zip(&self.grid) {
                let customer = self.arms.first().map_or(customer, |arm| arm.of(&customer, again));
                tally.add(&customer, simulate(policy, &customer), bad);
            }

            if self.lists_swapped && simulated.iter().any(|other| *other != simulated[0]) {
                // Writing to memory cannot fail.
                let _ = list.write_record(self.listed(&customer, again, &simulated));
            }

            let all =
                [customer.score.ok().map(|_| raw.value(row)), again.map(|score| score.raw_value)];
            let models = 1 + usize::from(self.has_challenger());
            if let (Some(bad), true) = (bad, all[..models].iter().all(Option::is_some)) {
                comparison.ranked.add(bad, all[..models].iter().copied().flatten());
            }
        }

        comparison.swapped = list.into_inner().unwrap_or_default();
        Ok(comparison)
    }

    /// The header of the list of customers of whom the arms say different things.
    #[must_use]
    pub fn swapped_header(&self) -> Vec<u8> {
        let mut header =
            vec!["customer_id".to_owned(), "current_limit".to_owned(), "score".to_owned()];
        if self.has_challenger() {
            header.push("challenger_score".to_owned());
        }

        for arm in &self.arms {
            header.push(format!("decision: {}", arm.name));
            header.push(format!("new_limit: {}", arm.name));
        }

        let mut list = csv::Writer::from_writer(Vec::new());
        let _ = list.write_record(header);
        list.into_inner().unwrap_or_default()
    }

    fn listed(
        &self,
        customer: &ScoredCustomer<'_>,
        again: Option<ChallengerScore>,
        simulated: &[Simulated],
    ) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_default();
        let mut fields = vec![
            customer.id.to_owned(),
            text(customer.current_limit.map(|limit| limit.to_string())),
            text(customer.score.ok().map(|score| score.to_string())),
        ];
        if self.has_challenger() {
            fields.push(text(again.map(|again| again.score.to_string())));
        }

        for one in simulated {
            fields.push(one.as_str().to_owned());
            fields.push(text(one.new_limit().map(|limit| limit.to_string())));
        }

        fields
    }
}

impl Arm {
    /// The customer with the score of this arm's model.
    fn of<'a>(
        &self,
        customer: &ScoredCustomer<'a>,
        again: Option<ChallengerScore>,
    ) -> ScoredCustomer<'a> {
        match self.model {
            ArmModel::Stored => *customer,
            ArmModel::Challenger => ScoredCustomer {
                score: again.map(|again| again.score).ok_or("the challenger cannot score it"),
                ..*customer
            },
        }
    }
}

impl Comparison {
    fn add(
        &mut self,
        question: &Question,
        customer: &ScoredCustomer<'_>,
        again: Option<ChallengerScore>,
        simulated: &[Simulated],
        bad: Option<bool>,
    ) {
        self.customers += 1;
        let limit = customer.current_limit.map(Band::of_limit);
        let nobody = || vec![Tally::default(); question.arms.len()];
        let by_limit = self.by_limit.entry(limit).or_insert_with(nobody);
        for (position, (arm, one)) in question.arms.iter().zip(simulated).enumerate() {
            let customer = arm.of(customer, again);
            self.totals[position].add(&customer, *one, bad);
            by_limit[position].add(&customer, *one, bad);

            let score = customer.score.ok().map(|score| Band::of_score(score.value()));
            let by_score = self.by_score.entry(score).or_insert_with(nobody);
            by_score[position].add(&customer, *one, bad);
        }

        if let Some((first, others)) = simulated.split_first() {
            for (swap_set, other) in self.swap_sets.iter_mut().zip(others) {
                swap_set.add(customer, *first, *other, bad);
            }
        }
    }

    /// Adds the answer for other customers. Its list of customers is left out, because the caller
    /// writes it.
    pub fn merge(&mut self, other: Self) {
        let add_all = |tallies: &mut Vec<Tally>, more: Vec<Tally>| {
            tallies.iter_mut().zip(more).for_each(|(tally, more)| *tally += more);
        };
        self.customers += other.customers;
        add_all(&mut self.totals, other.totals);
        add_all(&mut self.grid, other.grid);
        for (bands, more) in
            [(&mut self.by_score, other.by_score), (&mut self.by_limit, other.by_limit)]
        {
            for (band, tallies) in more {
                let nobody = || vec![Tally::default(); tallies.len()];
                add_all(bands.entry(band).or_insert_with(nobody), tallies);
            }
        }

        for (swap_set, more) in self.swap_sets.iter_mut().zip(&other.swap_sets) {
            swap_set.merge(more);
        }

        self.ranked.merge(other.ranked);
    }
}

#[cfg(test)]
mod tests;
