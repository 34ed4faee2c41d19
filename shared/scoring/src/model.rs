//! Loading a model and scoring with it.

use std::sync::Arc;

use limit_increase_artifact::{Artifact, ModelInput};
use limit_increase_domain::CreditScore;

use crate::batch::ScoredBatch;
use crate::catboost_json::{self, MAX_LEAVES};
use crate::encode::{self, Encoder, Frame, Referrals};
use crate::error::ScoringError;
use crate::explainer::{Explainer, MAX_TABLE_BYTES};
use crate::golden;
use crate::interpretation::Interpretation;
use crate::kernel::{BLOCK, Kernel};
use crate::monotone;
use crate::operator::{Graph, Plan, Scores};
use crate::scorecard::Scorecard;
use crate::tolerance::is_close;

/// The most model inputs handed to tract in one call: 2 MiB. Their SHAP values take 4 MiB.
const MAX_INPUTS_PER_CALL: usize = 512 << 10;
/// The most bytes that loading takes beside the artifact itself.
///
/// They are, for each leaf that a model may have, the ONNX as read and as decoded, the ensemble and
/// its games; the SHAP tables; and what a file that is refused has taken until then.
pub const MAX_LOAD_BYTES: usize = 400 * MAX_LEAVES + MAX_TABLE_BYTES + (64 << 20);

/// A model that has repeated its golden rows.
#[derive(Debug)]
pub struct Model {
    sources: Vec<ModelInput>,
    encoders: Vec<Encoder>,
    interpretation: Interpretation,
    /// The number of model columns.
    width: usize,
    table_bytes: usize,
    scoring: Plan,
    explaining: Plan,
}

impl Model {
    /// Makes a model of an artifact, in memory of at most [`MAX_LOAD_BYTES`].
    ///
    /// # Errors
    /// When the model is of a kind that can't be scored, when its files are not of one model, when a
    /// tree breaks a direction that the manifest promises, or when a golden row comes out differently
    /// from what CatBoost said.
    pub fn load(artifact: &Artifact) -> Result<Self, ScoringError> {
        let manifest = &artifact.manifest;
        let names: Vec<&str> = manifest.columns.iter().map(|column| column.name.as_str()).collect();
        let ensemble = catboost_json::parse(&artifact.model_json, &names)?;
        monotone::check(&manifest.columns, &ensemble)?;
        let graph = Graph::read(&artifact.onnx, &ensemble)?;

        let source_of: Vec<usize> = manifest
            .columns
            .chunk_by(|left, right| left.source_column == right.source_column)
            .enumerate()
            .flat_map(|(source, columns)| columns.iter().map(move |_| source))
            .collect();
        let explainer = Arc::new(Explainer::new(&ensemble, &source_of, MAX_TABLE_BYTES));
        let kernel = Arc::new(Kernel::new(&ensemble));

        let sources = manifest.inputs();
        let model = Self {
            encoders: encode::encoders(manifest, &ensemble),
            interpretation: Interpretation::new(manifest, &sources, explainer.base_value()),
            sources,
            width: names.len(),
            table_bytes: explainer.table_bytes(),
            scoring: graph.plan(&kernel, None)?,
            explaining: graph.plan(&kernel, Some(&explainer))?,
        };

        golden::check(&manifest.golden_rows, &ensemble, &kernel, &source_of, &model.explaining)?;
        Ok(model)
    }

    /// What the model reads of a customer, in the order of a frame's columns.
    #[must_use]
    pub fn inputs(&self) -> &[ModelInput] {
        &self.sources
    }

    /// How log-odds become points.
    #[must_use]
    pub fn scorecard(&self) -> &Scorecard {
        &self.interpretation.scorecard
    }

    /// What SHAP values start from, in log-odds: the mean raw value of the training rows.
    #[must_use]
    pub fn base_value(&self) -> f64 {
        self.interpretation.base_value
    }

