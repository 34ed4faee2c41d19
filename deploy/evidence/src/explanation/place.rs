//! Where a customer's value of an input lies among those of the training rows.

use limit_increase_artifact::{Categories, CategoryMatch, ModelColumn};
use limit_increase_domain::distribution::bin_of;
use limit_increase_domain::{Bins, Distribution};
use serde::Serialize;

use super::InputValue;

/// Where a value lies among those of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The artifact says nothing about it.
    NotKnown,
    /// A number, between two percentiles of the training rows that have one: the ends of its bin.
    Percentiles {
        /// The percentage of rows in the bins below.
        from: f64,
        /// The percentage of rows in the bins up to its own.
        to: f64,
    },
    /// A category or a missing value, with the percentage of the training rows that have the same.
    Share(f64),
    /// A category that has no count of its own, because it is none of the most frequent ones.
    Rare,
    /// A category that no training row has.
    Unseen,
    /// Below the median, which is this number. An artifact of version 1 knows no more.
    BelowMedian(f64),
    /// The median itself.
    AtMedian(f64),
    /// Above the median, which is this number.
    AboveMedian(f64),
}

/// The place of a value. `columns` are the model's columns of the input, `categories` those of an
/// input of categories, and `training` is how the training rows were spread, if it was counted.
pub(super) fn place_of(
    value: Option<&InputValue>,
    columns: &[ModelColumn],
    categories: Option<&Categories>,
    training: Option<&Distribution>,
) -> Place {
    let number = match value {
        Some(InputValue::Number(number)) if !stands_for_missing(*number, columns) => Some(*number),
        _ => None,
    };
    let Some(training) = training else { return beside_median(number, &columns[0]) };
    match (number, categories) {
        (Some(number), _) => between_percentiles(number, training),
        (None, None) => share(training.rows.missing, training),
        (None, Some(categories)) => {
            let text = match value {
                Some(InputValue::Category(text)) => Some(text.as_str()),
                _ => None,
            };
            match categories.find(text) {
                CategoryMatch::Missing => share(training.rows.missing, training),
                CategoryMatch::Unknown => Place::Unseen,
                CategoryMatch::Known(offset) => share_of_category(&columns[offset], training),
            }
        }
    }
}

#[expect(clippy::float_cmp, reason = "the table has the very number of the manifest")]
fn stands_for_missing(number: f64, columns: &[ModelColumn]) -> bool {
    columns[0].special.iter().any(|special| special.value == number)
}

fn between_percentiles(number: f64, training: &Distribution) -> Place {
    let Bins::Bounds(bounds) = &training.bins else { return Place::NotKnown };
    let bin = bin_of(bounds, number as f32);
    let with_a_number: u64 = training.rows.bins.iter().sum();
    let up_to = |bins: usize| percentage(training.rows.bins[..bins].iter().sum(), with_a_number);
    Place::Percentiles { from: up_to(bin), to: up_to(bin + 1) }
}

fn share_of_category(column: &ModelColumn, training: &Distribution) -> Place {
    let Bins::Categories(names) = &training.bins else { return Place::NotKnown };
    let Some(category) = column.category.iter().flatten().next() else {
        return share(training.rows.missing, training);
    };
    match names.iter().position(|name| name == category) {
        Some(bin) => share(training.rows.bins[bin], training),
        None => Place::Rare,
    }
}

fn share(rows: u64, training: &Distribution) -> Place {
    Place::Share(percentage(rows, training.rows.total()))
}

/// Of no rows, nothing is a share.
fn percentage(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The place of a number beside the median, compared in float32 as the reasons compare it.
fn beside_median(number: Option<f64>, column: &ModelColumn) -> Place {
    let (Some(number), Some(median)) = (number, column.median.flatten()) else {
        return Place::NotKnown;
    };
    match (number as f32).total_cmp(&(median as f32)) {
        std::cmp::Ordering::Less => Place::BelowMedian(median),
        std::cmp::Ordering::Equal => Place::AtMedian(median),
        std::cmp::Ordering::Greater => Place::AboveMedian(median),
    }
}
