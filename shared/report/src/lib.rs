//! The report of a run, made from counters and never from rows.
//!
//! Each step of a run counts what it sees of a shard into a [`Profile`]. The profiles of the shards
//! add up to that of the run. [`Drift`] compares the customers with the model's training rows, and
//! [`page`] writes the HTML.
//!
//! What must not live here: I/O, SQL, Parquet.

pub mod drift;
mod figure;
mod format;
pub mod index;
pub mod outcomes;
pub mod page;
pub mod profile;
pub mod run_report;
mod sections;

pub use drift::Drift;
pub use outcomes::Outcomes;
pub use profile::{ComparedBins, InputProfile, Profile};
pub use run_report::{Opening, PastRun, RunReport};
