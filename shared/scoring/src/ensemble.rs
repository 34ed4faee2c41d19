//! A model of symmetric trees, as CatBoost defines it.
//!
//! All nodes of one level of a symmetric tree ask the same question, so a row's leaf is a number
//! with one bit per question. This module defines what a model means. [`crate::kernel`] evaluates
//! it quickly and [`crate::shapley`] explains it.

use serde::Deserialize;

/// The deepest tree that is accepted, which is CatBoost's own limit.
pub(crate) const MAX_DEPTH: usize = 16;

/// How a column answers questions about a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "CatBoost's own names")]
pub(crate) enum NanTreatment {
    /// There were no missing values in training. CatBoost then answers every question with no.
    AsIs,
    /// A missing value lies below every border.
    AsFalse,
    /// A missing value lies above every border.
    AsTrue,
}

/// A model column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FloatFeature {
    /// Thresholds, rising.
    pub(crate) borders: Vec<f32>,
    pub(crate) nan: NanTreatment,
}

/// The question `value of column > borders[border]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) column: usize,
    pub(crate) border: usize,
}

/// A symmetric tree. Split `i` gives bit `i` of the leaf's number, and the last split is the root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub(crate) splits: Vec<Split>,
    pub(crate) leaf_values: Vec<f64>,
    pub(crate) leaf_weights: Vec<f64>,
}

/// A sum of symmetric trees: `raw value = scale * sum of leaf values + bias`, in log-odds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) columns: Vec<FloatFeature>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) scale: f64,
    pub(crate) bias: f64,
}

impl Tree {
    /// The mean leaf value over the training rows, by leaf weight.
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
