//! Numbers as people read them.

use std::fmt;

use limit_increase_domain::figures;
pub(crate) use limit_increase_domain::figures::thousands as count;
use rust_decimal::Decimal;

use crate::drift::Index;

/// An amount with two decimals, and a comma between thousands.
pub(crate) fn money(amount: Decimal) -> String {
    let mut amount = amount;
    amount.rescale(2);
    figures::money(amount)
}

/// A share from 0 to 1 as a percentage with one decimal.
pub(crate) fn per_cent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A stability index, with enough digits for small ones.
pub(crate) fn index(value: f64) -> String {
    if value < 0.01 { format!("{value:.5}") } else { format!("{value:.3}") }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "index {}, which without drift stays below {} on {:.2} % of nights",
            index(self.value),
            index(self.without_drift),
            self.confidence * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_decimals_that_they_need() {
        assert_eq!(money(Decimal::new(-1_234_567, 2)), "-12,345.67");
        assert_eq!(money(Decimal::from(5)), "5.00");
        assert_eq!(per_cent(0.123_45), "12.3 %");
        assert_eq!((index(0.000_123), index(0.25)), ("0.00012".to_owned(), "0.250".to_owned()));
    }
}
