//! The hand-off between the steps: one Parquet file per shard and stage.
//!
//! The names and types of the columns are the contract between two steps, and one module holds one
//! stage. Reading checks all of it, so a step works on exactly what the previous step wrote, or it
//! fails by name. [`StepFiles`] finds, verifies and writes the files of one shard.
//!
//! What must not live here: SQL, and the meaning of the rows.

pub mod customers;
pub mod evaluations;
mod parquet_file;
pub mod results;
pub mod scored;
mod step_files;

pub use parquet_file::{CONTENT_TYPE, HandoffError};
pub use step_files::{StageFile, StepFiles};
