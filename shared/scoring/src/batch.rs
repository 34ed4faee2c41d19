//! What comes out of a batch, customer by customer.

use limit_increase_domain::CreditScore;

use crate::encode::{Frame, Referrals};
use crate::model::Model;
use crate::operator::Answers;
use crate::reasons;

/// A scored batch.
#[derive(Debug)]
pub struct ScoredBatch<'a> {
    pub(crate) model: &'a Model,
    pub(crate) frame: &'a Frame<'a>,
    pub(crate) referrals: Referrals,
    pub(crate) answers: Answers,
}

/// What became of a customer.
#[derive(Debug, Clone, Copy)]
pub enum RowOutcome<'a> {
    /// Has a score.
    Scored(ScoredRow<'a>),
    /// Can't be scored; the reason, a sentence in lower case without a full stop.
    Referred(&'a str),
}

/// A customer's score and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRow<'a> {
    /// Log-odds of the bad class: CatBoost's `RawFormulaVal`.
    pub raw_value: f64,
    /// Probability of the bad class.
    pub probability: f64,
    /// In points.
    pub score: CreditScore,
    /// What SHAP values start from, in log-odds.
    pub base_value: f64,
    /// One SHAP value per source, in log-odds. With the base value they add up to the raw value.
    pub shap_values: &'a [f64],
    model: &'a Model,
    frame: &'a Frame<'a>,
    row: usize,
}

impl ScoredBatch<'_> {
    /// Customers in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.referrals.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.referrals.is_empty()
    }

    /// What became of a customer.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> RowOutcome<'_> {
        if let Some(reason) = &self.referrals[row] {
            return RowOutcome::Referred(reason);
        }

        let sources = self.model.inputs().len();
        RowOutcome::Scored(ScoredRow {
            raw_value: self.answers.raw[row],
            probability: self.answers.probability[row],
            score: self.model.scorecard().score(self.answers.raw[row]),
            base_value: self.model.base_value(),
            shap_values: &self.answers.shap[row * sources..][..sources],
            model: self.model,
            frame: self.frame,
            row,
        })
    }
}

impl ScoredRow<'_> {
    /// What took points from the customer, as a sentence without a full stop, and how many points: worst first, at most
    /// four, of equal ones the earlier source first. Empty when nothing took any.
    #[must_use]
    pub fn reasons(&self) -> Vec<(String, f64)> {
        let reason = |(source, value): (usize, f64)| {
            let text = self.model.wordings()[source].text(&self.frame.columns[source], self.row);
            (text, self.model.scorecard().points(value))
        };

        reasons::worst(self.shap_values).map(reason).collect()
    }
}
