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
use crate::kernel::{BLOCK, Kernel};
use crate::operator::{Answers, Graph, Plan};
use crate::reasons::{self, Wording};
use crate::scorecard::Scorecard;

/// Model inputs handed to tract at a time, and the SHAP values that come back: 2 MiB and 4 MiB.
const MAX_INPUTS_AT_ONCE: usize = 512 << 10;
/// What loading takes at most beside the artifact: for each leaf that a model may have the ONNX as read and as decoded, the
/// ensemble and its games; the tables; and what a refused file may have made of itself until then.
pub const MAX_LOAD_BYTES: usize = 400 * MAX_LEAVES + MAX_TABLE_BYTES + (64 << 20);
/// How closely a sum must come to what it adds up to, relative to the larger of that and one.
pub(crate) const TOLERANCE: f64 = 1e-9;

/// A model that has repeated its golden rows.
#[derive(Debug)]
pub struct Model {
    sources: Vec<ModelInput>,
    encoders: Vec<Encoder>,
    wordings: Vec<Wording>,
    scorecard: Scorecard,
    base_value: f64,
    width: usize,
    table_bytes: usize,
    scoring: Plan,
    explaining: Plan,
}

impl Model {
    /// Makes a model of an artifact, in memory of at most [`MAX_LOAD_BYTES`].
    ///
    /// # Errors
    /// When the model is of a kind that can't be scored, its files are not of one model, or a golden row comes out
    /// differently from what CatBoost said.
    pub fn load(artifact: &Artifact) -> Result<Self, ScoringError> {
        let manifest = &artifact.manifest;
        let names: Vec<&str> =
            manifest.features.iter().map(|feature| feature.name.as_str()).collect();
        let ensemble = catboost_json::parse(&artifact.model_json, &names)?;
        let graph = Graph::read(&artifact.onnx, &ensemble)?;
        let sources = manifest.inputs();
        let encoders = encode::encoders(manifest, &ensemble);
        let source_of: Vec<usize> = manifest
            .features
            .chunk_by(|left, right| left.source_column == right.source_column)
            .enumerate()
            .flat_map(|(source, columns)| columns.iter().map(move |_| source))
            .collect();
        let explainer = Arc::new(Explainer::new(&ensemble, &source_of, MAX_TABLE_BYTES));
        let kernel = Arc::new(Kernel::new(&ensemble));
        let model = Self {
            wordings: reasons::wordings(manifest, &sources),
            sources,
            encoders,
            scorecard: Scorecard::new(manifest.scorecard),
            base_value: explainer.base_value(),
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
        &self.scorecard
    }

    /// What SHAP values start from, in log-odds: the mean raw value of the training rows.
    #[must_use]
    pub fn base_value(&self) -> f64 {
        self.base_value
    }

    /// Memory of the SHAP tables, in bytes; at most 32 MiB, beyond which trees are explained row by row.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    pub(crate) fn wordings(&self) -> &[Wording] {
        &self.wordings
    }

    /// Scores and explains a batch of any size: for each customer a raw value, a probability, points, and one SHAP value per
    /// source. A customer that can't be scored is referred and does not stop the others.
    ///
    /// # Errors
    /// When the frame is not of this model's columns, or base value and SHAP values do not add up to the raw value within
    /// 1e-9 of it, which is a defect.
    pub fn score<'a>(&'a self, frame: &'a Frame<'_>) -> Result<ScoredBatch<'a>, ScoringError> {
        encode::check(frame, &self.encoders)?;
        let (referrals, answers) = self.run(&self.explaining, frame)?;
        self.check_additivity(&answers)?;
        Ok(ScoredBatch { model: self, frame, referrals, answers })
    }

    /// Scores a batch of any size without explaining it: one answer per customer, `None` where it can't be scored.
    ///
    /// # Errors
    /// When the frame is not of this model's columns.
    pub fn predict(&self, frame: &Frame<'_>) -> Result<Vec<Option<Prediction>>, ScoringError> {
        encode::check(frame, &self.encoders)?;
        let (referrals, answers) = self.run(&self.scoring, frame)?;
        let rows = answers.raw.iter().zip(&answers.probability).zip(&referrals);
        let prediction =
            |((&raw_value, &probability), referral): ((&f64, &f64), &Option<Box<str>>)| {
                let prediction =
                    Prediction { raw_value, probability, score: self.scorecard.score(raw_value) };
                referral.is_none().then_some(prediction)
            };
        Ok(rows.map(prediction).collect())
    }

    /// Runs a plan over a checked frame, so many rows at a time that memory stays bounded.
    fn run(&self, plan: &Plan, frame: &Frame<'_>) -> Result<(Referrals, Answers), ScoringError> {
        let rows = frame.has_features.len();
        let at_once = (MAX_INPUTS_AT_ONCE / self.width / BLOCK).max(1) * BLOCK;
        let (mut referrals, mut answers) = (vec![None; rows], Answers::default());
        let mut matrix = vec![0.0; at_once.min(rows) * self.width];
        for start in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - start);
            let matrix = &mut matrix[..count * self.width];
            let referrals = &mut referrals[start..start + count];
            encode::encode(frame, &self.encoders, start, self.width, matrix, referrals);
            plan.run(self.width, matrix, &mut answers)?;
        }

        Ok((referrals, answers))
    }

    /// Asserted for every customer: reasons that do not add up to the score can't be defended.
    fn check_additivity(&self, answers: &Answers) -> Result<(), ScoringError> {
        for (row, (raw, values)) in
            answers.raw.iter().zip(answers.shap.chunks_exact(self.sources.len())).enumerate()
        {
            let sum = self.base_value + values.iter().sum::<f64>();
            let close = (sum - raw).abs() <= TOLERANCE * raw.abs().max(1.0);
            if !close {
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
    /// In points.
    pub score: CreditScore,
}
