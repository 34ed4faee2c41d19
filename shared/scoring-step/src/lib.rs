//! What the scoring step makes of a shard's file: from the customers to the model's frame, and from
//! its scores to the next file.
//!
//! The function calls it for a run, and `limit-increase replay` calls it again years later. Because
//! it is the same code, a replay can be compared bit for bit. What must not live here: S3, SQL,
//! events.

use limit_increase_artifact::ModelInput;
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::customers::{Customers, FeatureArray};
use limit_increase_handoff::scored::{ScoreRow, ScoredWriter};
use limit_increase_scoring::{Column, Frame, RowOutcome, ScoredBatch};

/// How many customers of a shard have a score.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScoreCounts {
    /// Customers with a score.
    pub scored: u32,
    /// Customers without one. A person decides them.
    pub referred: u32,
}

/// The columns that the model reads, one for each input, in the model's order. A missing number is
/// NaN.
///
/// # Errors
/// When the hand-off has no column of an input's name and kind.
pub fn frame<'c>(
    inputs: &[ModelInput],
    customers: &'c Customers,
) -> Result<Frame<'c>, HandoffError> {
    let column = |input: &ModelInput| {
        Ok(match customers.feature(&input.column)? {
            FeatureArray::Numbers(array) => {
                Column::Numbers(array.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
            }
            FeatureArray::Texts(array) => Column::Texts(array.iter().collect()),
        })
    };

    Ok(Frame {
        columns: inputs.iter().map(column).collect::<Result<_, HandoffError>>()?,
        has_features: customers.has_features()?.values().iter().collect(),
    })
}

/// Puts the score and the explanation of each customer into a file, in the order of the batch.
///
/// # Errors
/// When the batch has not exactly one SHAP value for each input.
pub fn write_scores(
    inputs: &[ModelInput],
    batch: &ScoredBatch<'_>,
) -> Result<(ScoredWriter, ScoreCounts), HandoffError> {
    let names = inputs.iter().map(|input| input.column.name.clone()).collect();
    let mut writer = ScoredWriter::new(names);
    let mut counts = ScoreCounts::default();

    for row in 0..batch.len() {
        match batch.row(row) {
            RowOutcome::Scored(scored) => {
                counts.scored += 1;
                let row = ScoreRow {
                    raw_value: scored.raw_value,
                    probability: scored.probability,
                    score: scored.score,
                    base_value: scored.base_value,
                    shap_values: scored.shap_values,
                };

                writer.push_scored(&row, &scored.reasons())?;
            }
            RowOutcome::Referred(reason) => {
                counts.referred += 1;
                writer.push_referred(reason);
            }
        }
    }

    Ok((writer, counts))
}

#[cfg(test)]
mod tests;
