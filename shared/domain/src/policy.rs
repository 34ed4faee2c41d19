//! The limit policy: a document that a risk analyst can read and change. It is checked before any
//! other code uses it.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::customer::{CreditLimit, CreditScore};
use crate::deserialize_from_object;
use crate::digest::sha256_hex;

/// The rules by which a limit grows. The field names are those of the JSON document. A field that
/// is left out keeps the default shown here, and an unknown field is refused.
///
/// ```json
/// {
///   "eligibility": { "minimum_current_score": 600, "current_limit_below": "10000.00" },
///   "minimum_score": 650,
///   "tiers": [ { "limit_below": "5000.00", "growth": "0.50" }, { "growth": "0.25" } ],
///   "maximum_limit": "20000.00",
///   "round_down_to": "1.00",
///   "affordability": null
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Policy {
    /// Who is looked at in a run.
    pub eligibility: Eligibility,
    /// The lowest new score that is approved, in points.
    pub minimum_score: CreditScore,
    /// How far a limit grows, by its current size; the first tier that holds the limit applies.
    pub tiers: Vec<Tier>,
    /// No new limit is ever above this.
    pub maximum_limit: Decimal,
    /// New limits are rounded down to a multiple of this.
    pub round_down_to: Decimal,
    /// Optional cap by income; off when null.
    pub affordability: Option<Affordability>,
}

/// Which undecided customers a run takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Eligibility {
    /// `current_score` at or above this.
    pub minimum_current_score: CreditScore,
    /// `current_limit` strictly below this.
    pub current_limit_below: Decimal,
}

/// One band of current limits and its growth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Tier {
    /// The band's upper bound, exclusive; the last tier has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_below: Option<Decimal>,
    /// Growth as a fraction: 0.50 makes 1,000 into 1,500.
    pub growth: Decimal,
}

/// A cap on the new limit by the customer's income.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Affordability {
    /// The column of `customer_features` that holds gross annual income.
    pub income_column: String,
    /// The new limit may be at most this share of the income.
    pub maximum_share: Decimal,
}

deserialize_from_object!(Policy, Eligibility, Tier, Affordability);

/// Why a policy was refused: the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy.{field}: {problem}")]
pub struct PolicyError {
    /// Path of the field inside the document, for example `tiers[1].growth`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Default for Eligibility {
    fn default() -> Self {
        Self {
            minimum_current_score: CreditScore::new(600),
            current_limit_below: Decimal::new(1_000_000, 2),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            eligibility: Eligibility::default(),
            minimum_score: CreditScore::new(650),
            tiers: vec![
                Tier { limit_below: Some(Decimal::new(500_000, 2)), growth: Decimal::new(50, 2) },
                Tier { limit_below: None, growth: Decimal::new(25, 2) },
            ],
            maximum_limit: Decimal::new(2_000_000, 2),
            round_down_to: Decimal::new(100, 2),
            affordability: None,
        }
    }
}

