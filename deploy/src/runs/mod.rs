//! Runs the workflow: prepares everything, starts a run, follows it to its end, reads its results.

pub mod breakdown;
pub mod execution;
pub mod policy;
mod prepare;
pub mod report;
pub mod results;
mod start;
pub mod step_counts;
pub mod stored;
pub mod summary;
pub mod timeline;

pub use prepare::{RunEnvironment, prepare};
pub use start::{new_name, run, run_to_end};
