//! Points to double the odds: from log-odds to a score that people can read.

use limit_increase_artifact::ScorecardParameters;
use limit_increase_domain::CreditScore;

/// The linear scaling `points = offset - factor * log-odds(bad)`, with `factor = PDO / ln 2` and
/// `offset = target score - factor * ln(target odds)`.
///
/// So a customer whose odds of good to bad are the target odds has the target score, and each
/// doubling of the odds adds PDO points. Source: N. Siddiqi, *Credit Risk Scorecards* (Wiley,
/// 2006), chapter 6, "Scorecard scaling".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scorecard {
    factor: f64,
    offset: f64,
}

impl Scorecard {
    /// Makes the scaling of these parameters. PDO and target odds are positive, which the manifest
    /// was checked for.
    #[must_use]
    pub fn new(parameters: ScorecardParameters) -> Self {
        let factor = parameters.pdo / std::f64::consts::LN_2;
        Self { factor, offset: parameters.target_score - factor * parameters.target_odds.ln() }
    }

    /// The score in points of a customer with these log-odds of the bad class. It is rounded once,
    /// half away from zero.
    #[must_use]
    pub fn score(&self, log_odds: f64) -> CreditScore {
        // `as` saturates at the ends of i32, which are far beyond any threshold.
        CreditScore::new(self.unrounded(log_odds).round() as i32)
    }

    /// The points of these log-odds before they are rounded.
    #[must_use]
    pub fn unrounded(&self, log_odds: f64) -> f64 {
        self.offset - self.factor * log_odds
    }

    /// The points that a SHAP value, in log-odds, takes from the customer. It is negative where the
    /// value adds points. Points are linear in log-odds, so they add up as the SHAP values do.
    #[must_use]
    pub fn points(&self, shap_value: f64) -> f64 {
        self.factor * shap_value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: ScorecardParameters =
        ScorecardParameters { pdo: 20.0, target_score: 600.0, target_odds: 30.0 };

    #[test]
    fn target_odds_are_the_target_score_and_doubling_adds_pdo() {
        let scorecard = Scorecard::new(STANDARD);
        for (odds, score) in [(30.0_f64, 600), (60.0, 620), (15.0, 580), (960.0, 700), (1.0, 502)] {
            assert_eq!(scorecard.score(-odds.ln()).value(), score, "odds {odds}:1");
        }
    }

    #[test]
    fn a_half_point_rounds_away_from_zero() {
        // 649.5 points exactly: with PDO = ln 2 the factor is 1.
        let unit = Scorecard::new(ScorecardParameters {
            pdo: std::f64::consts::LN_2,
            target_score: 0.0,
            target_odds: 1.0,
        });

        assert_eq!(unit.score(-649.5).value(), 650);
        assert_eq!(unit.score(-649.499_999).value(), 649);
        assert_eq!(unit.score(649.5).value(), -650);
    }

    #[test]
    fn pdo_points_are_taken_where_the_log_odds_rise_by_ln_2() {
        let scorecard = Scorecard::new(STANDARD);
        for (shap_value, points) in [(2.0_f64.ln(), 20.0), (-(4.0_f64.ln()), -40.0), (0.0, 0.0)] {
            assert!((scorecard.points(shap_value) - points).abs() < 1e-12, "{shap_value}");
        }
    }

    #[test]
    fn extremes_saturate() {
        let scorecard = Scorecard::new(STANDARD);
        assert_eq!(scorecard.score(f64::INFINITY).value(), i32::MIN);
        assert_eq!(scorecard.score(-1e300).value(), i32::MAX);
    }
}
