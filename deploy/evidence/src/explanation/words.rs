//! Parts of an explanation in words, for the page and for the terminal.

use super::{InputValue, Place};
use crate::counterfactual::{Alternative, Change};

/// What became of the decision, in words.
#[must_use]
pub fn effect(effect: &str) -> &str {
    match effect {
        "WRITTEN" => "written to the table",
        "STALE" => "not written: the customer had changed, or another run had decided",
        "DRY_RUN" => "not written: the run was a dry run",
        other => other,
    }
}

/// A value as it is stored.
#[must_use]
pub fn shown(value: Option<&InputValue>) -> String {
    match value {
        None => "missing".to_owned(),
        // Adding zero makes zero of minus zero.
        Some(InputValue::Number(value)) => format!("{}", value + 0.0),
        Some(InputValue::Category(text)) => text.clone(),
    }
}

/// Where a value lies among the training rows, in words.
#[must_use]
pub fn place(place: &Place) -> String {
    match place {
        Place::NotKnown => "not known".to_owned(),
        Place::Percentiles { from, to } => format!("percentiles {from:.0} to {to:.0}"),
        Place::Share(percent) => format!("as {percent:.1} % of rows"),
        Place::Rare => "a rare category".to_owned(),
        Place::Unseen => "no row has it".to_owned(),
        Place::BelowMedian(median) => format!("below the median, {}", number(*median)),
        Place::AtMedian(_) => "the median".to_owned(),
        Place::AboveMedian(median) => format!("above the median, {}", number(*median)),
    }
}

/// A change of one input in words.
#[must_use]
pub fn change(alternative: &Alternative) -> String {
    let description = &alternative.description;
    match &alternative.change {
        Change::Number { from, to, above, at_most } => {
            let part = match (above, at_most) {
                (Some(above), Some(at_most)) => format!("above {above}, at most {at_most}"),
                (Some(above), None) => format!("anything above {above}"),
                (None, Some(at_most)) => format!("anything up to {at_most}"),
                (None, None) => "any".to_owned(),
            };
            format!("{description} {} instead of {} ({part})", number(*to), from + 0.0)
        }
        Change::Category { from, to } => {
            let from = from.as_ref().map_or_else(|| "missing".to_owned(), |one| format!("'{one}'"));
            format!("{description} '{to}' instead of {from}")
        }
    }
}

/// A number of the model's precision, float32, in its own digits.
fn number(value: f64) -> String {
    let single = value as f32;
    if f64::from(single).to_bits() == value.to_bits() {
        format!("{}", single + 0.0)
    } else {
        format!("{}", value + 0.0)
    }
}