impl Policy {
    /// SHA-256 of the policy's JSON, with the fields in the order of the type. It identifies a
    /// policy.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a policy holds only numbers, texts and lists, which JSON always takes"
    )]
    pub fn sha256(&self) -> String {
        sha256_hex(&serde_json::to_vec(self).expect("a policy is always written as JSON"))
    }

    /// More tiers than this are a mistake, not a policy.
    pub const MAX_TIERS: usize = 32;
    /// A tier may grow a limit by at most ten times itself.
    pub const MAX_GROWTH: Decimal = Decimal::from_parts(10, 0, 0, false, 0);

    /// Checks that the document can be applied to every limit, so that [`decide`](crate::decide)
    /// cannot fail. A policy that is refused here decides nobody (promise 10).
    ///
    /// # Errors
    /// Names the first field that is wrong: bounds that do not rise, a last tier that leaves a gap,
    /// a negative number, an amount that is not in whole cents, or a step that no new limit
    /// reaches.
    pub fn validate(&self) -> Result<(), PolicyError> {
        check_amount("eligibility.current_limit_below", self.eligibility.current_limit_below)?;
        check_amount("maximum_limit", self.maximum_limit)?;
        check_amount("round_down_to", self.round_down_to)?;
        self.validate_tiers()?;
        if self.round_down_to > self.maximum_limit {
            return Err(policy_error(
                "round_down_to",
                "must not be above maximum_limit, or every new limit rounds down to zero",
            ));
        }

        if let Some(cap) = &self.affordability {
            if cap.income_column.is_empty() || cap.income_column.len() > 63 {
                return Err(policy_error(
                    "affordability.income_column",
                    "must name a column of customer_features (1 to 63 bytes)",
                ));
            }

            if cap.maximum_share <= Decimal::ZERO || !is_fraction(cap.maximum_share) {
                return Err(policy_error(
                    "affordability.maximum_share",
                    "must be above 0 and at most 10, with at most six decimals",
                ));
            }
        }

        Ok(())
    }

    fn validate_tiers(&self) -> Result<(), PolicyError> {
        let Some((last, bounded)) = self.tiers.split_last() else {
            return Err(policy_error("tiers", "must have at least one tier"));
        };

        if self.tiers.len() > Self::MAX_TIERS {
            return Err(policy_error(
                "tiers",
                &format!("must have at most {} tiers, found {}", Self::MAX_TIERS, self.tiers.len()),
            ));
        }

        let mut previous = Decimal::ZERO;
        for (position, tier) in bounded.iter().enumerate() {
            let field = format!("tiers[{position}].limit_below");
            let Some(bound) = tier.limit_below else {
                return Err(policy_error(
                    &field,
                    "is missing: only the last tier has no upper bound",
                ));
            };

            check_amount(&field, bound)?;
            if bound <= previous {
                return Err(policy_error(
                    &field,
                    &format!("is {bound}, but tiers must rise: it has to be above {previous}"),
                ));
            }

            if bound >= self.maximum_limit {
                return Err(policy_error(
                    &field,
                    &format!(
                        "is {bound}: the tiers above it start at or over maximum_limit {} and could never grow a limit",
                        self.maximum_limit
                    ),
                ));
            }

            previous = bound;
        }

        if last.limit_below.is_some() {
            let field = format!("tiers[{}].limit_below", bounded.len());
            return Err(policy_error(
                &field,
                "must be absent: the last tier has no upper bound, or larger limits would have no rule",
            ));
        }

        for (position, tier) in self.tiers.iter().enumerate() {
            if tier.growth < Decimal::ZERO || !is_fraction(tier.growth) {
                return Err(policy_error(
                    &format!("tiers[{position}].growth"),
                    "must be from 0 to 10 with at most six decimals (0.50 is 50 %)",
                ));
            }
        }

        Ok(())
    }

    /// The growth that applies to a current limit.
    #[must_use]
    pub fn growth_for(&self, current: CreditLimit) -> Decimal {
        self.tier_for(current).map_or(Decimal::ZERO, |tier| self.tiers[tier].growth)
    }

    /// The position of the tier that holds a current limit, from 0. A valid policy has one for each
    /// limit.
    #[must_use]
    pub fn tier_for(&self, current: CreditLimit) -> Option<usize> {
        let holds = |tier: &Tier| tier.limit_below.is_none_or(|bound| current.amount() < bound);
        self.tiers.iter().position(holds)
    }
}

fn policy_error(field: &str, problem: &str) -> PolicyError {
    PolicyError { field: field.to_owned(), problem: problem.to_owned() }
}

/// Whether a value is at most 10 with at most six decimals. Its product with any limit is then
/// exact in a `Decimal`.
fn is_fraction(value: Decimal) -> bool {
    value <= Policy::MAX_GROWTH && value.normalize().scale() <= 6
}

