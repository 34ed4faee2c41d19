//! Who comes in and who goes out when one policy or model follows another.

use rust_decimal::Decimal;
use serde::Serialize;

use super::tally::{in_cents, mean};
use crate::interval::{BadCount, Interval};
use crate::simulate::{ScoredCustomer, Simulated};

/// Customers of whom two arms say different things, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapSet {
    /// Approved by the second arm alone.
    pub comes_in: Swapped,
    /// Approved by the first arm alone.
    pub goes_out: Swapped,
    /// Approved by both, with a higher limit by the second one.
    pub raised_more: Swapped,
    /// Approved by both, with a lower limit by the second one.
    pub raised_less: Swapped,
    /// Approved by both with the same new limit, or by none.
    pub unchanged: u64,
}

/// Customers of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swapped {
    /// Their number.
    pub customers: u64,
    /// The sum of their raises by the second arm less that by the first one.
    pub money: Decimal,
    /// Their outcomes, as far as they are known.
    pub outcomes: BadCount,
}

impl SwapSet {
    /// Counts what two arms say about a customer.
    pub(crate) fn add(
        &mut self,
        customer: &ScoredCustomer<'_>,
        first: Simulated,
        second: Simulated,
        bad: Option<bool>,
    ) {
        let raise = |simulated: Simulated| {
            simulated.new_limit().map_or(Decimal::ZERO, |limit| customer.raise(limit))
        };
        let money = raise(second) - raise(first);
        let group = match (first.new_limit(), second.new_limit()) {
            (None, Some(_)) => &mut self.comes_in,
            (Some(_), None) => &mut self.goes_out,
            (Some(_), Some(_)) if money > Decimal::ZERO => &mut self.raised_more,
            (Some(_), Some(_)) if money < Decimal::ZERO => &mut self.raised_less,
            _ => {
                self.unchanged += 1;
                return;
            }
        };

        group.customers += 1;
        group.money += money;
        if let Some(bad) = bad {
            group.outcomes.add(bad);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.unchanged += other.unchanged;
        for (group, more) in [
            (&mut self.comes_in, other.comes_in),
            (&mut self.goes_out, other.goes_out),
            (&mut self.raised_more, other.raised_more),
            (&mut self.raised_less, other.raised_less),
        ] {
            group.customers += more.customers;
            group.money += more.money;
            group.outcomes.merge(more.outcomes);
        }
    }

    /// The swap set as a program reads it.
    #[must_use]
    pub fn figures(&self) -> SwapFigures {
        SwapFigures {
            comes_in: self.comes_in.figures(),
            goes_out: self.goes_out.figures(),
            raised_more: self.raised_more.figures(),
            raised_less: self.raised_less.figures(),
            unchanged: self.unchanged,
        }
    }
}

impl Swapped {
    fn figures(&self) -> SwappedFigures {
        SwappedFigures {
            customers: self.customers,
            money: in_cents(self.money),
            mean_money: mean(self.money, self.customers),
            known: self.outcomes.known,
            bad_rate: self.outcomes.rate(),
        }
    }
}

/// The figures of a [`SwapSet`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SwapFigures {
    /// Approved by the second arm alone.
    pub comes_in: SwappedFigures,
    /// Approved by the first arm alone.
    pub goes_out: SwappedFigures,
    /// Approved by both, with a higher limit by the second one.
    pub raised_more: SwappedFigures,
    /// Approved by both, with a lower limit by the second one.
    pub raised_less: SwappedFigures,
    /// Approved by both with the same new limit, or by none.
    pub unchanged: u64,
}

/// The figures of one kind of customers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SwappedFigures {
    /// Their number.
    pub customers: u64,
    /// The sum of their raises by the second arm less that by the first one.
    pub money: Decimal,
    /// That money for one of them.
    pub mean_money: Option<Decimal>,
    /// Those whose outcome is known.
    pub known: u64,
    /// The share of bad ones among these.
    pub bad_rate: Option<Interval>,
}
