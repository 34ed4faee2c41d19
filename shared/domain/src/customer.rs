//! The customer: identity, current score, current limit.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Why a value was refused: what it must be, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Empty, or longer than the 50 characters of `batch_scores.customer_id`.
    #[error("customer id must have 1 to {max} characters, found {found}", max = CustomerId::MAX_CHARS)]
    CustomerId {
        /// Characters found.
        found: usize,
    },
    /// Money that `DECIMAL(10, 2)` cannot hold, or that is negative.
    #[error(
        "credit limit must be from 0.00 to 99999999.99 with at most two decimals, found {found}"
    )]
    CreditLimit {
        /// The value found.
        found: Decimal,
    },
}

/// A customer's key: 1 to 50 characters, any characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CustomerId(String);

impl CustomerId {
    /// Width of `batch_scores.customer_id`, in characters as PostgreSQL counts them.
    pub const MAX_CHARS: usize = 50;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CustomerId {
    type Error = InvalidValue;

    fn try_from(id: String) -> Result<Self, InvalidValue> {
        let found = id.chars().count();
        if found == 0 || found > Self::MAX_CHARS {
            Err(InvalidValue::CustomerId { found })
        } else {
            Ok(Self(id))
        }
    }
}

impl From<CustomerId> for String {
    fn from(id: CustomerId) -> Self {
        id.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A credit score in points; higher is safer.
///
/// The score is an integer on purpose. It is rounded once, where it is computed. The decision and
/// its reason use that same integer, so no customer is told "650" and declined for 649.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CreditScore(i32);

impl CreditScore {
    /// A score of `points`.
    #[must_use]
    pub const fn new(points: i32) -> Self {
        Self(points)
    }

    /// The points.
    #[must_use]
    pub const fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for CreditScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A credit limit: an exact amount in the account's currency, zero to 99,999,999.99, to the cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct CreditLimit(Decimal);

impl CreditLimit {
    /// The largest amount of `DECIMAL(10, 2)`: 99,999,999.99.
    pub const MAX: Decimal = Decimal::from_parts(1_410_065_407, 2, 0, false, 2);

    /// The amount, with exactly two decimals.
    #[must_use]
    pub const fn amount(self) -> Decimal {
        self.0
    }
}

impl TryFrom<Decimal> for CreditLimit {
    type Error = InvalidValue;

    fn try_from(found: Decimal) -> Result<Self, InvalidValue> {
        let mut amount = found;
        amount.rescale(2);
        let fits = !found.is_sign_negative() || found.is_zero();
        if fits && amount == found && amount <= Self::MAX {
            // `-0.00` is zero, and prints as zero.
            amount.set_sign_positive(true);
            Ok(Self(amount))
        } else {
            Err(InvalidValue::CreditLimit { found })
        }
    }
}

impl From<CreditLimit> for Decimal {
    fn from(limit: CreditLimit) -> Self {
        limit.0
    }
}

impl fmt::Display for CreditLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn limit(text: &str) -> Result<CreditLimit, InvalidValue> {
        CreditLimit::try_from(text.parse::<Decimal>().unwrap())
    }

    #[test]
    fn the_largest_limit_is_what_the_column_holds() {
        assert_eq!(CreditLimit::MAX.to_string(), "99999999.99");
        assert!(limit("99999999.99").is_ok());
        assert!(limit("100000000.00").is_err());
    }

    #[test]
    fn limits_are_exact_cents_and_never_negative() {
        assert_eq!(limit("5000").unwrap().to_string(), "5000.00");
        assert_eq!(limit("5000.100").unwrap().to_string(), "5000.10");
        assert_eq!(limit("-0.00").unwrap().to_string(), "0.00");
        assert!(limit("0.001").is_err());
        assert!(limit("-0.01").is_err());
    }

    #[test]
    fn a_refused_value_is_named_with_what_was_found() {
        assert_eq!(
            limit("-0.01").unwrap_err().to_string(),
            "credit limit must be from 0.00 to 99999999.99 with at most two decimals, found -0.01"
        );
        assert_eq!(
            CustomerId::try_from("x".repeat(51)).unwrap_err().to_string(),
            "customer id must have 1 to 50 characters, found 51"
        );
    }

    #[test]
    fn an_id_keeps_its_text_in_every_form() {
        let id = CustomerId::try_from("CUST-1".to_owned()).unwrap();
        assert_eq!(id.as_str(), "CUST-1");
        assert_eq!(id.to_string(), "CUST-1");
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""CUST-1""#);
        assert_eq!(String::from(id), "CUST-1");
    }

    #[test]
    fn a_score_keeps_its_points_in_every_form() {
        for points in [i32::MIN, -7, 0, 1, 650, i32::MAX] {
            let score = CreditScore::new(points);
            assert_eq!(score.value(), points);
            assert_eq!(score.to_string(), points.to_string());
        }
    }

    #[test]
    fn ids_are_measured_in_characters_not_bytes() {
        assert!(CustomerId::try_from("ü".repeat(50)).is_ok());
        assert!(CustomerId::try_from("ü".repeat(51)).is_err());
        assert!(CustomerId::try_from(String::new()).is_err());
        assert!(CustomerId::try_from("O'Brien\n\"x\"".to_owned()).is_ok());
    }

    proptest! {
        #[test]
        fn decimals_never_drift_through_json(cents in 0_i64..=9_999_999_999) {
            let limit = CreditLimit::try_from(Decimal::new(cents, 2)).unwrap();
            let json = serde_json::to_string(&limit).unwrap();
            prop_assert_eq!(serde_json::from_str::<CreditLimit>(&json).unwrap(), limit);
            prop_assert_eq!(limit.amount().mantissa(), i128::from(cents));
        }
    }
}
