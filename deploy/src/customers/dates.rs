//! Reads dates in the forms that are common in CSV files.

use chrono::{NaiveDate, NaiveDateTime};

/// The forms that are recognised. No date fits two of them. 03/04/2026 is not recognised, because
/// it can mean two different days. A time may have a fraction and a zone.
const KNOWN: [&str; 16] = [
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%d %B %Y",
    "%d-%B-%Y",
    "%d%B%Y",
    "%d. %B %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%Y-%B-%d",
    "%d-%B-%Y %H:%M:%S%.f",
];

/// The form of this date, if it is one of the recognised forms.
pub(super) fn detect(text: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|format| parse(text, format).is_some())
}

/// Reads a date in this form. A time of day and a zone are dropped: the day is the one that is
/// written. A form without a day means the first day of the month.
pub(super) fn parse(text: &str, format: &str) -> Option<NaiveDate> {
    let date = plain(text, format).or_else(|| {
        // `%H` is in every form with a time, and only a time has a zone.
        format.contains("%H").then(|| plain(without_zone(text)?, format)).flatten()
    });
    // A year outside this range is a typing error, or the text is in another form.
    date.filter(|date| (1900..=2199).contains(&chrono::Datelike::year(date)))
}

fn plain(text: &str, format: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, format)
        .or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|moment| moment.date()))
        .or_else(|error| {
            let has_day =
                ["%d", "%e", "%j", "%D", "%F", "%x", "%c"].map(|day| format.contains(day));
            match has_day.contains(&true) {
                true => Err(error),
                false => NaiveDate::parse_from_str(&format!("{text} 1"), &format!("{format} %d")),
            }
        })
        .ok()
}

/// The text before a zone: `Z`, `UTC`, `GMT`, `+01:00`, `-0500` or `+00`.
fn without_zone(text: &str) -> Option<&str> {
    for name in ["Z", "z", "UTC", "GMT"] {
        if let Some(moment) = text.strip_suffix(name) {
            return Some(moment.trim_end());
        }
    }

    let sign = text.rfind(['+', '-'])?;
    let (moment, zone) = text.split_at_checked(sign)?;
    let digits: String = zone.chars().skip(1).filter(|letter| *letter != ':').collect();
    let is_zone = matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    // The hyphen of a date is no sign.
    (is_zone && moment.contains(':')).then(|| moment.trim_end())
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
            "2006-12-06 10:00:00.123456",
            "2006-12-06T10:00:00.5Z",
            "2006-12-06T23:30:00-05:00",
            "2006-12-06 00:30:00+01",
            "2006-12-06 10:00:00 UTC",
            "2006-12-06 10:00",
            "6 Dec 2006",
            "06-DEC-2006",
            "06-Dec-2006 10:00:00",
            "06DEC2006",
            "December 6, 2006",
            "Dec 06 2006",
        ];

        for text in known {
            assert_eq!(detect(text).and_then(|format| parse(text, format)), day, "{text}");
        }

        for text in
            ["06/12/2006", "Dec-2006", "06-DEC-06", "2006", "2006-12", "", "20061306", "0006-12-06"]
        {
            assert_eq!(detect(text), None, "{text}");
        }
    }

    #[test]
    fn a_given_form_may_have_no_day_and_its_times_a_zone() {
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day);
        for (text, format, expected) in [
            ("Feb-2026", "%b-%Y", day(2, 1)),
            ("2026-02", "%Y-%m", day(2, 1)),
            ("03-FEB-26", "%d-%b-%y", day(2, 3)),
            ("03/02/2026 10:00 +01:00", "%d/%m/%Y %H:%M", day(2, 3)),
            ("2026-02-03T10:00:00", "%Y-%m-%dT%H:%M:%S%.f", day(2, 3)),
            ("13-2026", "%b-%Y", None),
            ("2026-02-03-05", "%Y-%m-%d", None),
        ] {
            assert_eq!(parse(text, format), expected, "{text}");
        }
    }
}