/// Checks that `amount` is above zero and that `DECIMAL(10, 2)` holds it.
fn check_amount(field: &str, amount: Decimal) -> Result<(), PolicyError> {
    match CreditLimit::try_from(amount) {
        Ok(limit) if !limit.amount().is_zero() => Ok(()),
        _ => Err(policy_error(
            field,
            &format!(
                "must be above 0, at most {} and in whole cents, found {amount}",
                CreditLimit::MAX
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(json: &str) -> String {
        serde_json::from_str::<Policy>(json).unwrap().validate().unwrap_err().to_string()
    }

    #[test]
    fn the_default_policy_is_valid_and_is_what_an_empty_document_means() {
        Policy::default().validate().unwrap();
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }

    #[test]
    fn the_document_survives_a_round_trip() {
        let text = serde_json::to_string(&Policy::default()).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), Policy::default());
    }

    #[test]
    fn numbers_may_be_written_as_numbers() {
        let policy: Policy = serde_json::from_str(
            r#"{"tiers":[{"limit_below":5000.10,"growth":0.5},{"growth":0.25}]}"#,
        )
        .unwrap();

        assert_eq!(policy.tiers[0].limit_below.unwrap().to_string(), "5000.1");
        policy.validate().unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"tiers":[]}"#, "policy.tiers: must have at least one tier"),
            (
                r#"{"tiers":[{"limit_below":"5","growth":"1"}]}"#,
                "policy.tiers[0].limit_below: must be absent",
            ),
            (
                r#"{"tiers":[{"growth":"1"},{"growth":"1"}]}"#,
                "policy.tiers[0].limit_below: is missing",
            ),
            (
                r#"{"tiers":[{"limit_below":"500","growth":"1"},{"limit_below":"500","growth":"1"},{"growth":"1"}]}"#,
                "policy.tiers[1].limit_below: is 500, but tiers must rise",
            ),
            (
                r#"{"maximum_limit":"5000"}"#,
                "policy.tiers[0].limit_below: is 5000.00: the tiers above it start at or over",
            ),
            (r#"{"tiers":[{"growth":"-0.1"}]}"#, "policy.tiers[0].growth"),
            (r#"{"tiers":[{"growth":"10.000001"}]}"#, "policy.tiers[0].growth"),
            (r#"{"tiers":[{"growth":"11"}]}"#, "policy.tiers[0].growth"),
            (r#"{"tiers":[{"growth":"0.1234567"}]}"#, "policy.tiers[0].growth"),
            (r#"{"maximum_limit":"-1"}"#, "policy.maximum_limit"),
            (r#"{"maximum_limit":"100000000"}"#, "policy.maximum_limit"),
            (r#"{"maximum_limit":"4000"}"#, "policy.tiers[0].limit_below"),
            (r#"{"round_down_to":"0"}"#, "policy.round_down_to"),
            (r#"{"round_down_to":"0.001"}"#, "policy.round_down_to"),
            (r#"{"round_down_to":"20001"}"#, "policy.round_down_to"),
            (
                r#"{"eligibility":{"current_limit_below":"0"}}"#,
                "policy.eligibility.current_limit_below",
            ),
            (
                r#"{"affordability":{"income_column":"","maximum_share":"0.5"}}"#,
                "policy.affordability.income_column",
            ),
            (
                r#"{"affordability":{"income_column":"x","maximum_share":"0"}}"#,
                "policy.affordability.maximum_share",
            ),
            (
                r#"{"affordability":{"income_column":"x","maximum_share":"10.1"}}"#,
                "policy.affordability.maximum_share",
            ),
            (
                r#"{"affordability":{"income_column":"x","maximum_share":"0.1234567"}}"#,
                "policy.affordability.maximum_share",
            ),
        ];

        for (json, expected) in cases {
            let message = refused(json);
            assert!(message.starts_with(expected), "{json}: {message}");
        }
    }

    #[test]
    fn every_bound_itself_is_accepted() {
        let documents = [
            r#"{"round_down_to":"20000"}"#,
            r#"{"round_down_to":"0.01"}"#,
            r#"{"maximum_limit":"5000.01"}"#,
            r#"{"maximum_limit":"99999999.99"}"#,
            r#"{"tiers":[{"growth":"0"}]}"#,
            r#"{"tiers":[{"growth":"10"}]}"#,
            r#"{"tiers":[{"growth":"0.123456"}]}"#,
            r#"{"affordability":{"income_column":"x","maximum_share":"0.000001"}}"#,
            r#"{"affordability":{"income_column":"x","maximum_share":"10"}}"#,
        ];

        for json in documents {
            let policy: Policy = serde_json::from_str(json).unwrap();
            assert_eq!(policy.validate(), Ok(()), "{json}");
        }
    }

    #[test]
    fn an_income_column_has_1_to_63_bytes_as_in_postgresql() {
        let with_column = |name: &str| Policy {
            affordability: Some(Affordability {
                income_column: name.to_owned(),
                maximum_share: Decimal::ONE,
            }),
            ..Policy::default()
        };

        for bytes in [1, 62, 63] {
            assert_eq!(with_column(&"x".repeat(bytes)).validate(), Ok(()), "{bytes} bytes");
        }

        for name in [String::new(), "x".repeat(64), "x".repeat(100), "ü".repeat(32)] {
            let error = with_column(&name).validate().unwrap_err();
            assert_eq!(error.field, "affordability.income_column", "{name:?}");
        }
    }

    #[test]
    fn a_policy_has_at_most_32_tiers() {
        let with_tiers = |count: i64| {
            let bounded = (1..count).map(|bound| Some(Decimal::from(bound)));
            let tiers = bounded
                .chain([None])
                .map(|limit_below| Tier { limit_below, growth: Decimal::ONE })
                .collect();
            Policy { tiers, ..Policy::default() }
        };

        for count in [1, 31, 32] {
            assert_eq!(with_tiers(count).validate(), Ok(()), "{count} tiers");
        }

        for count in [33, 100] {
            assert_eq!(
                with_tiers(count).validate().unwrap_err().to_string(),
                format!("policy.tiers: must have at most 32 tiers, found {count}")
            );
        }
    }

    #[test]
    fn a_tier_ends_one_cent_below_its_bound() {
        let growth = |cents| {
            let limit = CreditLimit::try_from(Decimal::new(cents, 2)).unwrap();
            Policy::default().growth_for(limit).to_string()
        };

        assert_eq!(growth(0), "0.50");
        assert_eq!(growth(499_999), "0.50");
        assert_eq!(growth(500_000), "0.25");
        assert_eq!(growth(9_999_999_999), "0.25");
    }

    /// Runs that are open keep this digest in the ledger, so the order of the fields is fixed.
    #[test]
    fn the_digest_is_of_the_json_in_the_order_of_the_fields() {
        let json = concat!(
            r#"{"eligibility":{"minimum_current_score":600,"current_limit_below":"10000.00"},"#,
            r#""minimum_score":650,"tiers":[{"limit_below":"5000.00","growth":"0.50"},"#,
            r#"{"growth":"0.25"}],"maximum_limit":"20000.00","round_down_to":"1.00","#,
            r#""affordability":null}"#,
        );

        assert_eq!(Policy::default().sha256(), sha256_hex(json.as_bytes()));
        let stricter = Policy { minimum_score: CreditScore::new(651), ..Policy::default() };
        assert_ne!(stricter.sha256(), Policy::default().sha256());
    }

    #[test]
    fn unknown_fields_and_nan_are_refused() {
        assert!(
            serde_json::from_str::<Policy>(r#"{"minimum_scor":1}"#)
                .unwrap_err()
                .to_string()
                .contains("minimum_scor")
        );

        assert!(serde_json::from_str::<Policy>(r#"{"maximum_limit":"NaN"}"#).is_err());
    }
}
