//! From a customer's columns to the model's, or to the reason why there is no way.

use std::collections::HashMap;

use limit_increase_artifact::{Feature, Manifest, ModelInput};
use limit_increase_domain::ColumnKind;

use crate::ensemble::{Ensemble, NanTreatment};
use crate::error::ScoringError;

/// The reason of a customer without a row of features.
const NO_FEATURES: &str = "the customer has no features on record";
/// Enough of an unknown category to recognise it.
const MAX_CATEGORY_SHOWN: usize = 40;

/// One source column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Column<'a> {
    /// Numbers, compared in float32 as CatBoost does; NaN where missing.
    Numbers(Vec<f64>),
    /// Texts; `None` or empty where missing.
    Texts(Vec<Option<&'a str>>),
}

/// A batch of customers, column by column; all columns have as many rows as there are customers.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<'a> {
    /// In the order of [`crate::Model::inputs`].
    pub columns: Vec<Column<'a>>,
    /// For each customer, whether it has features at all. Its values are not looked at if not.
    pub has_features: Vec<bool>,
}

/// How a source becomes model columns.
#[derive(Debug)]
pub(crate) struct Encoder {
    source: ModelInput,
    /// Its first model column.
    first: usize,
    how: How,
}

#[derive(Debug)]
enum How {
    Number {
        may_be_missing: bool,
    },
    Categories {
        /// Offset from the first column, by category.
        offsets: HashMap<String, usize>,
        missing: Option<usize>,
    },
}

/// Why customers can't be scored, by row.
pub(crate) type Referrals = Vec<Option<Box<str>>>;

/// The encoders of a model's sources.
pub(crate) fn encoders(manifest: &Manifest, ensemble: &Ensemble) -> Vec<Encoder> {
    let mut first = 0;
    let groups =
        manifest.features.chunk_by(|left, right| left.source_column == right.source_column);
    let encoder = |(source, features): (ModelInput, &[Feature])| {
        let how = match source.column.kind {
            ColumnKind::Number => {
                How::Number { may_be_missing: ensemble.columns[first].nan != NanTreatment::AsIs }
            }
            ColumnKind::Category => {
                let category = |feature: &Feature| feature.category.clone().flatten();
                let named = |(offset, feature)| Some((category(feature)?, offset));
                How::Categories {
                    offsets: features.iter().enumerate().filter_map(named).collect(),
                    missing: features.iter().position(|feature| category(feature).is_none()),
                }
            }
        };

        first += features.len();
        Encoder { source, first: first - features.len(), how }
    };

    manifest.inputs().into_iter().zip(groups).map(encoder).collect()
}

/// Fails unless the frame has the columns that the model reads.
///
/// # Errors
/// What is wrong with the first column that does not fit.
pub(crate) fn check(frame: &Frame<'_>, encoders: &[Encoder]) -> Result<(), ScoringError> {
    let wrong = |problem| Err(ScoringError::Frame(problem));
    if frame.columns.len() != encoders.len() {
        return wrong(format!(
            "{} columns, the model reads {}",
            frame.columns.len(),
            encoders.len()
        ));
    }

    for (column, encoder) in frame.columns.iter().zip(encoders) {
        let name = &encoder.source.column.name;
        let (kind, rows) = match column {
            Column::Numbers(values) => (ColumnKind::Number, values.len()),
            Column::Texts(values) => (ColumnKind::Category, values.len()),
        };

        if kind != encoder.source.column.kind {
            return wrong(format!(
                "column {name:?} is {kind:?}, the model reads it as {:?}",
                encoder.source.column.kind
            ));
        }

        if rows != frame.has_features.len() {
            return wrong(format!(
                "column {name:?} has {rows} rows of {}",
                frame.has_features.len()
            ));
        }
    }

    Ok(())
}

/// Writes rows `start..` of a checked frame into `matrix`, row after row, and into `referrals` which of them can't be
/// scored. Those are zeros in the matrix.
pub(crate) fn encode(
    frame: &Frame<'_>,
    encoders: &[Encoder],
    start: usize,
    width: usize,
    matrix: &mut [f32],
    referrals: &mut [Option<Box<str>>],
) {
    matrix.fill(0.0);
    for (referral, has_features) in referrals.iter_mut().zip(&frame.has_features[start..]) {
        *referral = (!has_features).then(|| NO_FEATURES.into());
    }

    for (column, encoder) in frame.columns.iter().zip(encoders) {
        let rows = matrix
            .chunks_exact_mut(width)
            .map(|row| &mut row[encoder.first..])
            .zip(referrals.iter_mut());
        match column {
            Column::Numbers(values) => {
                for ((row, referral), value) in rows.zip(&values[start..]) {
                    match encoder.number(*value) {
                        Ok(number) => row[0] = number,
                        Err(reason) => refer(referral, || encoder.sentence(&reason)),
                    }
                }
            }
            Column::Texts(values) => {
                for ((row, referral), value) in rows.zip(&values[start..]) {
                    match encoder.offset(*value) {
                        Ok(offset) => row[offset] = 1.0,
                        Err(reason) => refer(referral, || encoder.sentence(&reason)),
                    }
                }
            }
        }
    }

    for (row, referral) in matrix.chunks_exact_mut(width).zip(referrals) {
        if referral.is_some() {
            row.fill(0.0);
        }
    }
}

/// The first reason counts.
fn refer(referral: &mut Option<Box<str>>, reason: impl FnOnce() -> Box<str>) {
    if referral.is_none() {
        *referral = Some(reason());
    }
}

/// Why a value can't be encoded.
enum Unfit<'a> {
    Missing,
    NotFinite,
    TooLarge,
    Unknown(&'a str),
}

impl Encoder {
    #[inline]
    fn number(&self, value: f64) -> Result<f32, Unfit<'static>> {
        // The model compares in float32, as CatBoost does.
        let single = value as f32;
        if single.is_finite() {
            return Ok(single);
        }

        match self.how {
            How::Number { may_be_missing: true } if value.is_nan() => Ok(f32::NAN),
            _ if value.is_nan() => Err(Unfit::Missing),
            _ if value.is_infinite() => Err(Unfit::NotFinite),
            _ => Err(Unfit::TooLarge),
        }
    }

    fn offset<'a>(&self, value: Option<&'a str>) -> Result<usize, Unfit<'a>> {
        let How::Categories { offsets, missing } = &self.how else { return Err(Unfit::Missing) };
        match value {
            None | Some("") => missing.ok_or(Unfit::Missing),
            Some(category) => offsets.get(category).copied().ok_or(Unfit::Unknown(category)),
        }
    }

    fn sentence(&self, unfit: &Unfit<'_>) -> Box<str> {
        let name = lower_first(&self.source.description);
        match unfit {
            Unfit::Missing => {
                format!("{name} is missing and the model was trained without missing values")
            }
            Unfit::NotFinite => format!("{name} is infinite"),
            Unfit::TooLarge => format!("{name} is larger than the model can read"),
            Unfit::Unknown(category) => {
                let shown: String = category.chars().take(MAX_CATEGORY_SHOWN).collect();
                let more = if shown.len() < category.len() { "..." } else { "" };
                format!("{name} is '{shown}{more}', which the model does not know")
            }
        }
        .into()
    }
}

/// Within a sentence a description begins in lower case, unless it begins with an abbreviation.
fn lower_first(description: &str) -> String {
    let mut chars = description.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => description.to_owned(),
    }
}

#[cfg(test)]
mod tests;
