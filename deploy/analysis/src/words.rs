//! Figures as people read them, in the terminal and on a page.

pub use limit_increase_domain::figures::{money, thousands};
use rust_decimal::Decimal;

use crate::comparison::bands::Band;
use crate::interval::Interval;

/// What stands for a figure that is not known.
pub(crate) const UNKNOWN: &str = "-";

/// An amount, if there is one.
#[must_use]
pub fn known_money(amount: Option<Decimal>) -> String {
    amount.map_or_else(|| UNKNOWN.to_owned(), money)
}

/// An amount with its sign.
#[must_use]
pub fn signed(amount: Decimal) -> String {
    if amount > Decimal::ZERO { format!("+{}", money(amount)) } else { money(amount) }
}

/// A share in per cent with its interval.
#[must_use]
pub fn per_cent(share: Option<Interval>) -> String {
    let text = |of: Interval| {
        format!("{:.2} % ({:.2} to {:.2})", 100.0 * of.value, 100.0 * of.low, 100.0 * of.high)
    };
    share.map_or_else(|| UNKNOWN.to_owned(), text)
}

/// A coefficient, with its interval if there is one.
#[must_use]
pub fn coefficient(value: Option<f64>, interval: Option<Interval>) -> String {
    match (value, interval) {
        (Some(value), Some(of)) => format!("{value:.3} ({:.3} to {:.3})", of.low, of.high),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// A band of scores: `640 to 659`.
#[must_use]
pub fn score_band(band: Option<Band>) -> String {
    band_text(band, |from, to| format!("{} to {}", number(from), number(to - 1)))
}

/// A band of limits: `1,000 to below 2,000`.
#[must_use]
pub fn limit_band(band: Option<Band>) -> String {
    band_text(band, |from, to| format!("{} to below {}", number(from), number(to)))
}

fn band_text(band: Option<Band>, closed: impl Fn(i64, i64) -> String) -> String {
    match band {
        None => "not known".to_owned(),
        Some(Band { from: Some(from), to: Some(to) }) => closed(from, to),
        Some(Band { from: None, to: Some(to) }) => format!("below {}", number(to)),
        Some(Band { from: Some(from), to: None }) => format!("{} or more", number(from)),
        Some(Band { from: None, to: None }) => "all".to_owned(),
    }
}

fn number(number: i64) -> String {
    money(Decimal::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let share = Interval { value: 0.05, low: 0.021_54, high: 0.111_75 };
        assert_eq!(per_cent(Some(share)), "5.00 % (2.15 to 11.18)");
        assert_eq!(coefficient(Some(0.672_4), None), "0.672");
        assert_eq!(score_band(Some(Band::of_score(645))), "640 to 659");
        assert_eq!(score_band(Some(Band::of_score(-7))), "below 0");
        assert_eq!(limit_band(Some(Band::of_limit(Decimal::from(1_500)))), "1,000 to below 2,000");
        assert_eq!(limit_band(None), "not known");
        assert_eq!(signed(Decimal::new(123_456_789, 2)), "+1,234,567.89");
        assert_eq!(signed(Decimal::new(-50, 2)), "-0.50");
    }
}
