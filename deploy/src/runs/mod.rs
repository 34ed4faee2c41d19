//! A run of the workflow: everything made ready, started, followed to its end, and its results
//! read.

pub mod execution;
mod prepare;
pub mod results;
mod start;
pub mod timeline;

pub use prepare::{RunEnvironment, prepare};
pub use start::{new_name, run, run_to_end, summary};
