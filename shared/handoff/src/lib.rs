//! The hand-off between steps: one Parquet object per shard and step, with the columns' natural types.
//!
//! Column names and types are the contract; each file of this module holds one step's. Reading checks all of it,
//! so that a step works on exactly what the one before wrote, or fails by name.

pub mod customers;
pub mod evaluations;
mod parquet_file;
pub mod results;
pub mod scored;

pub use parquet_file::{CONTENT_TYPE, HandoffError};
