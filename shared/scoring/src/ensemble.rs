//! A model of symmetric trees, as CatBoost means it.
//!
//! All nodes of one level of a symmetric tree ask the same question, so a row's leaf is a number with one bit per
//! question. What lives here is the model's meaning alone; [`crate::kernel`] evaluates it quickly and
//! [`crate::shapley`] explains it.

use serde::Deserialize;

/// The deepest tree accepted; CatBoost's own limit.
pub(crate) const MAX_DEPTH: usize = 16;

/// What a missing value is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "CatBoost's own names")]
pub(crate) enum NanTreatment {
    /// No missing values in training. CatBoost answers every question about one with no.
    AsIs,
    /// Below every border.
    AsFalse,
    /// Above every border.
    AsTrue,
}

/// A model column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FloatFeature {
    /// Rising thresholds.
    pub(crate) borders: Vec<f32>,
    /// Treatment of missing values.
    pub(crate) nan: NanTreatment,
}

/// The question `value of column > borders[border]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) column: usize,
    pub(crate) border: usize,
}

/// A symmetric tree; split `i` gives bit `i` of the leaf's number. The last split is the root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub(crate) splits: Vec<Split>,
    pub(crate) leaf_values: Vec<f64>,
    pub(crate) leaf_weights: Vec<f64>,
}

/// A sum of symmetric trees: raw value = scale * sum of leaf values + bias.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) columns: Vec<FloatFeature>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) scale: f64,
    pub(crate) bias: f64,
}

impl Tree {
    /// The mean leaf value over the training rows.
    pub(crate) fn mean(&self) -> f64 {
        let total: f64 = self.leaf_weights.iter().sum();
        let weighted: f64 = self
            .leaf_values
            .iter()
            .zip(&self.leaf_weights)
            .map(|(value, weight)| value * weight)
            .sum();
        weighted / total
    }
}

impl Ensemble {
    /// What SHAP values start from: the mean raw value over the training rows.
    pub(crate) fn base_value(&self) -> f64 {
        self.scale * self.trees.iter().map(Tree::mean).sum::<f64>() + self.bias
    }
}
