//! Turns the customers' source columns into the model's columns, or into the reason why a customer
//! can't be scored.
//!
//! A value that the model can't read never fails the batch: its customer is referred with the
//! reason, and the others are scored (promise 9).

use limit_increase_artifact::{Categories, CategoryMatch, Manifest, ModelInput};
use limit_increase_domain::ColumnKind;

use crate::ensemble::{Ensemble, NanTreatment};
use crate::error::ScoringError;
use crate::reasons::shown_category;

/// The reason of a customer who has no row in the table of features.
const NO_FEATURES: &str = "the customer has no features on record";

/// One source column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Column<'a> {
    /// Numbers, NaN where missing. The model compares them in float32, as CatBoost does.
    Numbers(Vec<f64>),
    /// Categories, `None` or empty where missing.
    Texts(Vec<Option<&'a str>>),
}

/// A batch of customers, column by column. Every column has one row per customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<'a> {
    /// In the order of [`crate::Model::inputs`].
    pub columns: Vec<Column<'a>>,
    /// For each customer, whether it has a row in the table of features. If not, its values in the
    /// columns have no meaning, and it is referred.
    pub has_features: Vec<bool>,
}

/// Turns one source column into model columns.
#[derive(Debug)]
pub(crate) struct Encoder {
    source: ModelInput,
    /// The first of its model columns.
    first: usize,
    encoding: Encoding,
}

/// What an encoder needs to know of a column of each kind.
#[derive(Debug)]
enum Encoding {
    Number {
        may_be_missing: bool,
        /// Values that stand for a missing number.
        special: Box<[f64]>,
    },
    Categories(Categories),
}

/// For each row, why its customer can't be scored; `None` for a customer who can.
pub(crate) type Referrals = Vec<Option<Box<str>>>;

/// The encoders of a model's sources.
pub(crate) fn encoders(manifest: &Manifest, ensemble: &Ensemble) -> Vec<Encoder> {
    let mut first = 0;
    let encoder = |(source, categories): (ModelInput, Option<Categories>)| {
        let (encoding, width) = match categories {
            Some(categories) => {
                let width = categories.width();
                (Encoding::Categories(categories), width)
            }
            None => {
                let special = manifest.columns[first].special.iter();
                let number = Encoding::Number {
                    may_be_missing: ensemble.columns[first].nan != NanTreatment::AsIs,
                    special: special.map(|special| special.value).collect(),
                };
                (number, 1)
            }
        };

        first += width;
        Encoder { source, first: first - width, encoding }
    };

    manifest.inputs_with_categories().into_iter().map(encoder).collect()
}

/// Checks that the frame has the columns that the model reads.
///
/// # Errors
/// The first column that does not fit, and why.
pub(crate) fn check(frame: &Frame<'_>, encoders: &[Encoder]) -> Result<(), ScoringError> {
    if frame.columns.len() != encoders.len() {
        return Err(ScoringError::Frame(format!(
            "{} columns, the model reads {}",
            frame.columns.len(),
            encoders.len()
        )));
    }

    for (column, encoder) in frame.columns.iter().zip(encoders) {
        let name = &encoder.source.column.name;
        let (kind, rows) = match column {
            Column::Numbers(values) => (ColumnKind::Number, values.len()),
            Column::Texts(values) => (ColumnKind::Category, values.len()),
        };

        if kind != encoder.source.column.kind {
            return Err(ScoringError::Frame(format!(
                "column {name:?} is {}, the model reads it as {}",
                kind_name(kind),
                kind_name(encoder.source.column.kind)
            )));
        }

        if rows != frame.has_features.len() {
            return Err(ScoringError::Frame(format!(
                "column {name:?} has {rows} rows of {}",
                frame.has_features.len()
            )));
        }
    }

    Ok(())
}

fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Number => "Numeric",
        ColumnKind::Category => "Categorical",
    }
}

/// Encodes rows of a checked frame, beginning at `start`.
///
/// `matrix` gets them row after row, `width` columns each. `referrals` gets the reason of each
/// customer who can't be scored, whose row is zeros in the matrix.
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

/// Refers a customer, unless an earlier column has done so: the first reason counts.
fn refer(referral: &mut Option<Box<str>>, reason: impl FnOnce() -> Box<str>) {
    if referral.is_none() {
        *referral = Some(reason());
    }
}

/// Why a value can't be encoded.
enum EncodeError<'a> {
    Missing,
    NotFinite,
    TooLarge,
    Unknown(&'a str),
}

impl Encoder {
    #[inline]
    fn number(&self, value: f64) -> Result<f32, EncodeError<'static>> {
        let Encoding::Number { may_be_missing, special } = &self.encoding else {
            return Err(EncodeError::Missing);
        };

        // The model compares in float32, as CatBoost does.
        let single = value as f32;
        let missing = value.is_nan() || special.contains(&value);
        match (missing, *may_be_missing) {
            (false, _) if single.is_finite() => Ok(single),
            (true, true) => Ok(f32::NAN),
            (true, false) => Err(EncodeError::Missing),
            _ if value.is_infinite() => Err(EncodeError::NotFinite),
            _ => Err(EncodeError::TooLarge),
        }
    }

    fn offset<'a>(&self, value: Option<&'a str>) -> Result<usize, EncodeError<'a>> {
        let Encoding::Categories(categories) = &self.encoding else {
            return Err(EncodeError::Missing);
        };
        match categories.find(value) {
            CategoryMatch::Known(offset) => Ok(offset),
            CategoryMatch::Missing => categories.missing().ok_or(EncodeError::Missing),
            CategoryMatch::Unknown => Err(EncodeError::Unknown(value.unwrap_or_default())),
        }
    }

    fn sentence(&self, error: &EncodeError<'_>) -> Box<str> {
        let name = lower_first(&self.source.description);
        match error {
            EncodeError::Missing => {
                format!("{name} is missing and the model was trained without missing values")
            }
            EncodeError::NotFinite => format!("{name} is infinite"),
            EncodeError::TooLarge => format!("{name} is outside the range that the model can read"),
            EncodeError::Unknown(category) => {
                let (shown, more) = shown_category(category, 0);
                format!("{name} is '{shown}{more}', which the model does not know")
            }
        }
        .into()
    }
}

/// A description as it begins within a sentence: in lower case, unless it begins with an
/// abbreviation.
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
