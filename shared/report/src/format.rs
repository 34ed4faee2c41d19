//! Numbers as people read them.

use std::fmt;

use rust_decimal::Decimal;

use crate::drift::Index;

/// A count with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// An amount with two decimals and a comma between thousands.
pub(crate) fn money(amount: Decimal) -> String {
    let text = format!("{amount:.2}");
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    format!("{}.{cents}", grouped(whole))
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

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = sign.to_owned();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }

        text.push(digit);
    }

    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(money(Decimal::new(-1_234_567, 2)), "-12,345.67");
        assert_eq!(money(Decimal::from(5)), "5.00");
        assert_eq!(per_cent(0.123_45), "12.3 %");
        assert_eq!((index(0.000_123), index(0.25)), ("0.00012".to_owned(), "0.250".to_owned()));
    }
}
