//! What other policies and models would decide about the customers of a stored run, and how scores
//! turned out.
//!
//! A run leaves its scores and inputs in Parquet, so a policy can be tried on them without the
//! database. The decisions come from [`limit_increase_domain::decide`], as at night.
//!
//! # Overview
//!
//! * [`comparison::Question`] compares policies, and a challenger's scores, shard by shard. The
//!   answers add up to a [`comparison::report::ComparisonReport`].
//! * [`grid`] varies fields of a policy.
//! * [`outcomes`] has what became of customers, and the statistics about it: Gini, KS, calibration.
//! * [`interval`] has confidence intervals.
//! * [`page`] makes pages of the reports, and [`words`] the figures that people read.
//!
//! The crate does no I/O: no S3, no SQL, no files.

pub mod comparison;
pub mod grid;
pub mod interval;
pub mod outcomes;
pub mod page;
pub mod simulate;
#[cfg(test)]
mod testing;
pub mod words;
