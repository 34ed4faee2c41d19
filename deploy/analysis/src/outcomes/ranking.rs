//! How well a score ranks bad customers above good ones: Gini and KS.

use serde::Serialize;

use crate::interval::{Interval, Z};

/// Customers with known outcomes, and the raw values that one or more models gave each of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RankedCustomers {
    bad: Vec<bool>,
    /// For each model, one raw value per customer. A higher one means a worse customer.
    raw: Vec<Vec<f64>>,
}

/// How well one model ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Discrimination {
    /// Customers with a score and a known outcome.
    pub known: u64,
    /// Those who went bad.
    pub bad: u64,
    /// The Gini coefficient; `None` when all customers are good, or all bad.
    pub gini: Option<f64>,
    /// Its interval of 95 %; `None` where the Gini is 1 or -1 too, since the customers then say
    /// nothing about its spread.
    pub gini_interval: Option<Interval>,
    /// The Kolmogorov-Smirnov statistic.
    pub ks: Option<f64>,
}

/// The difference of two models' Gini coefficients on the same customers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GiniDifference {
    /// The second model's Gini less the first one's, with the interval of 95 %.
    pub interval: Interval,
}

impl RankedCustomers {
    /// No customers yet, of so many models.
    #[must_use]
    pub fn new(models: usize) -> Self {
        Self { bad: Vec::new(), raw: vec![Vec::new(); models] }
    }

    /// Adds a customer with one raw value for each model.
    pub fn add(&mut self, bad: bool, raw: impl IntoIterator<Item = f64>) {
        self.bad.push(bad);
        for (values, value) in self.raw.iter_mut().zip(raw) {
            values.push(value);
        }
    }

    /// Adds the customers of another list of the same models.
    pub fn merge(&mut self, other: Self) {
        self.bad.extend(other.bad);
        for (values, more) in self.raw.iter_mut().zip(other.raw) {
            values.extend(more);
        }
    }

    /// How well a model ranks these customers.
    ///
    /// The Gini is `2 AUC - 1`, and the AUC the probability that a bad customer has a higher raw
    /// value than a good one, where a tie counts half. KS is the largest lead of the share of bad
    /// customers over that of good ones who have a raw value of at least some bound.
    ///
    /// The interval of the Gini comes from DeLong's variance of the AUC, taken on the logit of the
    /// AUC so that it stays between 0 and 1. Sources: E. R. DeLong, D. M. DeLong and D. L.
    /// Clarke-Pearson, *Comparing the areas under two or more correlated receiver operating
    /// characteristic curves*, Biometrics 44 (1988); the logit: M. S. Pepe, *The statistical
    /// evaluation of medical tests* (Oxford, 2003), section 5.2.5.
    #[must_use]
    pub fn discrimination(&self, model: usize) -> Discrimination {
        let known = self.bad.len() as u64;
        let bad = self.bad.iter().filter(|bad| **bad).count() as u64;
        let placements = Placements::of(&self.bad, &self.raw[model]);
        let interval = placements.as_ref().and_then(Placements::gini_interval);
        Discrimination {
            known,
            bad,
            gini: placements.as_ref().map(|of| 2.0 * of.auc - 1.0),
            gini_interval: interval,
            ks: placements.map(|of| of.ks),
        }
    }

    /// By how much the second model's Gini is above the first one's; `None` where there is no Gini.
    ///
    /// The interval is DeLong's for two correlated areas: both models ranked the same customers.
    #[must_use]
    pub fn gini_difference(&self, first: usize, second: usize) -> Option<GiniDifference> {
        let one = Placements::of(&self.bad, &self.raw[first])?;
        let other = Placements::of(&self.bad, &self.raw[second])?;
        let value = 2.0 * (other.auc - one.auc);
        let variance = one.variance()? + other.variance()? - 2.0 * one.covariance(&other)?;
        let half = 2.0 * Z * variance.max(0.0).sqrt();
        Some(GiniDifference { interval: Interval { value, low: value - half, high: value + half } })
    }
}

