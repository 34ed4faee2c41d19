//! The smallest change of one input with which a customer would have reached the cut-off.
//!
//! The answer is exact. A model cuts the values of a source into parts and scores all values of a
//! part alike ([`limit_increase_scoring::partitions`]), so one value of each part is tried, all
//! other inputs as they are, the nearest part first. What is called a counterfactual explanation is
//! described by S. Wachter, B. Mittelstadt and C. Russell, "Counterfactual explanations without
//! opening the black box" (Harvard Journal of Law & Technology 31, 2018).
//!
//! It says what the model would have scored, and not what would happen: an input may have causes in
//! common with others. [`MayMove`] says which inputs may move, and in which direction.

mod candidates;
mod may_move;

use limit_increase_artifact::{Artifact, Manifest};
use limit_increase_domain::CreditScore;
use limit_increase_scoring::{Column, Frame, Model, Partition, ScoringError, partitions};
use serde::Serialize;

use self::candidates::{Candidate, candidates};
pub use self::may_move::{MayMove, Movement, Unmoved};

/// Values of one source that are scored in one call. It bounds the memory.
const CANDIDATES_PER_CALL: usize = 1_024;

/// What would have reached the cut-off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The cut-off: the policy's `minimum_score`, in points.
    pub cut_off: CreditScore,
    /// The score as it is, in points.
    pub score: CreditScore,
    /// For each input that alone reaches the cut-off, its smallest change; for a category, each
    /// other one that does. Those that move by the smallest share of their thresholds' range come
    /// first, categories last.
    pub reaching: Vec<Alternative>,
    /// The change of one input that scores highest, where none reaches the cut-off and one helps.
    pub best: Option<Alternative>,
    /// The inputs that were not moved, and why.
    pub kept: Vec<Kept>,
}

/// One input at another value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alternative {
    /// The source column.
    pub column: String,
    /// Its name in plain words.
    pub description: String,
    /// From which value to which.
    #[serde(flatten)]
    pub change: Change,
    /// The score that the model gives then, in points.
    pub score: CreditScore,
}

/// A change of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A number.
    Number {
        /// As it is.
        from: f64,
        /// The nearest value of the part that reaches the cut-off, with the decimals of the input if
        /// the part has such a value.
        to: f64,
        /// The part's lower end, which does not belong to it; absent where the part has none.
        above: Option<f32>,
        /// The part's upper end, which belongs to it; absent where the part has none.
        at_most: Option<f32>,
    },
    /// A category.
    Category {
        /// As it is; absent where it is missing.
        from: Option<String>,
        /// The other category.
        to: String,
    },
}

/// An input that was not moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The source column.
    pub column: String,
    /// Its name in plain words.
    pub description: String,
    /// Why it was not moved.
    pub why: Unmoved,
}

/// The model with what it tells apart, ready for questions about customers.
#[derive(Debug)]
pub struct Questions<'m> {
    model: &'m Model,
    manifest: &'m Manifest,
    partitions: Vec<Partition>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CounterfactualError {
    /// The model can't be asked.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
    /// The customer has no score, so there is nothing to reach.
    #[error("the customer has no score: {0}")]
    NotScored(String),
}

impl<'m> Questions<'m> {
    /// Questions to a model that was loaded from this artifact.
    ///
    /// # Errors
    /// When the artifact is of a kind that can't be scored.
    pub fn new(model: &'m Model, artifact: &'m Artifact) -> Result<Self, ScoringError> {
        let partitions = partitions(artifact)?;
        Ok(Self { model, manifest: &artifact.manifest, partitions })
    }

