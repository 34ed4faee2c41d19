//! Adverse-action reasons: what took the most points from a customer, in words.

use std::cmp::Ordering;
use std::fmt::Write as _;

use limit_increase_artifact::{
    Manifest, ModelColumn, ModelInput, SpecialValue, without_trailing_blanks,
};
use limit_increase_domain::ColumnKind;
use limit_increase_domain::decision::MAX_REASONS;

use crate::encode::Column;

/// Bytes for the digits, sign and point of most numbers, and a bracket.
const ROOM_FOR_A_NUMBER: usize = 14;
/// Enough of a category to recognise it. A category that the model has learned is shown in full.
const MAX_CATEGORY_SHOWN: usize = 40;
/// Above this, a float64 does not hold every integer: 2^53.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The parts of the sentences about one source.
#[derive(Debug)]
pub(crate) struct Wording {
    description: String,
    /// The median of the training rows, in the float32 that the model reads.
    median: Option<f32>,
    /// The values that stand for a missing number, with their meanings.
    special: Vec<SpecialValue>,
    /// The characters of the longest category.
    longest: usize,
}

/// The wording of each source.
pub(crate) fn wordings(manifest: &Manifest, sources: &[ModelInput]) -> Vec<Wording> {
    let groups = manifest.columns.chunk_by(|left, right| left.source_column == right.source_column);
    let wording = |(source, columns): (&ModelInput, &[ModelColumn])| {
        let number = columns.first().filter(|_| source.column.kind == ColumnKind::Number);
        let categories = columns.iter().filter_map(|column| column.category.as_ref()?.as_deref());
        Wording {
            description: source.description.clone(),
            median: number.and_then(|column| column.median.flatten()).map(|median| median as f32),
            special: number.map(|column| column.special.clone()).unwrap_or_default(),
            longest: categories.map(|category| category.chars().count()).max().unwrap_or_default(),
        }
    };

    sources.iter().zip(groups).map(wording).collect()
}

/// The sources that took the most points and their SHAP values, worst first. Of two that took the
/// same, the earlier one comes first.
pub(crate) fn worst(shap_values: &[f64]) -> impl Iterator<Item = (usize, f64)> {
    let mut worst: [Option<(usize, f64)>; MAX_REASONS] = [None; MAX_REASONS];
    for (source, &value) in shap_values.iter().enumerate() {
        // A positive value raises the log-odds of bad, so it takes points.
        if value > 0.0 && worst[MAX_REASONS - 1].is_none_or(|(_, least)| value > least) {
            let at = worst
                .iter()
                .position(|kept| kept.is_none_or(|(_, kept)| value > kept))
                .unwrap_or(MAX_REASONS - 1);
            worst[at..].rotate_right(1);
            worst[at] = Some((source, value));
        }
    }

    worst.into_iter().flatten()
}

impl Wording {
    /// The sentence about the customer in this row of the column.
    pub(crate) fn text(&self, column: &Column<'_>, row: usize) -> String {
        match column {
            Column::Numbers(values) if values[row].is_nan() => self.sentence(&[" is missing"]),
            Column::Numbers(values) => match self.meaning(values[row]) {
                Some(meaning) => self.sentence(&[" is missing (", meaning, ")"]),
                None => self.number(values[row]),
            },
            Column::Texts(values) => {
                let (category, more) =
                    shown_category(values[row].unwrap_or_default(), self.longest);
                match category {
                    "" => self.sentence(&[" is missing"]),
                    category => self.sentence(&[" is '", category, more, "'"]),
                }
            }
        }
    }

    /// The meaning of a value that stands for a missing number.
    #[expect(clippy::float_cmp, reason = "the table has the very number of the manifest")]
    fn meaning(&self, value: f64) -> Option<&str> {
        let special = self.special.iter().find(|special| special.value == value);
        special.map(|special| special.meaning.as_str())
    }

    /// The sentence about a number: as it is stored, and beside the median as the model compares
    /// it, in float32.
    fn number(&self, value: f64) -> String {
        let compared = value as f32;
        let (before, after) = match self.median.and_then(|median| compared.partial_cmp(&median)) {
            Some(Ordering::Less) => (" is low (", ")"),
            Some(Ordering::Greater) => (" is high (", ")"),
            Some(Ordering::Equal) | None => (" is ", ""),
        };

        let mut text = self.sentence(&[before]);
        push_number(&mut text, value);
        text.push_str(after);
        text
    }

    /// The description and these parts in one text. Up to four are written for every customer, so
    /// each is allocated once, with room for a number.
    fn sentence(&self, parts: &[&str]) -> String {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut text = String::with_capacity(self.description.len() + length + ROOM_FOR_A_NUMBER);
        text.push_str(&self.description);
        for part in parts {
            text.push_str(part);
        }

        text
    }
}

/// A category as it is stored, without the blanks at its end. If it has more characters than any
/// category that the model knows, it ends in dots.
pub(crate) fn shown_category(category: &str, longest: usize) -> (&str, &'static str) {
    let category = without_trailing_blanks(category);
    let most = longest.max(MAX_CATEGORY_SHOWN);
    // No text has more characters than bytes.
    let cut = (category.len() > most).then(|| category.char_indices().nth(most)).flatten();
    match cut {
        Some((at, _)) => (&category[..at], "..."),
        None => (category, ""),
    }
}

/// Appends a number as it is stored.
///
/// A float64 holds every decimal of up to 15 digits. A fraction with more of them was computed, or
/// comes from a column of float32: 0.93 arrives as 0.9300000071525574. It is written with the digits
/// that a float32 has, and so is an integer that only a float32 rounds to.
fn push_number(text: &mut String, value: f64) {
    let single = value as f32;
    let start = text.len();
    // Adding zero makes zero of minus zero. Writing to a string can't fail.
    let _ = write!(text, "{}", value + 0.0);

    let widened = value.abs() > MAX_EXACT_INTEGER && f64::from(single).to_bits() == value.to_bits();
    let computed = value.fract() != 0.0 && significant_digits(&text[start..]) > 15;
    if widened || computed {
        text.truncate(start);
        let _ = write!(text, "{single}");
    }
}

fn significant_digits(number: &str) -> usize {
    let digits = number.bytes().filter(u8::is_ascii_digit);
    digits.skip_while(|digit| *digit == b'0').count()
}

#[cfg(test)]
mod tests;