/// DeLong's placement values: for each bad customer the share of good ones with a lower raw value,
/// for each good one the share of bad ones with a higher one. A tie counts half.
struct Placements {
    auc: f64,
    ks: f64,
    of_bad: Vec<f64>,
    of_good: Vec<f64>,
}

impl Placements {
    /// Ranks the customers once, as X. Sun and W. Xu, *Fast implementation of DeLong's algorithm*,
    /// IEEE Signal Processing Letters 21 (2014), do. The AUC is a quotient of two whole numbers.
    fn of(bad: &[bool], raw: &[f64]) -> Option<Self> {
        let total_bad = bad.iter().filter(|bad| **bad).count();
        let total_good = bad.len() - total_bad;
        if total_bad == 0 || total_good == 0 {
            return None;
        }

        let mut order: Vec<usize> = (0..raw.len()).collect();
        order.sort_unstable_by(|one, other| raw[*one].total_cmp(&raw[*other]));
        let mut placement = vec![0.0; raw.len()];
        let (mut good_below, mut bad_below) = (0_usize, 0_usize);
        // Pairs of a bad and a good customer that are ranked rightly, doubled.
        let mut doubled_pairs = 0_u128;
        let mut ks = 0.0_f64;
        // The order rises, so a value that is not above the one before is equal to it.
        for tied in order.chunk_by(|one, other| raw[*one] >= raw[*other]) {
            let bad_here = tied.iter().filter(|at| bad[**at]).count();
            let good_here = tied.len() - bad_here;
            doubled_pairs += bad_here as u128 * (2 * good_below + good_here) as u128;

            let bad_above = total_bad - bad_below - bad_here;
            for &at in tied {
                placement[at] = if bad[at] {
                    (2 * good_below + good_here) as f64 / (2 * total_good) as f64
                } else {
                    (2 * bad_above + bad_here) as f64 / (2 * total_bad) as f64
                };
            }

            good_below += good_here;
            bad_below += bad_here;
            let lead = good_below as f64 / total_good as f64 - bad_below as f64 / total_bad as f64;
            ks = ks.max(lead);
        }

        let share = |wanted: bool| -> Vec<f64> {
            let of = bad.iter().zip(&placement).filter(|(bad, _)| **bad == wanted);
            of.map(|(_, placement)| *placement).collect()
        };
        let pairs = 2.0 * total_bad as f64 * total_good as f64;
        Some(Self {
            auc: doubled_pairs as f64 / pairs,
            ks,
            of_bad: share(true),
            of_good: share(false),
        })
    }

    /// DeLong's variance of the AUC; `None` with a single bad or a single good customer.
    fn variance(&self) -> Option<f64> {
        self.covariance(self)
    }

    /// DeLong's covariance of two AUCs on the same customers.
    fn covariance(&self, other: &Self) -> Option<f64> {
        let of = |one: &[f64], two: &[f64]| {
            if one.len() < 2 {
                return None;
            }

            let sum: f64 = one.iter().zip(two).map(|(a, b)| (a - self.auc) * (b - other.auc)).sum();
            Some(sum / (one.len() - 1) as f64 / one.len() as f64)
        };

        Some(of(&self.of_bad, &other.of_bad)? + of(&self.of_good, &other.of_good)?)
    }

    fn gini_interval(&self) -> Option<Interval> {
        let variance = self.variance()?;
        let spread = self.auc * (1.0 - self.auc);
        if spread <= 0.0 || variance <= 0.0 {
            return None;
        }

        let logit = (self.auc / (1.0 - self.auc)).ln();
        let half = Z * variance.sqrt() / spread;
        let gini = |logit: f64| 2.0 / (1.0 + (-logit).exp()) - 1.0;
        Some(Interval {
            value: 2.0 * self.auc - 1.0,
            low: gini(logit - half),
            high: gini(logit + half),
        })
    }
}

#[cfg(test)]
mod tests;
