//! Keys that a program changed on their way into the file.
//!
//! A spreadsheet that takes keys for numbers loses their last digits, and pandas writes `.0` behind
//! them when one is missing. Loaded as they are, they would be new customers beside the real ones.

/// How many lines an error names.
const SHOWN_LINES: usize = 5;

/// What was done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// `4.11E+15`: digits are lost.
    Shortened,
    /// `1001.0`.
    Decimal,
    /// A blank at the start or the end, which nobody sees.
    Blanks,
    /// `="1001"`, as spreadsheets write a text that looks like a number.
    Formula,
}

impl Changed {
    /// Completes a sentence about the key.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Shortened => {
                "is a number that a spreadsheet shortened: the digits of the key are lost"
            }
            Self::Decimal => "ends in zeros after a point, as programs write numbers",
            Self::Blanks => "has blanks at its start or its end",
            Self::Formula => "is a formula of a spreadsheet",
        }
    }

    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Shortened => {
                "export the table again from its source, with the column of the key as text"
            }
            Self::Decimal => {
                "write the key as it is in the source, with pandas: read_csv(.., dtype=str)"
            }
            Self::Blanks => "write the key without them, as your other tables have it",
            Self::Formula => "write the key itself, without = and quotes",
        }
    }
}

/// What was done to this key, if something was.
pub(super) fn changed(key: &str) -> Option<Changed> {
    if key.trim() != key {
        // A key of blanks alone is a missing one, which is told elsewhere.
        return (!key.trim().is_empty()).then_some(Changed::Blanks);
    }

    if key.starts_with("=\"") {
        return Some(Changed::Formula);
    }

    let (number, exponent) = match key.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (key, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }

    match (exponent, fraction) {
        // Without the plus, 1E5 may be a code.
        (Some(exponent), _) => {
            exponent.strip_prefix('+').is_some_and(all_digits).then_some(Changed::Shortened)
        }
        (None, Some(zeros)) => zeros.bytes().all(|byte| byte == b'0').then_some(Changed::Decimal),
        (None, None) => None,
    }
}

/// The first lines, and how many more there are. The unit is what they count, as in "line".
pub(super) fn shown_lines(unit: &str, lines: &[u64]) -> String {
    let shown: Vec<String> = lines.iter().take(SHOWN_LINES).map(u64::to_string).collect();
    match (shown.as_slice(), lines.len().saturating_sub(SHOWN_LINES)) {
        ([line], 0) => format!("{unit} {line}"),
        ([others @ .., last], 0) => format!("{unit}s {} and {last}", others.join(", ")),
        (_, more) => format!("{unit}s {} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_changed_or_a_key() {
        for (key, expected) in [
            ("4.11E+15", Some(Changed::Shortened)),
            ("1e+06", Some(Changed::Shortened)),
            ("1001.0", Some(Changed::Decimal)),
            ("1001.00", Some(Changed::Decimal)),
            (" 1001", Some(Changed::Blanks)),
            ("1001\t", Some(Changed::Blanks)),
            ("=\"1001\"", Some(Changed::Formula)),
            ("1001", None),
            ("007", None),
            ("1E5", None),
            ("10.5", None),
            ("1.0.0", None),
            ("A-7.0", None),
            ("a b", None),
            ("", None),
            ("  ", None),
        ] {
            assert_eq!(changed(key), expected, "{key:?}");
        }
    }

    #[test]
    fn many_lines_are_counted() {
        assert_eq!(shown_lines("line", &[2]), "line 2");
        assert_eq!(shown_lines("line", &[2, 3, 9]), "lines 2, 3 and 9");
        assert_eq!(shown_lines("line", &[2, 3, 4, 5, 6, 7, 8]), "lines 2, 3, 4, 5, 6 and 2 more");
    }
}
