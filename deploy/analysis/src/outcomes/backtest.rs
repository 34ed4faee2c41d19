//! The scores of closed runs beside what became of their customers.

use std::collections::{BTreeMap, HashMap};

use chrono::{Datelike as _, NaiveDate};
use limit_increase_domain::{Outcome, Policy};
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::scored::Scored;
use serde::Serialize;

use super::calibration::{CalibrationBand, brier_score, calibration};
use super::ranking::{Discrimination, RankedCustomers};
use super::{Observation, Outcomes};
use crate::comparison::bands::Band;
use crate::interval::{BadCount, Interval};
use crate::simulate::{ScoredCustomer, Simulated, simulate};

/// The columns of numbers that a backtest reads beside what a decision needs.
pub const NUMBERS: [&str; 2] = ["raw_value", "probability"];
/// The bands of a calibration.
const BANDS: usize = 10;

/// A score and what became of the customer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Forecast {
    month: Month,
    points: i32,
    raw_value: f64,
    probability: f64,
    decided: Option<Outcome>,
    bad: bool,
}

/// A month of business dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i32, u32);

/// Looks for the score of each customer whose outcome is known. Runs are given from the newest to
/// the oldest, and a customer's first score counts: the newest one that is not after the outcome's
/// date.
#[derive(Debug)]
pub struct Backtest {
    waiting: HashMap<Box<str>, Observation>,
    known: u64,
    forecasts: Vec<Forecast>,
}

impl Backtest {
    /// A backtest of these outcomes, before any run.
    #[must_use]
    pub fn new(outcomes: Outcomes) -> Self {
        let known = outcomes.len() as u64;
        Self { waiting: outcomes.by_customer, known, forecasts: Vec::new() }
    }

    /// Whether every outcome has its score, so that no older run can add one.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a shard of a run that was made by this policy on this business date.
    ///
    /// # Errors
    /// When the file lacks a column.
    pub fn add(
        &mut self,
        policy: &Policy,
        as_of: NaiveDate,
        scored: &Scored,
    ) -> Result<(), HandoffError> {
        let columns = scored.columns()?;
        let [raw, probability] = NUMBERS;
        let (raw, probability) = (scored.numbers(raw)?, scored.numbers(probability)?);
        let month = Month(as_of.year(), as_of.month());
        for row in 0..scored.rows() {
            let customer = ScoredCustomer::of(&columns, row);
            let Ok(score) = customer.score else { continue };
            let forecasts =
                |observation: &Observation| observation.date.is_none_or(|date| as_of <= date);
            let Some(observation) = self.waiting.get(customer.id).filter(|of| forecasts(of)) else {
                continue;
            };

            let decided = match simulate(policy, &customer) {
                Simulated::Decided { outcome, .. } => Some(outcome),
                Simulated::NotEligible => None,
            };
            self.forecasts.push(Forecast {
                month,
                points: score.value(),
                raw_value: raw.value(row),
                probability: probability.value(row),
                decided,
                bad: observation.bad,
            });
            self.waiting.remove(customer.id);
        }

        Ok(())
    }

    /// The report over all that was added.
    #[must_use]
    pub fn report(&self, runs: Vec<String>) -> BacktestReport {
        let mut vintages: BTreeMap<Month, Vec<&Forecast>> = BTreeMap::new();
        let mut by_score: BTreeMap<Band, Vec<&Forecast>> = BTreeMap::new();
        for forecast in &self.forecasts {
            vintages.entry(forecast.month).or_default().push(forecast);
            by_score.entry(Band::of_score(forecast.points)).or_default().push(forecast);
        }

        let predictions: Vec<(f64, bool)> =
            self.forecasts.iter().map(|of| (of.probability, of.bad)).collect();
        let score_band = |(band, of): (Band, Vec<&Forecast>)| ScoreBand {
            band,
            known: of.len() as u64,
            predicted: mean_probability(&of),
            bad_rate: bad_count(&of).rate(),
        };
        BacktestReport {
            runs,
            outcomes: self.known,
            without_score: self.waiting.len() as u64,
            discrimination: discrimination(self.forecasts.iter()),
            brier_score: brier_score(&predictions),
            calibration: calibration(&predictions, BANDS),
            by_score: by_score.into_iter().map(score_band).collect(),
            vintages: vintages.into_iter().map(Vintage::of).collect(),
        }
    }
}

fn discrimination<'a>(forecasts: impl Iterator<Item = &'a Forecast>) -> Discrimination {
    let mut ranked = RankedCustomers::new(1);
    forecasts.for_each(|forecast| ranked.add(forecast.bad, [forecast.raw_value]));
    ranked.discrimination(0)
}

fn bad_count(forecasts: &[&Forecast]) -> BadCount {
    let bad = forecasts.iter().filter(|forecast| forecast.bad).count() as u64;
    BadCount { known: forecasts.len() as u64, bad }
}

fn mean_probability(forecasts: &[&Forecast]) -> f64 {
    let sum: f64 = forecasts.iter().map(|forecast| forecast.probability).sum();
    sum / forecasts.len() as f64
}

