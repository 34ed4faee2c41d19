//! Ceilings above every policy: the deployment sets them, and no document and no request raises
//! them.

use rust_decimal::Decimal;

use crate::customer::CreditLimit;
use crate::policy::{Policy, PolicyError};

/// What no policy of a deployment may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// The highest limit that a policy may give.
    pub maximum_limit: Decimal,
    /// The largest growth that a tier may have, as a fraction: 0.50 makes 1,000 into 1,500.
    pub maximum_growth: Decimal,
}

impl Default for Ceilings {
    /// The bounds of every policy, which exclude nothing.
    fn default() -> Self {
        Self { maximum_limit: CreditLimit::MAX, maximum_growth: Policy::MAX_GROWTH }
    }
}

impl Ceilings {
    /// The ceilings as texts: decimal numbers, or the default where there is no text.
    ///
    /// # Errors
    /// The text that is no number, or is negative.
    pub fn parse(limit: Option<&str>, growth: Option<&str>) -> Result<Self, String> {
        let number = |text: Option<&str>, default: Decimal| match text {
            None => Ok(default),
            Some(text) => text
                .parse::<Decimal>()
                .ok()
                .filter(|number| !number.is_sign_negative())
                .ok_or_else(|| format!("{text:?} is no number of at least 0")),
        };

        let default = Self::default();
        Ok(Self {
            maximum_limit: number(limit, default.maximum_limit)?,
            maximum_growth: number(growth, default.maximum_growth)?,
        })
    }

    /// Checks that a policy stays below the ceilings. So does every limit that it gives.
    ///
    /// # Errors
    /// The field that exceeds its ceiling.
    pub fn check(&self, policy: &Policy) -> Result<(), PolicyError> {
        let exceeds = |field: String, value: Decimal, ceiling: Decimal| PolicyError {
            field,
            problem: format!("is {value}, above the deployment's ceiling of {ceiling}"),
        };

        if policy.maximum_limit > self.maximum_limit {
            let field = "maximum_limit".to_owned();
            return Err(exceeds(field, policy.maximum_limit, self.maximum_limit));
        }

        for (position, tier) in policy.tiers.iter().enumerate() {
            if tier.growth > self.maximum_growth {
                let field = format!("tiers[{position}].growth");
                return Err(exceeds(field, tier.growth, self.maximum_growth));
            }
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checked(limit: &str, growth: &str) -> Result<(), String> {
        let ceilings = Ceilings::parse(Some(limit), Some(growth))?;
        ceilings.check(&Policy::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_at_its_ceilings_is_accepted_and_one_above_is_named() {
        assert_eq!(checked("20000", "0.50"), Ok(()));
        assert_eq!(
            checked("19999.99", "0.50").unwrap_err(),
            "policy.maximum_limit: is 20000.00, above the deployment's ceiling of 19999.99"
        );
        assert_eq!(
            checked("20000", "0.49").unwrap_err(),
            "policy.tiers[0].growth: is 0.50, above the deployment's ceiling of 0.49"
        );
        assert_eq!(
            Ceilings { maximum_growth: Decimal::ZERO, ..Ceilings::default() }
                .check(&Policy::default())
                .unwrap_err()
                .field,
            "tiers[0].growth"
        );
    }

    #[test]
    fn without_a_text_every_policy_is_below() {
        assert_eq!(Ceilings::parse(None, None), Ok(Ceilings::default()));
        let highest = Policy { maximum_limit: CreditLimit::MAX, ..Policy::default() };
        assert_eq!(Ceilings::default().check(&highest), Ok(()));
    }

    #[test]
    fn a_text_that_is_no_ceiling_is_named() {
        for (limit, growth) in [("many", "1"), ("1", "-1"), ("", "1")] {
            assert!(
                checked(limit, growth).unwrap_err().contains("is no number"),
                "{limit}, {growth}"
            );
        }
    }
}
