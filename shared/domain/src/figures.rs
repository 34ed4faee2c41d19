//! Numbers as people read them, in the terminal and on a page.

use rust_decimal::Decimal;

/// A whole number with thousands separators.
#[must_use]
pub fn thousands(number: u64) -> String {
    grouped(&number.to_string())
}

/// An amount of money with thousands separators, and with the decimals that it has.
#[must_use]
pub fn money(amount: Decimal) -> String {
    let text = amount.to_string();
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |text| ("-", text));
    match text.split_once('.') {
        Some((whole, cents)) => format!("{sign}{}.{cents}", grouped(whole)),
        None => format!("{sign}{}", grouped(text)),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
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
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let amounts = ["0.00", "999.99", "20000.00", "-1234567.50", "-0.50", "5"];
        let shown = amounts.map(|text| money(text.parse().unwrap_or_default()));
        assert_eq!(shown, ["0.00", "999.99", "20,000.00", "-1,234,567.50", "-0.50", "5"]);
    }
}
