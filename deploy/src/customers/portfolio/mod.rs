//! The sample portfolio: synthetic customers from a known process, specified in
//! `training/SAMPLE_PORTFOLIO.md`.
//!
//! This is the only implementation. Customer i of a seed is drawn from a stream of its own, so it
//! is the same customer however many are asked for, and any range can be drawn by any thread.

mod customer;
mod draw;
mod training_file;

pub(crate) use customer::{FEATURES, FeatureValue, Portfolio};
pub(crate) use training_file::{POSITIVE, TARGET, write_training_file};

/// Seed of the portfolio that the model is trained on.
pub(crate) const TRAINING_SEED: u64 = 20_000;
/// Seed of the customers in the database; other people than the model has seen.
pub(crate) const CUSTOMER_SEED: u64 = 50;
/// Customers of the training portfolio.
pub(crate) const TRAINING_CUSTOMERS: u32 = 20_000;
/// Customers in the database unless asked otherwise.
pub const SAMPLE_CUSTOMERS: u32 = 50;
