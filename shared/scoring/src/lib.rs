//! The model: a CatBoost classifier run by tract, its score in points, its SHAP values, and the reasons that follow.
//!
//! What lives here: everything between a customer's raw features and "score 612, because the bureau score is low". What
//! must not: S3, the database, the limit policy.
//!
//! ```text
//! artifact -> Model::load -+- catboost_json: Ensemble (float64 leaves, leaf weights)
//!                          +- onnx_bounds, onnx_graph, onnx_trees: the ONNX describes the same trees, and nothing else
//!                          +- shapley -> explainer: tables of SHAP values, one per tree
//!                          +- operator: tract parses and runs the ONNX with our TreeEnsembleClassifier (kernel)
//!                          +- golden: CatBoost's own answers are repeated
//! Frame -> encode -> tract (raw value, probability, SHAP values) -> scorecard (points), reasons
//! ```

mod at_most;
mod batch;
mod catboost_json;
mod encode;
mod ensemble;
mod error;
mod explainer;
mod golden;
mod kernel;
mod model;
mod onnx_bounds;
mod onnx_graph;
mod onnx_trees;
mod operator;
mod reasons;
mod scorecard;
mod shapley;

pub use batch::{RowOutcome, ScoredBatch, ScoredRow};
pub use encode::{Column, Frame};
pub use error::ScoringError;
pub use limit_increase_artifact::ModelInput;
pub use model::{MAX_LOAD_BYTES, Model, Prediction};
pub use scorecard::Scorecard;
