//! Reads one field of a CSV file as a value of the table. The error completes a sentence about the
//! field: "is not a number".

use limit_increase_domain::customer::{CreditLimit, CustomerId};
use rust_decimal::Decimal;

/// What programs write for a missing number: R, pandas, SQL, SAS, Weka, spreadsheets. The trainer has
/// the same list, and tests/csv_values.json holds both to it.
const MISSING: [&str; 33] = [
    "", "-", "--", "---", ".", "..", "...", "?", "??", "#n/a", "#n/a n/a", "#na", "#null!", "n/a",
    "n.a.", "n.a", "na", "n/d", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "<na>", "<nan>", "nat",
    "none", "<none>", "null", "<null>", "(null)", "[null]", "nil", "\\n",
];

/// Reads a finite number; an empty field, NaN or one of the texts for missing is a missing value. It
/// takes the same forms as the trainer, so that one file can be used to train and to load.
pub(super) fn number(text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) if number.is_nan() => Ok(None),
        Ok(number) if number.is_finite() => Ok(Some(number)),
        Ok(_) => Err("is infinite or too large for a number".to_owned()),
        Err(_) if MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) => Ok(None),
        Err(_) => Err("is not a number".to_owned()),
    }
}

/// Reads a category exactly as it is written; an empty field is a missing value.
pub(super) fn category(text: &str) -> Result<Option<String>, String> {
    if text.contains('\0') {
        return Err("holds a NUL character, which PostgreSQL does not store".to_owned());
    }

    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Reads a customer's key of 1 to 50 characters.
pub(super) fn customer_id(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("holds a NUL character, which PostgreSQL does not store".to_owned());
    }

    CustomerId::try_from(text.to_owned()).map(Into::into).map_err(|error| error.to_string())
}

/// Reads a score, a whole number of points. Files often write it with zeros, as in 965.0, or as
/// 9.65E+2.
pub(super) fn score(text: &str) -> Result<i32, String> {
    let text = text.trim();
    if let Ok(score) = text.parse() {
        return Ok(score);
    }

    amount(text)
        .filter(|score| score.fract().is_zero())
        .and_then(|score| score.trunc().normalize().to_string().parse().ok())
        .ok_or_else(|| "is not a whole number of points".to_owned())
}

/// Reads a limit, an amount with at most two decimals.
pub(super) fn limit(text: &str) -> Result<Decimal, String> {
    let amount = amount(text.trim())
        .ok_or_else(|| "is not an amount (digits, and a point before the cents)".to_owned())?;
    CreditLimit::try_from(amount).map(CreditLimit::amount).map_err(|error| error.to_string())
}

/// Reads a number exactly, as 1500 or as 1.5E+3.
pub(super) fn amount(text: &str) -> Option<Decimal> {
    let is_plain = |text: &str| !text.contains('_');
    let amount = text.parse().or_else(|_| Decimal::from_scientific(text)).ok();
    amount.filter(|_| is_plain(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    #[test]
    fn one_field_is_read_here_and_by_the_trainer_alike() {
        let cases: Value =
            serde_json::from_str(include_str!("../../../tests/csv_values.json")).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let expected = case.get("number").map(Value::as_f64);
            assert_eq!(number(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_finite_or_missing() {
        for (text, expected) in [
            ("12", Ok(Some(12.0))),
            (" -9999998 ", Ok(Some(-9_999_998.0))),
            ("", Ok(None)),
            ("NaN", Ok(None)),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }

        for text in ["abc", "1,5", "1_000", "inf", "1e999"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn scores_are_whole() {
        assert_eq!([score("965"), score("965.0"), score("-5")], [Ok(965), Ok(965), Ok(-5)]);
        assert_eq!([score("9.65E+2"), score("9e2"), score("965.")], [Ok(965), Ok(900), Ok(965)]);
        for text in ["", "965.5", "9.655E+2", "9E+99", "99999999999", "1_000", "E+2"] {
            assert!(score(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_exact_cents() {
        assert_eq!(limit("1860").map(|amount| amount.to_string()), Ok("1860.00".to_owned()));
        assert_eq!(limit("0").map(|amount| amount.to_string()), Ok("0.00".to_owned()));
        assert_eq!(limit("1.5E+3").map(|amount| amount.to_string()), Ok("1500.00".to_owned()));
        assert_eq!(limit("12E-2").map(|amount| amount.to_string()), Ok("0.12".to_owned()));
        for text in
            ["", "-1", "1_000", "1.2345E+1", "1E+99", "1E", "1.005", "1,860", "100000000", "abc"]
        {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
