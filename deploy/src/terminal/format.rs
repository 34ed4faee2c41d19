//! Formats numbers, durations and tables for people.

use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

/// An empty table with this header, as wide as the terminal, or 120 columns in a file.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    if !std::io::stdout().is_terminal() {
        table.set_width(120);
    }

    table
}

/// A duration as text: `0.8 s`, `12 s` or `3 min 05 s`.
#[must_use]
pub fn duration(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// A whole number with thousands separators.
#[must_use]
pub fn thousands(number: u64) -> String {
    group(&number.to_string())
}

/// An amount of money with thousands separators, and with the decimals that it has.
#[must_use]
pub fn money(amount: rust_decimal::Decimal) -> String {
    let text = amount.to_string();
    let (whole, cents) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, cents)| (whole, Some(cents)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    match cents {
        Some(cents) => format!("{sign}{}.{cents}", group(digits)),
        None => format!("{sign}{}", group(digits)),
    }
}

fn group(digits: &str) -> String {
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
        let amounts = ["0.00", "999.99", "20000.00", "-1234567.50"];
        let shown = amounts.map(|text| money(text.parse().unwrap_or_default()));
        assert_eq!(shown, ["0.00", "999.99", "20,000.00", "-1,234,567.50"]);
    }

    #[test]
    fn durations_read_like_speech() {
        let shown =
            [0.04, 9.96, 61.0, 185.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(shown, ["0.0 s", "10.0 s", "61 s", "3 min 05 s"]);
    }
}