    /// What the customer in one row of a frame would have needed to score `cut_off`.
    ///
    /// # Errors
    /// When the customer has no score, or the frame is not one of the model's.
    pub fn ask(
        &self,
        frame: &Frame<'_>,
        row: usize,
        cut_off: CreditScore,
        may_move: &MayMove,
    ) -> Result<Counterfactual, CounterfactualError> {
        let customer = one_row(frame, row);
        let score = self.scores(&customer)?.into_iter().flatten().next().ok_or_else(|| {
            CounterfactualError::NotScored("the model refers the customer".to_owned())
        })?;

        let mut answer =
            Counterfactual { cut_off, score, reaching: Vec::new(), best: None, kept: Vec::new() };
        let mut reaching: Vec<(f64, Alternative)> = Vec::new();
        let groups =
            self.manifest.columns.chunk_by(|one, other| one.source_column == other.source_column);
        for (source, columns) in groups.enumerate() {
            let input = &self.model.inputs()[source];
            let (column, description) = (&input.column.name, &input.description);
            let movement = may_move.movement(column);
            let value = &customer.columns[source];
            let special: Vec<f64> =
                columns[0].special.iter().map(|special| special.value).collect();
            let tried = match candidates(value, &self.partitions[source], &special, movement) {
                Ok(tried) => tried,
                Err(why) => {
                    let (column, description) = (column.clone(), description.clone());
                    answer.kept.push(Kept { column, description, why });
                    continue;
                }
            };

            let mut found = 0;
            for chunk in tried.chunks(CANDIDATES_PER_CALL) {
                let scores = self.scores(&with_values(&customer, source, chunk))?;
                for (candidate, score) in chunk.iter().zip(scores) {
                    let Some(score) = score else { continue };
                    let alternative = || Alternative {
                        column: column.clone(),
                        description: description.clone(),
                        change: candidate.change(value),
                        score,
                    };

                    let is_number = matches!(candidate, Candidate::Number { .. });
                    if score >= cut_off && (found == 0 || !is_number) {
                        found += 1;
                        reaching.push((self.share_of_range(source, candidate), alternative()));
                    }

                    if score > answer.best.as_ref().map_or(answer.score, |best| best.score) {
                        answer.best = Some(alternative());
                    }
                }

                if found > 0 && matches!(value, Column::Numbers(_)) {
                    break;
                }
            }
        }

        reaching.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        answer.reaching = reaching.into_iter().map(|(_, alternative)| alternative).collect();
        if !answer.reaching.is_empty() {
            answer.best = None;
        }
        Ok(answer)
    }

    fn scores(&self, frame: &Frame<'_>) -> Result<Vec<Option<CreditScore>>, ScoringError> {
        let predictions = self.model.predict(frame)?;
        Ok(predictions.into_iter().map(|prediction| Some(prediction?.score)).collect())
    }

    /// How far a number moves as a share of the range of its thresholds, so that inputs in other
    /// units can be put in an order. A category has no distance.
    fn share_of_range(&self, source: usize, candidate: &Candidate) -> f64 {
        let Candidate::Number { distance, .. } = candidate else { return f64::INFINITY };
        let Partition::Thresholds(thresholds) = &self.partitions[source] else {
            return f64::INFINITY;
        };

        let ends = thresholds.first().zip(thresholds.last());
        let range = ends.map_or(0.0, |(first, last)| f64::from(*last) - f64::from(*first));
        // With one threshold there is no range, and the distance is its own measure.
        if range > 0.0 { distance / range } else { *distance }
    }
}

/// A frame of one customer alone.
fn one_row<'a>(frame: &Frame<'a>, row: usize) -> Frame<'a> {
    let column = |column: &Column<'a>| match column {
        Column::Numbers(values) => Column::Numbers(vec![values[row]]),
        Column::Texts(values) => Column::Texts(vec![values[row]]),
    };
    Frame {
        columns: frame.columns.iter().map(column).collect(),
        has_features: vec![frame.has_features[row]],
    }
}

/// The customer once for each candidate, with the candidate in place of the source's value.
fn with_values<'a>(customer: &Frame<'a>, source: usize, candidates: &'a [Candidate]) -> Frame<'a> {
    let count = candidates.len();
    let column = |(position, column): (usize, &Column<'a>)| match column {
        Column::Numbers(values) if position != source => Column::Numbers(vec![values[0]; count]),
        Column::Texts(values) if position != source => Column::Texts(vec![values[0]; count]),
        Column::Numbers(_) => {
            Column::Numbers(candidates.iter().map(|one| one.number().unwrap_or(f64::NAN)).collect())
        }
        Column::Texts(_) => Column::Texts(candidates.iter().map(Candidate::text).collect()),
    };
    Frame {
        columns: customer.columns.iter().enumerate().map(column).collect(),
        has_features: vec![true; count],
    }
}

#[cfg(test)]
mod tests;
