//! One customer of a stored run under one policy.

use limit_increase_domain::decision::refer;
use limit_increase_domain::{CreditLimit, CreditScore, Outcome, Policy, Scoring, decide};
use limit_increase_handoff::scored::ScoredColumns;
use rust_decimal::Decimal;

/// A customer of a stored run, as a policy sees the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoredCustomer<'a> {
    /// The customer's key.
    pub id: &'a str,
    /// The score before the run, in points, if it could be read.
    pub current_score: Option<i32>,
    /// The limit before the run, if it could be read.
    pub current_limit: Option<Decimal>,
    /// Why the score or the limit could not be read.
    pub unreadable: Option<&'a str>,
    /// The annual income, if the run's policy asked for it and it is known.
    pub annual_income: Option<Decimal>,
    /// The new score, or why there is none.
    pub score: Result<CreditScore, &'a str>,
}

impl<'a> ScoredCustomer<'a> {
    /// The customer in a row of a shard.
    #[must_use]
    pub fn of(columns: &ScoredColumns<'a>, row: usize) -> Self {
        Self {
            id: columns.ids.value(row),
            current_score: columns.current_score(row),
            current_limit: columns.limit(row),
            unreadable: columns.unreadable(row),
            annual_income: columns.income(row),
            score: columns.score(row),
        }
    }

    /// The growth that an approval with this new limit gives.
    pub(crate) fn raise(&self, new_limit: CreditLimit) -> Decimal {
        new_limit.amount() - self.current_limit.unwrap_or_default()
    }
}

/// What a policy does with a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulated {
    /// The policy's run would not take the customer.
    NotEligible,
    /// The customer is decided.
    Decided {
        /// The outcome.
        outcome: Outcome,
        /// The raised limit of an approval.
        new_limit: Option<CreditLimit>,
    },
}

impl Simulated {
    /// The raised limit of an approval.
    #[must_use]
    pub const fn new_limit(self) -> Option<CreditLimit> {
        match self {
            Self::NotEligible => None,
            Self::Decided { new_limit, .. } => new_limit,
        }
    }

    /// The outcome, as a decision is stored, or `NOT_ELIGIBLE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEligible => "NOT_ELIGIBLE",
            Self::Decided { outcome, .. } => outcome.as_str(),
        }
    }
}

/// Decides a customer as a run under this policy would. Customers whom the run took are decided
/// exactly as the run decided them, when it is the run's own policy.
#[must_use]
pub fn simulate(policy: &Policy, customer: &ScoredCustomer<'_>) -> Simulated {
    if !is_eligible(policy, customer) {
        return Simulated::NotEligible;
    }

    // A decision does not depend on the reasons of the score, which only its text names.
    let scoring = match customer.score {
        Ok(score) => Scoring::Scored { score, reasons: &[] },
        Err(reason) => Scoring::NotScored { reason },
    };
    let decision = match (customer.current_limit, customer.unreadable) {
        (Some(limit), None) => decide(policy, limit, customer.annual_income, scoring),
        (_, unreadable) => refer(unreadable.unwrap_or("the current limit is missing")),
    };

    Simulated::Decided { outcome: decision.outcome, new_limit: decision.new_limit }
}

/// Whether a run under this policy takes the customer. One whose score or limit could not be read
/// was taken by the query that read it, and stays taken.
fn is_eligible(policy: &Policy, customer: &ScoredCustomer<'_>) -> bool {
    let rule = &policy.eligibility;
    customer.current_score.is_none_or(|score| score >= rule.minimum_current_score.value())
        && customer.current_limit.is_none_or(|limit| limit < rule.current_limit_below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn customer() -> ScoredCustomer<'static> {
        ScoredCustomer {
            id: "a",
            current_score: Some(600),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            annual_income: None,
            score: Ok(CreditScore::new(650)),
        }
    }

    #[test]
    fn an_eligible_customer_is_decided_by_the_domain_s_own_function() {
        let decided = simulate(&Policy::default(), &customer());
        assert_eq!(decided.as_str(), "APPROVED");
        assert_eq!(decided.new_limit().unwrap().to_string(), "6000.00");

        let low = ScoredCustomer { score: Ok(CreditScore::new(649)), ..customer() };
        assert_eq!(simulate(&Policy::default(), &low).as_str(), "DECLINED");
        let unscored = ScoredCustomer { score: Err("no features"), ..customer() };
        assert_eq!(simulate(&Policy::default(), &unscored).as_str(), "REFERRED");
    }

    #[test]
    fn both_bounds_of_eligibility_count() {
        let cases = [
            (Some(600), "9999.99", true),
            (Some(599), "9999.99", false),
            (Some(600), "10000.00", false),
            (None, "9999.99", true),
        ];
        for (current_score, limit, expected) in cases {
            let customer = ScoredCustomer {
                current_score,
                current_limit: Some(limit.parse().unwrap()),
                ..customer()
            };
            let taken = simulate(&Policy::default(), &customer) != Simulated::NotEligible;
            assert_eq!(taken, expected, "{current_score:?} {limit}");
        }
    }

    #[test]
    fn a_customer_who_could_not_be_read_is_referred() {
        let without_limit = ScoredCustomer {
            current_limit: None,
            unreadable: Some("the current limit is no amount"),
            ..customer()
        };
        let without_score = ScoredCustomer {
            current_score: None,
            unreadable: Some("the current score is no number"),
            ..customer()
        };
        for unreadable in [without_limit, without_score] {
            assert_eq!(simulate(&Policy::default(), &unreadable).as_str(), "REFERRED");
        }
    }
}
