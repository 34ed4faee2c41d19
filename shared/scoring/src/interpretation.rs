//! What a model's figures mean to people: points, and the words of the reasons.

use limit_increase_artifact::{Manifest, ModelInput};

use crate::reasons::{self, Wording};
use crate::scorecard::Scorecard;

/// How log-odds and SHAP values become points and sentences.
#[derive(Debug)]
pub(crate) struct Interpretation {
    pub(crate) scorecard: Scorecard,
    /// What SHAP values start from, in log-odds.
    pub(crate) base_value: f64,
    /// One per source, in the order of [`crate::Model::inputs`].
    pub(crate) wordings: Vec<Wording>,
}

impl Interpretation {
    pub(crate) fn new(manifest: &Manifest, sources: &[ModelInput], base_value: f64) -> Self {
        Self {
            scorecard: Scorecard::new(manifest.scorecard),
            base_value,
            wordings: reasons::wordings(manifest, sources),
        }
    }
}
