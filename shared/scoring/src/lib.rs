//! Scores customers with a CatBoost classifier and explains every score.
//!
//! This crate is everything between a customer's raw values and "score 612, because the bureau
//! score is low". It knows no S3, no database and no policy.
//!
//! # Overview
//!
//! * [`Model`] is loaded from an [`Artifact`](limit_increase_artifact::Artifact). Loading checks
//!   that its files describe the same trees, and repeats CatBoost's own answers.
//! * [`Frame`] is a batch of customers, column by column. [`Model::inputs`] says which columns.
//! * [`Model::score`] gives a [`ScoredBatch`]: for each customer a [`RowOutcome`], which is a
//!   [`ScoredRow`] or the reason why the customer can't be scored.
//! * A [`ScoredRow`] has points, probability and SHAP values, and words the reasons.
//! * [`Model::predict`] is quicker and does not explain; its results are [`Prediction`]s.
//! * [`partitions`] says which values of each source the model tells apart.
//! * [`Scorecard`] turns log-odds into points. [`ScoringError`] says why a model was refused.
//!
//! # Example
//!
//! ```
//! use limit_increase_artifact::Artifact;
//! use limit_increase_scoring::{Column, Frame, Model, RowOutcome};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let archive = include_bytes!(concat!(
//!     env!("CARGO_MANIFEST_DIR"),
//!     "/tests/golden/one_hot.tar.gz"
//! ));
//! let model = Model::load(&Artifact::open(archive)?)?;
//!
//! // Two customers: the second one has a home that the model was not trained with.
//! let frame = Frame {
//!     columns: vec![
//!         Column::Numbers(vec![0.5, 0.5]),
//!         Column::Texts(vec![Some("tenant"), Some("castle")]),
//!         Column::Numbers(vec![0.5, 0.5]),
//!     ],
//!     has_features: vec![true, true],
//! };
//! let batch = model.score(&frame)?;
//!
//! let RowOutcome::Scored(first) = batch.row(0) else { panic!("the first one has a score") };
//! let sum = first.base_value + first.shap_values.iter().sum::<f64>();
//! assert!((sum - first.raw_value).abs() < 1e-9);
//! for (text, points) in first.reasons() {
//!     println!("{text}: {points:.0} points less");
//! }
//!
//! let RowOutcome::Referred(reason) = batch.row(1) else { panic!("the second one has none") };
//! assert_eq!(reason, "home is 'castle', which the model does not know");
//! # Ok(())
//! # }
//! ```
//!
//! # Inside
//!
//! ```text
//! Artifact -> Model::load
//!     catboost_json                          model.json -> Ensemble: float64 leaves, leaf weights
//!     onnx_bounds, onnx_graph, onnx_trees    model.onnx describes the same trees and nothing else
//!     monotone                               each tree keeps the directions of the manifest
//!     shapley -> explainer                   tables of SHAP values, one per tree
//!     kernel, leaves                         the trees in the form in which they are evaluated
//!     operator                               tract runs the ONNX and calls the kernel
//!     golden, tolerance                      CatBoost's own answers are repeated
//! Frame -> Model::score
//!     encode                                 source columns -> model columns, or a referral
//!     operator                               -> raw values, probabilities, SHAP values
//!     interpretation: scorecard, reasons     -> points and words
//! ```

mod at_most;
mod batch;
mod catboost_json;
mod encode;
mod ensemble;
mod error;
mod explainer;
mod golden;
mod interpretation;
mod kernel;
mod leaves;
mod model;
mod monotone;
mod onnx_bounds;
mod onnx_graph;
mod onnx_trees;
mod operator;
mod partition;
mod reasons;
mod scorecard;
mod shapley;
mod tolerance;

pub use batch::{RowOutcome, ScoredBatch, ScoredRow};
pub use encode::{Column, Frame};
pub use error::ScoringError;
pub use limit_increase_artifact::ModelInput;
pub use model::{MAX_LOAD_BYTES, Model, Prediction};
pub use partition::{Partition, partitions};
pub use scorecard::Scorecard;