    /// The memory of the SHAP tables, in bytes. It is at most 32 MiB; trees beyond that are
    /// explained without a table.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    /// Scores and explains a batch of any size: for each customer a raw value, a probability,
    /// points, and one SHAP value per source. A customer who can't be scored is referred and does
    /// not stop the others (promise 9).
    ///
    /// # Errors
    /// When the frame does not have this model's columns. Also when base value and SHAP values do
    /// not add up to the raw value within 1e-9 of it (promise 13), which is a defect.
    pub fn score<'a>(&'a self, frame: &'a Frame<'_>) -> Result<ScoredBatch<'a>, ScoringError> {
        encode::check(frame, &self.encoders)?;
        let (referrals, scores) = self.run(&self.explaining, frame)?;

        self.check_additivity(&scores)?;
        Ok(ScoredBatch { interpretation: &self.interpretation, frame, referrals, scores })
    }

    /// Scores a batch of any size without explaining it. The result has one element per customer,
    /// which is `None` where the customer can't be scored.
    ///
    /// # Errors
    /// When the frame does not have this model's columns.
    pub fn predict(&self, frame: &Frame<'_>) -> Result<Vec<Option<Prediction>>, ScoringError> {
        encode::check(frame, &self.encoders)?;
        let (referrals, scores) = self.run(&self.scoring, frame)?;

        let rows = scores.raw.iter().zip(&scores.probability).zip(&referrals);
        let prediction =
            |((&raw_value, &probability), referral): ((&f64, &f64), &Option<Box<str>>)| {
                let score = self.scorecard().score(raw_value);
                referral.is_none().then_some(Prediction { raw_value, probability, score })
            };
        Ok(rows.map(prediction).collect())
    }

    /// Runs a plan over a checked frame, some rows at a time so that memory stays bounded.
    fn run(&self, plan: &Plan, frame: &Frame<'_>) -> Result<(Referrals, Scores), ScoringError> {
        let rows = frame.has_features.len();
        let rows_per_call = (MAX_INPUTS_PER_CALL / self.width / BLOCK).max(1) * BLOCK;
        let (mut referrals, mut scores) = (vec![None; rows], Scores::default());
        let mut matrix = vec![0.0; rows_per_call.min(rows) * self.width];

        for start in (0..rows).step_by(rows_per_call) {
            let count = rows_per_call.min(rows - start);
            let matrix = &mut matrix[..count * self.width];
            let referrals = &mut referrals[start..start + count];
            encode::encode(frame, &self.encoders, start, self.width, matrix, referrals);
            plan.run(self.width, matrix, &mut scores)?;
        }

        Ok((referrals, scores))
    }

    /// Keeps promise 13 for every customer, in production: reasons that do not add up to the score
    /// can't be defended.
    fn check_additivity(&self, scores: &Scores) -> Result<(), ScoringError> {
        for (row, (raw, values)) in
            scores.raw.iter().zip(scores.shap.chunks_exact(self.sources.len())).enumerate()
        {
            let sum = self.base_value() + values.iter().sum::<f64>();
            if !is_close(sum, *raw) {
                return Err(ScoringError::NotAdditive { row, sum, raw: *raw });
            }
        }

        Ok(())
    }
}

/// A score without its reasons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Log-odds of the bad class: CatBoost's `RawFormulaVal`.
    pub raw_value: f64,
    /// Probability of the bad class.
    pub probability: f64,
    /// The score in points.
    pub score: CreditScore,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::encode::Column;

    /// Promise 13. No model that loads breaks it, because its golden rows are checked, so this one
    /// is damaged in memory.
    #[test]
    fn a_score_whose_reasons_do_not_add_up_is_refused() {
        let archive = include_bytes!("../tests/golden/one_feature.tar.gz");
        let mut model = Model::load(&Artifact::open(archive).unwrap()).unwrap();
        let columns = model.inputs().iter().map(|_| Column::Numbers(vec![1.0])).collect();
        let frame = Frame { columns, has_features: vec![true] };
        assert!(model.score(&frame).is_ok());

        model.interpretation.base_value += 1e-6;
        assert!(matches!(model.score(&frame), Err(ScoringError::NotAdditive { row: 0, .. })));
    }
}