/// How the scores of closed runs turned out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// The runs that were read, the newest first.
    pub runs: Vec<String>,
    /// Customers whose outcome is known.
    pub outcomes: u64,
    /// Those of them whom no run scored before the outcome's date.
    pub without_score: u64,
    /// How well the scores ranked the others.
    #[serde(flatten)]
    pub discrimination: Discrimination,
    /// The mean squared distance of the predicted probability from what happened.
    pub brier_score: Option<f64>,
    /// Bands of about the same size, from the lowest to the highest predicted probability.
    pub calibration: Vec<CalibrationBand>,
    /// Bands of the score.
    pub by_score: Vec<ScoreBand>,
    /// The months of the runs' business dates.
    pub vintages: Vec<Vintage>,
}

/// Customers with similar scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreBand {
    /// The band.
    pub band: Band,
    /// Their number.
    pub known: u64,
    /// Their mean predicted probability of bad.
    pub predicted: f64,
    /// The share of them that went bad.
    pub bad_rate: Option<Interval>,
}

/// The customers who were scored in one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vintage {
    /// The month, as `2026-11`.
    pub month: String,
    /// Their mean predicted probability of bad.
    pub predicted: f64,
    /// The share of them that went bad.
    pub bad_rate: Option<Interval>,
    /// The share of bad ones among those whom the run approved.
    pub approved_bad_rate: Option<Interval>,
    /// The share of bad ones among those whom the run declined.
    pub declined_bad_rate: Option<Interval>,
    /// How well the scores ranked them.
    #[serde(flatten)]
    pub discrimination: Discrimination,
}

impl Vintage {
    fn of((Month(year, month), forecasts): (Month, Vec<&Forecast>)) -> Self {
        let decided = |outcome: Outcome| {
            let of: Vec<&Forecast> = forecasts
                .iter()
                .copied()
                .filter(|forecast| forecast.decided == Some(outcome))
                .collect();
            bad_count(&of).rate()
        };
        Self {
            month: format!("{year}-{month:02}"),
            predicted: mean_probability(&forecasts),
            bad_rate: bad_count(&forecasts).rate(),
            approved_bad_rate: decided(Outcome::Approved),
            declined_bad_rate: decided(Outcome::Declined),
            discrimination: discrimination(forecasts.iter().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{Given, given, shard};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn outcomes(rows: &[(&str, bool, Option<&str>)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for (id, bad, date) in rows {
            outcomes.insert(id, Observation { bad: *bad, date: date.map(day) });
        }
        outcomes
    }

    fn add(backtest: &mut Backtest, as_of: &str, customers: &[Given]) {
        backtest.add(&Policy::default(), day(as_of), &shard(customers, &NUMBERS)).unwrap();
    }

    #[test]
    fn the_newest_score_before_the_outcome_counts() {
        let mut backtest = Backtest::new(outcomes(&[
            ("early", true, Some("2026-10-15")),
            ("late", false, Some("2027-10-15")),
            ("undated", true, None),
            ("stranger", true, None),
            ("unscored", true, None),
        ]));
        let november = [
            given("early", "1000.00", Some(600)),
            given("late", "1000.00", Some(700)),
            given("unscored", "1000.00", None),
        ];
        let september = [
            given("early", "1000.00", Some(610)),
            given("late", "1000.00", Some(690)),
            given("undated", "1000.00", Some(660)),
        ];
        add(&mut backtest, "2026-11-30", &november);
        add(&mut backtest, "2026-09-30", &september);
        assert!(!backtest.is_complete());

        let report = backtest.report(Vec::new());
        assert_eq!((report.outcomes, report.without_score), (5, 2));
        assert_eq!((report.discrimination.known, report.discrimination.bad), (3, 2));
        let months: Vec<(&str, u64, u64)> = report
            .vintages
            .iter()
            .map(|of| (of.month.as_str(), of.discrimination.known, of.discrimination.bad))
            .collect();
        assert_eq!(months, [("2026-09", 2, 2), ("2026-11", 1, 0)]);
        // 700 was good, and 610 and 660 were bad.
        assert_eq!(report.discrimination.gini, Some(1.0));
        // Of September, 660 was approved and 610 declined; both went bad.
        let september = &report.vintages[0];
        let rate = |interval: Option<Interval>| interval.map(|of| of.value);
        assert_eq!(rate(september.approved_bad_rate), Some(1.0));
        assert_eq!(rate(september.declined_bad_rate), Some(1.0));
        assert_eq!(rate(report.vintages[1].declined_bad_rate), None);
    }

    #[test]
    fn a_report_over_nobody_has_no_figures() {
        let report = Backtest::new(outcomes(&[("a", true, None)])).report(Vec::new());
        assert_eq!((report.without_score, report.discrimination.gini), (1, None));
        assert_eq!((report.brier_score, report.vintages.len()), (None, 0));
    }

    #[test]
    fn bands_and_vintages_hold_every_forecast() {
        let customers: Vec<Given> =
            (0..40).map(|at| given(&at.to_string(), "1000.00", Some(600 + at * 3))).collect();
        let rows: Vec<(String, bool)> = (0..40).map(|at| (at.to_string(), at % 3 == 0)).collect();
        let rows: Vec<_> = rows.iter().map(|(id, bad)| (id.as_str(), *bad, None)).collect();
        let mut backtest = Backtest::new(outcomes(&rows));
        add(&mut backtest, "2026-11-30", &customers);
        assert!(backtest.is_complete());

        let report = backtest.report(Vec::new());
        assert_eq!(report.by_score.iter().map(|band| band.known).sum::<u64>(), 40);
        assert_eq!(report.calibration.iter().map(|band| band.known).sum::<u64>(), 40);
        assert_eq!(report.vintages[0].discrimination.known, 40);
    }
}
