//! The errors of loading a model and of scoring a batch.

/// Why a model was refused or a batch was not scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// `model.json` can't be read.
    #[error("model.json can't be read: {0}; export the model again with train.py")]
    Json(#[from] serde_json::Error),
    /// The model is of a kind that can't be scored here.
    #[error("the model can't be scored: {found}; {instead}")]
    Unsupported {
        /// What the model has that is not supported.
        found: String,
        /// What to do about it.
        instead: &'static str,
    },
    /// `model.json` contradicts itself or the manifest.
    #[error("model.json: {0}; export the model again with train.py")]
    Inconsistent(String),
    /// A tree moves against the direction that the manifest promises of a column.
    #[error(
        "the manifest says that {column:?} is monotone ({promise} the log-odds of bad), but tree \
         {tree} breaks it: leaf {lower_leaf} is {lower:?}, and leaf {upper_leaf}, which only a higher \
         {column:?} separates from it, is {upper:?}; train again with --monotone of train.py"
    )]
    NotMonotone {
        /// The model column.
        column: String,
        /// The direction, in words.
        promise: &'static str,
        /// The tree, from 0.
        tree: usize,
        /// The leaf of the lower value.
        lower_leaf: usize,
        /// Its value in log-odds.
        lower: f64,
        /// The leaf of the higher value.
        upper_leaf: usize,
        /// Its value in log-odds.
        upper: f64,
    },
    /// The ONNX can't be read or is not the model of `model.json`.
    #[error("model.onnx: {0}; export both files from one model with train.py")]
    Onnx(String),
    /// tract failed on a model that it had accepted.
    #[error("tract: {0}")]
    Tract(String),
    /// A golden row has another result than CatBoost gave.
    #[error(
        "golden row {row}: {what} is {found:e}, CatBoost gave {expected:e}; \
         the artifact is damaged, or was made by a CatBoost that this version does not know"
    )]
    Golden {
        /// The row, from 0.
        row: usize,
        /// Which figure differs.
        what: String,
        /// The figure that was computed here.
        found: f64,
        /// The figure that CatBoost gave.
        expected: f64,
    },
    /// The caller's columns are not those that the model reads.
    #[error("the frame does not fit the model: {0}")]
    Frame(String),
    /// Base value and SHAP values do not add up to the raw value, which would break promise 13.
    /// This is a defect in the program.
    #[error(
        "internal: row {row}: base value and SHAP values add up to {sum:e}, the raw value is {raw:e}"
    )]
    NotAdditive {
        /// The row, from 0.
        row: usize,
        /// Base value plus SHAP values.
        sum: f64,
        /// The raw value that they should add up to.
        raw: f64,
    },
}
