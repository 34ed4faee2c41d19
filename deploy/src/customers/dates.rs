//! Reads dates in the forms that are common in CSV files.

use chrono::{NaiveDate, NaiveDateTime};

/// The forms that are recognised. No date fits two of them. 03/04/2026 is not recognised, because
/// it can mean two different days.
const KNOWN: [&str; 6] =
    ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];

/// The form of this date, if it is one of the recognised forms.
pub(super) fn detect(text: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|format| parse(text, format).is_some())
}

/// Reads a date in this form. A time of day in the form is dropped.
pub(super) fn parse(text: &str, format: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, format)
        .or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|moment| moment.date()))
        .ok()?;
    // A year outside this range is a typing error, or the text is in another form.
    (1900..=2199).contains(&chrono::Datelike::year(&date)).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_forms_are_recognised_and_ambiguous_ones_are_not() {
        let day = NaiveDate::from_ymd_opt(2006, 12, 6);
        let known = [
            "2006-12-06",
            "20061206",
            "2006/12/06",
            "06.12.2006",
            "2006-12-06 10:00:00",
            "2006-12-06T10:00:00",
        ];

        for text in known {
            assert_eq!(detect(text).and_then(|format| parse(text, format)), day, "{text}");
        }

        for text in ["06/12/2006", "6 Dec 2006", "2006", "", "20061306", "0006-12-06"] {
            assert_eq!(detect(text), None, "{text}");
        }
    }
}
