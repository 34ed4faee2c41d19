//! The result of scoring a batch, customer by customer.

use limit_increase_domain::CreditScore;

use crate::encode::{Frame, Referrals};
use crate::interpretation::Interpretation;
use crate::operator::Scores;
use crate::reasons;

/// A scored batch. It borrows the model and the frame, because reasons name the customer's values.
#[derive(Debug)]
pub struct ScoredBatch<'a> {
    pub(crate) interpretation: &'a Interpretation,
    pub(crate) frame: &'a Frame<'a>,
    pub(crate) referrals: Referrals,
    pub(crate) scores: Scores,
}

/// The result for one customer.
#[derive(Debug, Clone, Copy)]
pub enum RowOutcome<'a> {
    /// The customer has a score.
    Scored(ScoredRow<'a>),
    /// The customer can't be scored. The text is the reason: a sentence in lower case without a
    /// full stop.
    Referred(&'a str),
}

/// A customer's score and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRow<'a> {
    /// Log-odds of the bad class: CatBoost's `RawFormulaVal`.
    pub raw_value: f64,
    /// Probability of the bad class.
    pub probability: f64,
    /// The score in points.
    pub score: CreditScore,
    /// What SHAP values start from, in log-odds.
    pub base_value: f64,
    /// One SHAP value per source, in log-odds. The base value and the SHAP values add up to the raw
    /// value (promise 13).
    pub shap_values: &'a [f64],
    interpretation: &'a Interpretation,
    frame: &'a Frame<'a>,
    row: usize,
}

impl ScoredBatch<'_> {
    /// The number of customers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.referrals.len()
    }

    /// Whether the batch has no customers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.referrals.is_empty()
    }

    /// The result for the customer in this row of the frame.
    ///
    /// # Panics
    /// When the batch has no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> RowOutcome<'_> {
        if let Some(reason) = &self.referrals[row] {
            return RowOutcome::Referred(reason);
        }

        let raw_value = self.scores.raw[row];
        let sources = self.frame.columns.len();
        RowOutcome::Scored(ScoredRow {
            raw_value,
            probability: self.scores.probability[row],
            score: self.interpretation.scorecard.score(raw_value),
            base_value: self.interpretation.base_value,
            shap_values: &self.scores.shap[row * sources..][..sources],
            interpretation: self.interpretation,
            frame: self.frame,
            row,
        })
    }
}

impl ScoredRow<'_> {
    /// What took points from the customer, and how many points: at most four reasons, the worst
    /// first. Of two that took the same, the earlier source comes first.
    ///
    /// Each text is a sentence without a full stop. The list is empty when nothing took points.
    #[must_use]
    pub fn reasons(&self) -> Vec<(String, f64)> {
        let reason = |(source, value): (usize, f64)| {
            let wording = &self.interpretation.wordings[source];
            let text = wording.text(&self.frame.columns[source], self.row);
            (text, self.interpretation.scorecard.points(value))
        };

        reasons::worst(self.shap_values).map(reason).collect()
    }
}
