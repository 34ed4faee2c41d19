//! Numbers as people write them: with percent and currency signs, separators and decimal commas.
//!
//! The database and the model read plain numbers. What such a text would be as one is advice for the
//! person, never a value that is loaded: 1,234 is another number in another country. The trainer has
//! the same words, and tests/written_numbers.json holds both to them.

/// A number as a person wrote it, as the database reads it, and what sets the two apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    plain: String,
    signs: Vec<&'static str>,
    /// Whether a comma in it may be a decimal comma or a separator of thousands.
    is_ambiguous: bool,
}

const CURRENCIES: [&str; 50] = [
    "R$", "A$", "C$", "US$", "Rs.", "Rs", "kr.", "kr", "zł", "Kč", "Ft", "lei", "USD", "EUR",
    "GBP", "CHF", "JPY", "CNY", "RMB", "INR", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN",
    "CZK", "HUF", "ZAR", "BRL", "MXN", "NTD", "NT$", "TWD", "SGD", "HKD", "KRW", "TRY", "RUB", "$",
    "€", "£", "¥", "₹", "₽", "₺", "₩", "₫", "¢",
];
const MORE_CURRENCIES: [char; 4] = ['₦', '₱', '฿', '₪'];
/// The zeros of other scripts; each has its ten digits in a row.
const ZEROS: [char; 6] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}'];
const THOUSANDS: &str = "thousands separators";

impl Written {
    /// What the text has besides a plain number.
    pub(super) fn what(&self) -> String {
        format!("has {}", self.signs.join(" and "))
    }

    /// What to write instead.
    pub(super) fn advice(&self, text: &str) -> String {
        let plain = &self.plain;
        let mut advice =
            format!("write plain numbers, with a point before the fraction: {plain} for '{text}'");
        if self.is_ambiguous {
            let (whole, fraction) = plain.split_at(plain.len().saturating_sub(3));
            advice += &format!(" (or {whole}.{fraction}, if the comma is a decimal comma)");
        }

        advice
    }
}

/// The number that a text is with signs and separators; `None` for a plain number or no number.
pub(super) fn written(text: &str) -> Option<Written> {
    let original = text.trim();
    let text: String = original
        .chars()
        .map(|letter| match letter {
            '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' => ' ',
            '\u{2212}' | '\u{2013}' => '-',
            other => other,
        })
        .collect();
    let mut signs = Vec::new();
    let mut core = text.trim();
    let in_brackets = core.strip_prefix('(').and_then(|core| core.strip_suffix(')'));
    if let Some(inner) = in_brackets {
        core = inner.trim();
        signs.push("brackets");
    }

    if let Some(number) = core.strip_suffix(['%', '‰']) {
        core = number.trim_end();
        signs.push("a percent sign");
    }

    let (mut sign, mut core) = split_sign(core);
    if let Some(number) = without_currency(core.trim()) {
        let (inner_sign, number) = split_sign(number);
        core = number;
        sign = if sign.is_empty() { inner_sign } else { sign };
        signs.push("a currency sign");
    }

    if let Some(number) = core.strip_suffix('-').map(str::trim_end).filter(|core| !core.is_empty())
    {
        core = number;
        sign = "-";
        signs.push("a minus sign at its end");
    }

    let (number, separator) = without_separators(core)?;
    signs.extend(separator);
    let plain = format!("{}{number}", if in_brackets.is_some() { "-" } else { sign });
    if signs.is_empty() {
        if plain == original {
            return None;
        }
        signs.push("a typographic minus sign");
    }

    let is_ambiguous = has_groups(core, ',', 3..=3) && core.matches(',').count() == 1;
    Some(Written { plain, signs, is_ambiguous })
}

fn split_sign(text: &str) -> (&str, &str) {
    text.split_at(usize::from(text.starts_with(['+', '-'])))
}

/// The text without a currency sign before or after it; `None` if it has none.
fn without_currency(core: &str) -> Option<&str> {
    if let Some(number) = core.strip_prefix(MORE_CURRENCIES) {
        return Some(number.trim());
    }

    if let Some(number) = core.strip_suffix(MORE_CURRENCIES) {
        return Some(number.trim());
    }

    CURRENCIES.iter().find_map(|sign| {
        let is_sign = |part: Option<&str>| part.is_some_and(|part| part.eq_ignore_ascii_case(sign));
        let end = core.len().checked_sub(sign.len())?;
        if is_sign(core.get(..sign.len())) {
            return Some(core[sign.len()..].trim());
        }
        is_sign(core.get(end..)).then(|| core[..end].trim())
    })
}

/// A number without a sign, as a plain one, and what it had.
fn without_separators(core: &str) -> Option<(String, Option<&'static str>)> {
    if is_plain(core) {
        return Some((core.to_owned(), None));
    }

    let (before_point, after_point) = core.split_once('.').unwrap_or((core, ""));
    if all_digits(after_point) && has_groups(before_point, ',', 2..=3) {
        return Some((core.replace(',', ""), Some(THOUSANDS)));
    }

    let (before_comma, after_comma) = core.split_once(',').unwrap_or((core, ""));
    let has_fraction = before_comma.len() < core.len() && !after_comma.is_empty();
    let points = before_comma.matches('.').count();
    if all_digits(after_comma)
        && has_groups(before_comma, '.', 3..=3)
        && (has_fraction || points > 1)
    {
        return Some((core.replace('.', "").replace(',', "."), Some(THOUSANDS)));
    }

    for gap in [' ', '\'', '’', '_'] {
        let (whole, fraction) = core.split_once(['.', ',']).unwrap_or((core, "0"));
        if !fraction.is_empty() && all_digits(fraction) && has_groups(whole, gap, 3..=3) {
            return Some((core.replace(gap, "").replace(',', "."), Some(THOUSANDS)));
        }
    }

    if has_fraction && all_digits(before_comma) && all_digits(after_comma) {
        return Some((core.replace(',', "."), Some("a decimal comma")));
    }

    let other: String = core.chars().map(ascii_digit).collect();
    (other != core && is_plain(&other)).then_some((other, Some("digits of another script")))
}

fn ascii_digit(letter: char) -> char {
    ZEROS
        .iter()
        .filter_map(|zero| u32::from(letter).checked_sub(u32::from(*zero)))
        .find_map(|digit| char::from_digit(digit, 10))
        .unwrap_or(letter)
}

/// Digits, perhaps a point and more digits, perhaps an exponent.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && text.parse::<f64>().is_ok()
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether there are one to three digits, and then groups of so many with a separator before each;
/// the last of them has three.
fn has_groups(text: &str, separator: char, size: std::ops::RangeInclusive<usize>) -> bool {
    let parts: Vec<&str> = text.split(separator).collect();
    let [first, middle @ .., last] = parts.as_slice() else { return false };
    all_digits(&parts.concat())
        && (1..=3).contains(&first.len())
        && middle.iter().all(|part| size.contains(&part.len()))
        && last.len() == 3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_written_number_gets_the_advice_that_the_trainer_gives() {
        let cases: Value =
            serde_json::from_str(include_str!("../../../tests/written_numbers.json")).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let found = written(text);
            assert_eq!(found.as_ref().map(|found| found.what()).as_deref(), case["what"].as_str());
            assert_eq!(
                found.map(|found| found.advice(text)).as_deref(),
                case["advice"].as_str(),
                "{text}"
            );
        }
    }
}
