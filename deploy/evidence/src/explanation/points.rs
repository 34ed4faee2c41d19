//! Points that add up: the score as a sum that a person can check with pencil and paper.

use std::fmt;

use limit_increase_domain::CreditScore;
use limit_increase_scoring::Scorecard;
use serde::{Serialize, Serializer};

/// Points in tenths, so that what is shown is what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Points(i64);

impl Points {
    /// These points, rounded to a tenth.
    #[must_use]
    pub fn rounded(points: f64) -> Self {
        // `as` saturates far beyond every score.
        Self((points * 10.0).round() as i64)
    }

    /// The points in tenths.
    #[must_use]
    pub const fn tenths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.0 < 0, f.sign_plus()) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let tenths = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{}", tenths / 10, tenths % 10))
    }
}

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 10.0)
    }
}

/// A score as a sum: `base + steps + rounding = score`, exactly.
///
/// The base is the mean raw value of the training rows in points. A step is what an input's SHAP
/// value gives the customer in points: points are linear in log-odds, and the base value and the
/// SHAP values add up to the raw value (promise 13). Each is rounded to a tenth by itself, and the
/// score to a whole point, so a last line says what the rounding made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waterfall {
    /// The average customer of the training rows.
    pub base: Points,
    /// One for each input, in the model's order.
    pub steps: Vec<Points>,
    /// What all the rounding adds up to.
    pub rounding: Points,
    /// The score.
    pub score: CreditScore,
}

impl Waterfall {
    /// The sum that ends with `score`.
    #[must_use]
    pub fn new(card: &Scorecard, base_value: f64, shap_values: &[f64], score: CreditScore) -> Self {
        let base = Points::rounded(card.unrounded(base_value));
        // A SHAP value is of the log-odds of bad, so a positive one takes points.
        let step = |value: &f64| Points::rounded(-card.points(*value));
        let steps: Vec<Points> = shap_values.iter().map(step).collect();
        let sum = steps.iter().fold(base.0, |sum, step| sum.saturating_add(step.0));
        let rounding = Points((i64::from(score.value()) * 10).saturating_sub(sum));
        Self { base, steps, rounding, score }
    }
}

#[cfg(test)]
mod tests {
    use limit_increase_artifact::ScorecardParameters;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn points_are_shown_with_their_tenths_and_on_demand_with_a_plus() {
        let shown = |tenths| (Points(tenths).to_string(), format!("{:+}", Points(tenths)));
        for (tenths, plain, signed) in
            [(0, "0.0", "+0.0"), (-3, "-0.3", "-0.3"), (6_127, "612.7", "+612.7")]
        {
            assert_eq!(shown(tenths), (plain.to_owned(), signed.to_owned()));
        }
        assert_eq!(format!("{:>8}", Points(-123)), "   -12.3");
    }

    proptest! {
        #[test]
        fn what_is_shown_adds_up_to_the_score_and_rounding_is_small(
            base in -6.0_f64..2.0,
            shap_values in proptest::collection::vec(-2.0_f64..2.0, 0..40),
            pdo in 5.0_f64..100.0,
        ) {
            let parameters = ScorecardParameters { pdo, target_score: 600.0, target_odds: 30.0 };
            let card = Scorecard::new(parameters);
            let score = card.score(base + shap_values.iter().sum::<f64>());
            let waterfall = Waterfall::new(&card, base, &shap_values, score);

            let steps: i64 = waterfall.steps.iter().map(|step| step.tenths()).sum();
            let sum = waterfall.base.tenths() + steps + waterfall.rounding.tenths();
            prop_assert_eq!(sum, i64::from(score.value()) * 10);
            // Half a point for the score, and half a tenth for each line.
            let lines = i64::try_from(shap_values.len()).unwrap_or_default() + 1;
            prop_assert!(waterfall.rounding.tenths().abs() <= 5 + lines / 2 + 1);
        }
    }
}
