//! From the customers of a shard to their scores: the hand-off's columns into the model's frame, and back.

use bytes::Bytes;
use limit_increase_artifact::ModelInput;
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::customers::{Customers, FeatureArray};
use limit_increase_handoff::scored::{ScoreRow, ScoredWriter};
use limit_increase_scoring::{Column, Frame, Model, RowOutcome};
use limit_increase_workflow::{Failure, FailureKind};

/// A shard's file of scores, with what is in it.
pub(crate) struct ScoredShard {
    /// The file.
    pub(crate) bytes: Bytes,
    /// Customers with a score.
    pub(crate) scored: u32,
    /// Customers without.
    pub(crate) referred: u32,
}

/// Why a shard could not be scored.
pub(crate) enum ScoreError {
    /// The hand-off is not as the contract has it.
    Handoff(HandoffError),
    /// The model failed on rows that it should take.
    Model(Failure),
}

impl From<HandoffError> for ScoreError {
    fn from(error: HandoffError) -> Self {
        Self::Handoff(error)
    }
}

/// Scores and explains every customer of a shard.
///
/// # Errors
/// When the hand-off lacks what the model reads, or the model breaks one of its own invariants.
pub(crate) fn score(model: &Model, customers: &Customers) -> Result<ScoredShard, ScoreError> {
    let frame = frame(model, customers)?;
    let batch = model.score(&frame).map_err(|error| {
        ScoreError::Model(Failure::new(FailureKind::Internal, format!("scoring failed: {error}")))
    })?;

    let mut writer =
        ScoredWriter::new(model.inputs().iter().map(|input| input.column.name.clone()).collect());
    let (mut scored, mut referred) = (0, 0);
    for row in 0..customers.rows() {
        match batch.row(row) {
            RowOutcome::Scored(outcome) => {
                scored += 1;
                let row = ScoreRow {
                    raw_value: outcome.raw_value,
                    probability: outcome.probability,
                    score: outcome.score,
                    base_value: outcome.base_value,
                    shap_values: outcome.shap_values,
                };

                writer.push_scored(&row, &outcome.reasons())?;
            }
            RowOutcome::Referred(reason) => {
                referred += 1;
                writer.push_referred(reason);
            }
        }
    }

    Ok(ScoredShard { bytes: writer.finish(customers)?, scored, referred })
}

fn frame<'c>(model: &Model, customers: &'c Customers) -> Result<Frame<'c>, HandoffError> {
    let column = |input: &ModelInput| {
        Ok(match customers.feature(&input.column)? {
            FeatureArray::Numbers(array) => {
                Column::Numbers(array.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
            }
            FeatureArray::Texts(array) => Column::Texts(array.iter().collect()),
        })
    };

    Ok(Frame {
        columns: model.inputs().iter().map(column).collect::<Result<_, HandoffError>>()?,
        has_features: customers.has_features()?.values().iter().collect(),
    })
}
