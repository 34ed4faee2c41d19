//! Which spellings of a category mean the same.
//!
//! PostgreSQL writes `true` where pandas writes `True`, `1` where pandas writes `1.0`, and fills
//! `CHAR(n)` with blanks. The manifest has a list of steps for each column of categories. A value
//! that is no category as it is written is put into its normal form by these steps, and is the
//! category with the same normal form. The meaning of a step never changes: another rule gets
//! another name.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What is written instead of a yes, in lower case: what PostgreSQL reads as `true`.
const YES: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
/// What is written instead of a no.
const NO: [&str; 6] = ["false", "f", "no", "n", "off", "0"];
/// The blank, tab, line feed, carriage return and no-break space.
const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{a0}'];

/// A step on the way to a normal form. The steps of a column are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpellingStep {
    /// Blanks, tabs, line ends and no-break spaces at the end are removed. A text of nothing else
    /// is a missing value.
    TrailingBlanks,
    /// A whole number loses its fraction of zeros: `1.0` and `1.00` become `1`. A number with a
    /// leading zero is a code, and so is one with a plus or an exponent: they stay as they are.
    WholeNumbers,
    /// `true`, `t`, `yes`, `y`, `on` and `1` become `true`, and `false`, `f`, `no`, `n`, `off` and
    /// `0` become `false`, whatever their case.
    Booleans,
    /// Each character becomes its lower case, if that is one character.
    Case,
}

impl SpellingStep {
    /// All steps, in their order.
    pub const ALL: [Self; 4] =
        [Self::TrailingBlanks, Self::WholeNumbers, Self::Booleans, Self::Case];

    fn apply(self, text: Cow<'_, str>) -> Cow<'_, str> {
        match (self, text) {
            (Self::Case, text) => lower_case(text),
            (step, Cow::Borrowed(text)) => Cow::Borrowed(step.shorten(text)),
            (step, Cow::Owned(text)) => Cow::Owned(step.shorten(&text).to_owned()),
        }
    }

    /// A step that takes a part of the text, or one of two words.
    fn shorten(self, text: &str) -> &str {
        match self {
            Self::TrailingBlanks => without_trailing_blanks(text),
            Self::WholeNumbers => whole_number(text),
            Self::Booleans => boolean(text),
            Self::Case => text,
        }
    }
}

/// The normal form of a text. Nothing is allocated unless a letter changes its case.
///
/// ```
/// use limit_increase_artifact::{SpellingStep, normal_form};
///
/// assert_eq!(normal_form(&SpellingStep::ALL, "TRUE  "), "true");
/// assert_eq!(normal_form(&SpellingStep::ALL, "7.00"), "7");
/// assert_eq!(normal_form(&[SpellingStep::TrailingBlanks], "Rent "), "Rent");
/// assert_eq!(normal_form(&SpellingStep::ALL, "07"), "07");
/// ```
#[must_use]
pub fn normal_form<'t>(steps: &[SpellingStep], text: &'t str) -> Cow<'t, str> {
    steps.iter().fold(Cow::Borrowed(text), |form, step| step.apply(form))
}

/// The text without the blanks at its end, as [`SpellingStep::TrailingBlanks`] takes them away.
#[must_use]
pub fn without_trailing_blanks(text: &str) -> &str {
    text.trim_end_matches(BLANKS)
}

fn whole_number(text: &str) -> &str {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if !is_number || fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') {
        return text;
    }

    // Minus zero is zero.
    if digits == "0" { digits } else { whole }
}

fn boolean(text: &str) -> &str {
    let is_one_of = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_one_of(YES) {
        "true"
    } else if is_one_of(NO) {
        "false"
    } else {
        text
    }
}

fn lower_case(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().all(|one| lower(one) == one) {
        return text;
    }

    Cow::Owned(text.chars().map(lower).collect())
}

/// The lower case of a character that has one of a single character. Longer ones depend on the
/// language.
fn lower(one: char) -> char {
    let mut lower = one.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => lower,
        _ => one,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        steps: Vec<SpellingStep>,
        text: String,
        form: String,
    }

    /// The trainer is held to the same file.
    #[test]
    fn a_text_has_the_normal_form_that_the_trainer_gives_it() {
        let cases: Cases =
            serde_json::from_str(include_str!("../../../tests/category_spelling.json")).unwrap();
        for Case { steps, text, form } in cases.cases {
            assert_eq!(normal_form(&steps, &text), form, "{text:?} by {steps:?}");
        }
    }

    #[test]
    fn a_text_in_its_normal_form_is_not_copied() {
        for text in ["rent", "Rent ", "7.00", "TRUE", "true", "łódź", "-0.0"] {
            let steps = &SpellingStep::ALL[..3];
            assert!(matches!(normal_form(steps, text), Cow::Borrowed(_)), "{text}");
        }
        assert!(matches!(normal_form(&SpellingStep::ALL, "łódź "), Cow::Borrowed(_)));
    }

    #[test]
    fn every_character_has_a_lower_case_that_is_its_own() {
        for one in '\0'..=char::MAX {
            assert_eq!(lower(lower(one)), lower(one), "{one:?}");
        }
    }

    fn some_steps() -> impl Strategy<Value = Vec<SpellingStep>> {
        proptest::sample::subsequence(SpellingStep::ALL.to_vec(), 0..=SpellingStep::ALL.len())
    }

    /// Texts on which the steps have something to do.
    fn some_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[TtFfYyNnOo10][RrUuEeAaLlSsOoFfNn.0]{0,5}[ \t\u{a0}]{0,2}",
            "-?[0-9]{0,3}\\.?0{0,3} {0,2}",
            "\\PC{0,8}",
        ]
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(steps in some_steps(), text in some_text()) {
            let form = normal_form(&steps, &text);
            prop_assert_eq!(normal_form(&steps, &form), form.as_ref());
        }
    }
}
